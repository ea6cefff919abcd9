"""What users saw of a deploy: from the proxy's log and a small probe, with no load added.

A window of the deploy is compared with an equal time before it. What the proxy answered by itself
(502, 503 or 504 without a color), what it cut short and what the probe was refused is the deploy's;
what an application answered, with 5xx or not, is the application's.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cyan.hosts.site import OURS
from cyan.proxies.error_log import ABORTED
from cyan.proxies.log_line import UNANSWERED, color_of, headers_of, id_of
from cyan.rollout.baking import SERVER_ERROR, UPGRADED, Served

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cyan.rollout.probe import Probe

SCHEMA = "cyan.deploy/1"
BY_THE_PROXY = (502, 503, 504)
NOT_CLAIMED = (
    "connections of users that were refused: only the probe's own are known",
    "writes that were lost, or done twice: no ledger was asked",
    "requests that waited: only how long each took",
)


@dataclass(frozen=True)
class Span:
    """A stretch of time, in wall seconds of the host, and what users were answered in it.

    `by_proxy` are errors that the proxy answered by itself, `by_application` 5xx of a color, `cut`
    answers that the proxy gave up. `gap` is the longest time without a good answer, `p99` of the
    durations, both in seconds; 0 where nobody asked.
    """

    start: float
    end: float
    n: int = 0
    by_proxy: int = 0
    by_application: int = 0
    cut: int = 0
    gap: float = 0.0
    p99: float = 0.0

    @property
    def failed(self) -> int:
        """How many requests were failed by what moves the traffic."""
        return self.by_proxy + self.cut


@dataclass(frozen=True)
class Logs:
    """Lines of the proxy's access log, when it gave answers up, and what could not be read.

    `since` is when users first came to this proxy, where it was no earlier than the deploy.
    """

    lines: Iterable[str] = ()
    aborted: Sequence[float] = ()
    doubt: str = ""
    since: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What was seen of a deploy, and before it for as long. `doubt` says what could not be.

    Where one color took the other's place, `held`, a time without an answer is one of waiting.
    """

    during: Span
    before: Span
    asked: int = 0
    refused: tuple[str, ...] = ()
    why_not: str = ""
    doubt: str = ""
    held: bool = False

    @property
    def failed(self) -> int:
        """Requests that this deploy failed: more of the proxy's own errors than just before."""
        return max(0, self.during.failed - self.before.failed) + len(self.refused)

    @property
    def verdict(self) -> str:
        """pass, fail or unknown: of nothing that was looked at nothing is known."""
        if self.failed:
            return "fail"
        looked = self.asked or (self.during.n and not self.doubt)
        return "pass" if looked else "unknown"

    @property
    def bound(self) -> float:
        """The upper 95 % bound of the rate at which it failed requests, where none was.

        One-sided and exact for zero in n (Clopper-Pearson): 1 - 0.05^(1/n); 1 of nothing.
        """
        n = self.during.n + self.asked
        return -math.expm1(math.log(0.05) / n) if n and not self.failed else 1.0

    @property
    def sentence(self) -> str:
        """What users saw, in a line."""
        during, before = self.during, self.before
        if self.verdict == "unknown":
            return f"what users saw is not known: {self.doubt or self.why_not or 'nobody asked'}"
        users = f"{during.n:,} requests of users while it was deployed, "
        if not during.n and not self.failed:
            return f"nobody asked while it was deployed; probe {self.asked} of {self.asked}"
        failed = f"{self.failed} failed by it" if self.failed else "none failed by it"
        told = [users + failed + self._kinds()]
        if not self.failed:
            told.append(f"at most {self.bound:.2%} (95 %)")
        if during.n:
            was = (
                (f" ({_ms(before.gap)} before)", f" ({_ms(before.p99)})") if before.n else ("", "")
            )
            told.append(f"longest {'wait' if self.held else 'gap'} {_ms(during.gap)}{was[0]}")
            told.append(f"p99 {_ms(during.p99)}{was[1]}")
        good = self.asked - len(self.refused)
        told.append(f"probe {good} of {self.asked}" if self.asked else f"no probe: {self.why_not}")
        if self.doubt:
            told.append(f"not looked at: {self.doubt}")
        return "; ".join(told)

    def _kinds(self) -> str:
        kinds = (
            (self.during.by_proxy, "errors of the proxy"),
            (self.during.cut, "answers cut short"),
            (len(self.refused), "refused to the probe"),
        )
        named = ", ".join(f"{count} {what}" for count, what in kinds if count)
        return f" ({named})" if named and self.failed else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def seen(
    log: Logs,
    probe: Probe,
    begun: float,
    ended: float,
) -> Seen:
    """What the proxy's logs and the probe tell of a deploy between two instants, and before it.

    In wall seconds of the host.
    """
    length = ended - begun
    told = filter(None, map(answered, log.lines))
    recent = (each for each in told if each.started >= begun - length)
    answers = sorted(recent, key=lambda each: each.started)
    since = max(begun, min(log.since, answers[0].started if answers else begun))
    spans = [
        _span(answers, log.aborted, since, ended),
        _span(answers, log.aborted, begun - length, begun),
    ]
    refused = tuple(wrong for _, wrong in probe.failures)
    return Seen(spans[0], spans[1], len(probe.asked), refused, probe.why_not, log.doubt)


def answered(line: str) -> Served | None:
    """The answer of a line of the proxy's log; color "" for one that the proxy gave by itself.

    None for a WebSocket, what is said while the site is in maintenance, and what cyan itself asked.
    """
    try:
        told: Mapping[str, Any] = json.loads(line)
        status, duration, ended = told["status"], told["duration"], told["ts"]
        sent = id_of(told) if told["request"] else ""
    except (ValueError, KeyError, TypeError):
        return None
    headers = headers_of(told)
    if status in {UPGRADED, 0} or "Retry-After" in headers or sent.startswith(OURS):
        return None
    color = color_of(told)
    own = not told.get("size") or str(told.get("user_id")).endswith(UNANSWERED)
    alone = status in BY_THE_PROXY and "Content-Type" not in headers and own
    return Served(ended - duration, duration, status, "" if alone else color or "unnamed")


def _span(answers: Sequence[Served], aborted: Sequence[float], start: float, end: float) -> Span:
    inside = [each for each in answers if start <= each.started < end]
    bad = [each for each in inside if each.status >= SERVER_ERROR]
    ends = sorted(each.started + each.duration for each in inside if each.status < SERVER_ERROR)
    edges = [start, *(at for at in ends if at < end), end]
    gaps = (later - earlier for earlier, later in pairwise(edges))
    durations = sorted(each.duration for each in inside)
    return Span(
        start,
        end,
        n=len(inside),
        by_proxy=sum(not each.color for each in bad),
        by_application=sum(bool(each.color) for each in bad),
        cut=sum(start <= at < end for at in aborted),
        gap=max(gaps, default=0.0) if inside else 0.0,
        p99=durations[math.ceil(len(durations) * 0.99) - 1] if durations else 0.0,
    )


def aborted(errors: Iterable[str]) -> list[float]:
    """When the proxy gave an answer up, by lines of `proxies.errors`: wall seconds."""
    found = []
    for line in errors:
        try:
            told = json.loads(line)
            if told["msg"] == ABORTED:
                found.append(float(told["ts"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def as_json(told: Seen, about: Mapping[str, Any]) -> dict[str, Any]:
    """proof.json: docs/verdict.md has its keys."""
    return {
        "schema": SCHEMA,
        **about,
        "verdict": told.verdict,
        "sentence": told.sentence,
        "failed": told.failed,
        "bound": told.bound,
        "during": asdict(told.during),
        "before": asdict(told.before),
        "probe": {"asked": told.asked, "failures": list(told.refused), "why_not": told.why_not},
        "doubt": told.doubt,
        "not_claimed": list(NOT_CLAIMED),
    }
