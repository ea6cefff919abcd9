"""Watching the new live color after the switch: its health, and what the proxy says of it."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan import interrupt
from cyan.errors import DeployError
from cyan.proxies import markers
from cyan.proxies.log_line import color_of, headers_of
from cyan.rollout.health import State
from cyan.rollout.job import Done
from cyan.rollout.logged import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cyan.names import Color
    from cyan.rollout.health import Look
    from cyan.rollout.job import Job
    from cyan.rollout.planned import Step
    from cyan.sections import BakeSettings

BAD = 3  # bad looks in a row that end a bake; one may be a hiccup of a busy host
FEW = 20  # requests: of fewer nothing is concluded
ERRORS = 3  # answers of 5xx: fewer may be chance
SECOND = 1.0  # between two looks at the proxy's log
SERVER_ERROR = 500
UNAVAILABLE = 503
UPGRADED = 101  # a WebSocket's: its duration is the user's


@dataclass(frozen=True, slots=True)
class Served:
    """An answer as the proxy logged it: when its request started, wall seconds, and how it went.

    `color` is who gave it; "" for the proxy itself.
    """

    started: float
    duration: float
    status: int
    color: str = ""


@dataclass(frozen=True)
class Sample:
    """How many answers there were, of these 5xx, and the p95 of their durations in seconds."""

    n: int
    errors: int
    p95: float

    @property
    def rate(self) -> float:
        """The share of answers that were 5xx."""
        return self.errors / self.n if self.n else 0.0

    def __str__(self) -> str:
        return f"{self.rate:.1%} of {self.n} answers 5xx, 95 % within {self.p95 * 1000:.0f} ms"


def errs(before: Sample, after: Sample, settings: BakeSettings) -> str:
    """That more of the answers are 5xx than just before the switch, past the bound; "" if not."""
    wrong = after.n >= FEW and after.errors >= ERRORS
    if wrong and after.rate - before.rate > settings.errors:
        return f"it errs: {after}; before the switch {before}"
    return ""


def slow(before: Sample, after: Sample, settings: BakeSettings) -> str:
    """That the answers take longer than just before the switch, past both bounds; "" if not."""
    bound = max(before.p95 * settings.slower, before.p95 + settings.slower_by)
    if min(before.n, after.n) >= FEW and after.p95 > bound:
        return f"it is slow: {after}; before the switch {before}"
    return ""


def served(line: str) -> Served | None:
    """The answer of a line of Caddy's access log; None for one that says nothing of a color.

    https://caddyserver.com/docs/caddyfile/directives/log: `ts` is when the answer was complete.
    """
    try:
        told = json.loads(line)
        status, duration, ended = told["status"], told["duration"], told["ts"]
    except (ValueError, KeyError, TypeError):  # torn by the cut, or no request's line
        return None
    if status == UPGRADED or _of_maintenance(told):
        return None
    color = color_of(told)
    return Served(ended - duration, duration, status, color)


def sample(answers: Sequence[Served]) -> Sample:
    """What answers say together."""
    durations = sorted(each.duration for each in answers)
    worst = durations[math.ceil(len(durations) * 0.95) - 1] if durations else 0.0
    return Sample(len(answers), sum(each.status >= SERVER_ERROR for each in answers), worst)


class Comparison:
    """The new color's answers against the old one's just before the switch, look by look.

    Errors are judged over all that was answered since the switch. What only the newest answers
    show, errors or slowness, counts from `BAD` looks in a row on: the first seconds of a color
    that was cold, or a hiccup of the host, are over by then. A look has `FEW` answers or more,
    each of which is in one look only.
    """

    def __init__(self, settings: BakeSettings, color: Color, switched: float) -> None:
        self._settings = settings
        self._color = color
        self._switched = switched
        self._before: list[Served] = []
        self._after: list[Served] = []
        self._looked_at = 0
        self.bad = 0

    def look(self, lines: Iterable[str]) -> str:
        """Take in what was logged since the last call; what is wrong by now, "" if nothing."""
        for answer in filter(None, map(served, lines)):
            if self._is_new(answer):
                self._after.append(answer)
            elif self._is_old(answer):
                self._before.append(answer)
        before, newest = sample(self._before), sample(self._after[self._looked_at :])
        wrong = errs(before, newest, self._settings) or slow(before, newest, self._settings)
        if newest.n >= FEW:
            self._looked_at = len(self._after)
            self.bad = self.bad + 1 if wrong else 0
        in_all = errs(before, sample(self._after), self._settings)
        return in_all or (wrong if self.bad >= BAD else "")

    def _is_new(self, answer: Served) -> bool:
        """Whether it was the new color's: by its name or, where the proxy answered, by its start.

        A request that had just started when the marker was renamed may be the new color's, but
        what ended before then was of an earlier release on it.
        """
        if answer.color == self._color:
            return answer.started + answer.duration >= self._switched
        return not answer.color and answer.started >= self._switched

    def _is_old(self, answer: Served) -> bool:
        since = self._switched - self._settings.seconds
        return answer.color != self._color and since <= answer.started < self._switched

    def __str__(self) -> str:
        after = sample(self._after)
        return str(after) if after.n else "the proxy logged no request to judge"


def watch(job: Job, step: Step, look: Callable[[], Look]) -> Done:
    """Watch for the configured time, and a little longer where it ends on bad looks; the figures.

    Raises DeployError where the new color is broken, or errs or is slow by the proxy's log.
    """
    settings, began = job.settings.bake, time.monotonic()
    switched = markers.switched_at(job.host, str(job.settings.directory), step.color)
    log = Log(job, since=switched - settings.seconds)
    compared = Comparison(settings, step.color, switched)
    failed, read = 0, -math.inf
    while True:
        interrupt.check()
        seen = look()
        failed = 0 if seen.state is State.PASSING else failed + 1
        if seen.state is State.BROKEN or failed >= BAD:
            raise went_bad(job, seen.reason)
        spent = time.monotonic() - began
        over = spent >= settings.seconds
        if time.monotonic() - read >= SECOND or (over and not compared.bad):
            read = time.monotonic()
            if wrong := compared.look(log.more()):
                raise went_bad(job, wrong)
        undecided = compared.bad and spent < settings.seconds + BAD * SECOND
        if over and not failed and not undecided:
            if log.doubt:
                doubt = f"whether users get errors or wait was not judged: {log.doubt}"
                return Done(f"it stayed healthy for {spent:.1f} s", warnings=(doubt,))
            doubt = ", the newest of them bad, too few looks to judge" if compared.bad else ""
            return Done(f"nothing went bad in {spent:.1f} s; {compared}{doubt}")
        time.sleep(min(job.settings.health.interval, settings.seconds / 4))


def went_bad(job: Job, why: str) -> DeployError:
    """The error of a target that is live and no good."""
    return DeployError(
        f"{job.plan.target} went bad after the switch: {why}",
        where=f"{job.host.name}, {job.plan.target.color}",
    )


def _of_maintenance(told: dict[str, Any]) -> bool:
    """Whether the proxy answered so by itself, on purpose: every answer of a color names it."""
    headers = headers_of(told)
    return told["status"] == UNAVAILABLE and "Retry-After" in headers and "X-Color" not in headers
