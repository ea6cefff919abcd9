"""Watching the new live color after the switch: its health, and what the proxy says of it."""

from __future__ import annotations

import base64
import gzip
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan import interrupt
from cyan.errors import DeployError
from cyan.rollout.health import State
from cyan.world import proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cyan.rollout.health import Look
    from cyan.rollout.plan import Step
    from cyan.rollout.steps import Job
    from cyan.settings import BakeSettings

BAD = 3  # failing looks in a row that end a bake; one may be a hiccup of a busy host
FEW = 20  # requests: of fewer nothing is concluded
ERRORS = 3  # answers of 5xx: fewer may be chance
SECOND = 1.0  # between two looks at the proxy's log
TAIL = 16 * 2**20  # bytes of the proxy's log that are looked at, its newest
UNAVAILABLE = 503
UPGRADED = 101  # a WebSocket's: its duration is the user's


@dataclass(frozen=True)
class Sample:
    """What the proxy logged in a time: how many answers, of these 5xx, and their p95 in seconds."""

    n: int
    errors: int
    p95: float

    @property
    def rate(self) -> float:
        """The share of answers that were 5xx."""
        return self.errors / self.n if self.n else 0.0

    def __str__(self) -> str:
        return f"{self.rate:.1%} of {self.n} answers 5xx, 95 % within {self.p95 * 1000:.0f} ms"


def fault(before: Sample, after: Sample, settings: BakeSettings) -> str:
    """What is worse than just before the switch by more than the settings allow; "" if nothing."""
    if after.n < FEW:
        return ""
    figures = f"{after}; before the switch {before}"
    if after.errors >= ERRORS and after.rate - before.rate > settings.errors:
        return f"it errs: {figures}"
    slow = after.p95 > max(before.p95 * settings.slower, before.p95 + settings.slower_by)
    return f"it is slow: {figures}" if slow and before.n >= FEW else ""


def split(lines: Iterable[str], switched: float, seconds: float) -> tuple[Sample, Sample]:
    """The answers to requests of the `seconds` before the switch, and of the time since it.

    `lines` are Caddy's access log, `switched` is in wall seconds. A request belongs to the time in
    which it started: https://caddyserver.com/docs/caddyfile/directives/log, `ts` less `duration`.
    """
    before: list[tuple[int, float]] = []
    after: list[tuple[int, float]] = []
    for line in lines:
        try:
            told = json.loads(line)
            status, duration, ended = told["status"], told["duration"], told["ts"]
        except (ValueError, KeyError, TypeError):  # torn by the cut, or no request's line
            continue
        started = ended - duration
        if status == UPGRADED or started < switched - seconds or _of_maintenance(told):
            continue
        (after if started >= switched else before).append((status, duration))
    return _sample(before), _sample(after)


def watch(job: Job, step: Step, look: Callable[[], Look]) -> str:
    """Watch for the configured time; the figures in words.

    Raises DeployError where the new color is broken, or errs or is slow by the proxy's log.
    """
    settings, began = job.settings.bake, time.monotonic()
    failed, read, says = 0, 0.0, ""
    while True:
        interrupt.check()
        seen = look()
        failed = 0 if seen.state is State.PASSING else failed + 1
        if seen.state is State.BROKEN or failed >= BAD:
            raise went_bad(job, seen.reason)
        over = time.monotonic() - began >= settings.seconds
        if over or time.monotonic() - read >= SECOND:
            read = time.monotonic()
            before, after = split(*_log(job, step), settings.seconds)
            says = f"{after}" if after.n else "the proxy logged no request to judge"
            if wrong := fault(before, after, settings):
                raise went_bad(job, wrong)
        if over and not failed:
            return f"{settings.seconds:g} s without a fault; {says}"
        time.sleep(min(job.settings.health.interval, settings.seconds / 4))


def went_bad(job: Job, why: str) -> DeployError:
    """The error of a target that is live and no good."""
    return DeployError(
        f"{job.plan.target} went bad after the switch: {why}",
        where=f"{job.host.name}, {job.plan.target.color}",
    )


def _log(job: Job, step: Step) -> tuple[list[str], float]:
    """The newest lines of the proxy's log, and when the marker was renamed."""
    command = proxy.since_switch_command(str(job.settings.directory), step.color, TAIL)
    switched, _, packed = job.host.run(command).stdout.partition("\n")
    text = gzip.decompress(base64.b64decode(packed)).decode(errors="replace")
    return text.splitlines(), float(switched)


def _of_maintenance(told: dict[str, Any]) -> bool:
    """Whether the proxy answered so by itself, on purpose: every answer of a color names it."""
    headers = told.get("resp_headers") or {}
    return told["status"] == UNAVAILABLE and "Retry-After" in headers and "X-Color" not in headers


def _sample(found: list[tuple[int, float]]) -> Sample:
    durations = sorted(duration for _, duration in found)
    worst = durations[math.ceil(len(durations) * 0.95) - 1] if durations else 0.0
    return Sample(len(found), sum(status >= 500 for status, _ in found), worst)  # noqa: PLR2004
