"""What a check reports, and how verdicts combine. Needs no pandas."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_IDS = 100_000
"""How many ids a finding carries at most that is not about a kind of drop; `count` is exact."""


class Verdict(StrEnum):
    """Fail beats unknown beats pass."""

    PASS = "pass"  # noqa: S105 - no password
    UNKNOWN = "unknown"
    FAIL = "fail"

    @property
    def exit_code(self) -> int:
        """What the command exits with."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}[self]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a whole from its parts; of nothing it is unknown."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.UNKNOWN)


class Kind(StrEnum):
    """Kinds of drop (DESIGN) and of what else may go wrong with a request."""

    REFUSED = "refused"
    RESET = "reset"
    TIMEOUT = "timeout"
    STATUS = "status"
    TRUNCATED = "truncated"
    STALE = "stale"
    BACKWARDS = "version went back"
    LOST_WRITE = "lost write"
    DOUBLE_WRITE = "double write"
    LOST_JOB = "lost job"
    DOUBLE_JOB = "double job"
    SESSION_LOST = "session lost"
    MIXED = "mixed colors"
    CUT = "cut by a drain"
    TWICE = "executed twice"
    UNEXPLAINED = "unexplained"
    DOUBT = "doubt"  # a good answer, of which one witness tells nothing or otherwise: no drop
    STREAM_CUT = "stream cut"
    NONE = ""


DROPS = frozenset(Kind) - {Kind.NONE, Kind.STREAM_CUT, Kind.DOUBT}
"""The kinds that make a request a dropped one."""

EXCUSABLE = frozenset(
    {Kind.REFUSED, Kind.RESET, Kind.TIMEOUT, Kind.STATUS, Kind.TRUNCATED, Kind.CUT}
)
"""What an act with `allowed_drops` may do to a request: the client was told that it failed."""

GRAVE = DROPS - EXCUSABLE - {Kind.UNEXPLAINED}
"""The kinds that no act excuses; the unexplained is, by one that loses lines of a log."""

STEADY = "steady"
RUN = "run"
"""Names of what a finding may concern besides an act."""


@dataclass(frozen=True)
class Margin:
    """What was measured of something that is judged against a bound, in a `unit` or as a share."""

    of: str
    value: float
    most: float
    unit: str = ""

    @property
    def used(self) -> float:
        """How much of what the bound allows was used; beyond 1 it was too much."""
        return self.value / self.most if self.most else 0.0

    def told(self, value: float) -> str:
        """A value of it, as people read it."""
        return f"{value:.3g} {self.unit}" if self.unit else f"{value:.1%}"


@dataclass(frozen=True)
class Finding:
    """One check's result for one act, for the steady state or for the run.

    `act` is the act's number, or -1; `about` its name, STEADY or RUN. `count` of `n` were found
    and `bound` is the upper 95 % bound of that rate (None where a rate means nothing). `ids` are
    the requests found, as they were sent; `margins` what was judged against a bound.
    """

    check: str
    verdict: Verdict
    text: str
    kind: Kind = Kind.NONE
    act: int = -1
    about: str = RUN
    count: int = 0
    n: int = 0
    bound: float | None = None
    ids: tuple[str, ...] = ()
    margins: tuple[Margin, ...] = ()
