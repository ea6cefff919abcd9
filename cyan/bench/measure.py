"""From what clients saw to a way's row: pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cyan.proof.client_log import is_in
from cyan.proof.history import SECOND
from cyan.proof.requestlog import LASTING, STREAMS
from cyan.proof.statistics import longest_interval, quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

TAIL_NS = SECOND  # a window stays open so long after its command returned


@dataclass(frozen=True)
class Done:
    """A command that was run under load: from when to when, wall ns, and how it ended.

    `kind` is deploy, rollback or fails; `version` what it was to make live. `memory` is the peak of
    the deployer in bytes, `cpu` its seconds, of what it started as well.
    """

    kind: str
    version: str
    begun_ns: int
    ended_ns: int
    code: int
    cpu: float = 0.0
    memory: int = 0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_ns - self.begun_ns) / SECOND


@dataclass(frozen=True)
class Row:
    """What one way did to its users. Times in ms where the name ends so, else in seconds.

    `drops` are those of deploys, per deploy and by kind; `cut` streams and WebSockets of these,
    `failed_drops` the drops of a release that never got healthy, `exit_code` what that ended with,
    and `left` how many containers of it were there afterwards. `ratio` is the corrected p99 of the
    deploys over the steady state's, `both` the longest time in which two versions answered.
    """

    name: str
    deploys: int
    n: int
    drops: dict[str, int]
    cut: int
    gap_ms: float
    p99_ms: float
    steady_ms: float
    both: float
    seconds: float
    back_seconds: float
    back_drops: int
    failed_drops: int
    exit_code: int | None
    left: int | None
    app_memory: int
    memory: int
    cpu: float
    steady_drops: int
    errors: tuple[str, ...] = field(default=())

    @property
    def dropped(self) -> int:
        """In all deploys together."""
        return sum(self.drops.values())

    @property
    def ratio(self) -> float:
        """The corrected p99 of the deploys over that of the steady state."""
        return self.p99_ms / self.steady_ms if self.steady_ms else float("nan")

    def as_json(self) -> dict[str, Any]:
        """For bench.json."""
        return {**asdict(self), "dropped": self.dropped, "ratio": self.ratio}


def row(  # noqa: PLR0913 - each is a witness of its own
    name: str,
    requests: pd.DataFrame,
    done: Sequence[Done],
    *,
    steady: tuple[int, int],
    app_memory: int,
    left: int | None,
) -> Row:
    """The row of a way from its clients' rows, and what was done when.

    `steady` is a stretch in which nothing was, from and to, wall ns.
    """
    deploys = [each for each in done if each.kind == "deploy"]
    backs = [each for each in done if each.kind == "rollback"]
    fails = [each for each in done if each.kind == "fails"]
    inside = _within(requests, deploys)
    dropped = _dropped(inside)
    calm = _between(requests, *steady)
    return Row(
        name=name,
        deploys=len(deploys),
        n=len(inside),
        drops=dict(Counter(dropped["failure"].astype(str))),
        cut=int(_cut(inside)),
        gap_ms=max((_gap(requests, each) for each in deploys), default=0.0),
        p99_ms=_p99(inside),
        steady_ms=_p99(calm),
        both=max((both_answer(requests, each) for each in deploys), default=0.0),
        seconds=float(np.mean([each.seconds for each in deploys])) if deploys else float("nan"),
        back_seconds=float(np.mean([each.seconds for each in backs])) if backs else float("nan"),
        back_drops=len(_dropped(_within(requests, backs))),
        failed_drops=len(_dropped(_within(requests, fails))),
        exit_code=fails[0].code if fails else None,
        left=left,
        app_memory=app_memory,
        memory=max((each.memory for each in done), default=0),
        cpu=float(np.mean([each.cpu for each in deploys])) if deploys else float("nan"),
        steady_drops=len(_dropped(calm)),
        errors=tuple(
            f"{count} x {text}"
            for text, count in Counter(
                (str(error) if str(error).startswith(str(failure)) else f"{failure} {error}")[:100]
                for failure, error in zip(dropped["failure"], dropped["error"], strict=True)
            ).most_common(4)
        ),
    )


def both_answer(requests: pd.DataFrame, done: Done) -> float:
    """Seconds from the first request that the new version answered to the last that another did.

    By when they were sent, while it was deployed; 0 where the new one never answered.
    """
    inside = _good(_within(requests, [done]))
    inside = inside[~is_in(inside["journey"], LASTING)]
    named = inside[inside["version"].astype(str) != ""]
    new = is_in(named["version"], (done.version,))
    if not new.any() or new.all():
        return 0.0
    sent = named["sent_ns"].to_numpy()
    return max(0.0, float(sent[~new].max() - sent[new].min()) / SECOND)


def _between(requests: pd.DataFrame, start: int, end: int) -> pd.DataFrame:
    sent = requests["sent_ns"].to_numpy()
    return requests[(sent >= start) & (sent <= end)]


def _within(requests: pd.DataFrame, done: Sequence[Done]) -> pd.DataFrame:
    sent = requests["sent_ns"].to_numpy()
    found = np.zeros(len(sent), bool)
    for each in done:
        found |= (sent >= each.begun_ns) & (sent <= each.ended_ns + TAIL_NS)
    return requests[found]


def _good(requests: pd.DataFrame) -> pd.DataFrame:
    return requests[requests["failure"].astype(str) == ""]


def _failed(requests: pd.DataFrame) -> pd.DataFrame:
    return requests[requests["failure"].astype(str) != ""]


def _dropped(requests: pd.DataFrame) -> pd.DataFrame:
    failed = _failed(requests)
    return failed[~is_in(failed["journey"], STREAMS)]


def _cut(requests: pd.DataFrame) -> int:
    failed = _failed(requests)
    return int(is_in(failed["journey"], STREAMS).sum())


def _gap(requests: pd.DataFrame, done: Done) -> float:
    ends = _good(requests)["end_ns"].to_numpy()
    return longest_interval(ends, done.begun_ns, done.ended_ns + TAIL_NS) / 1e6


def _p99(requests: pd.DataFrame) -> float:
    good = _good(requests)
    good = good[~is_in(good["journey"], LASTING)]
    waits = (good["end_ns"] - good["due_ns"]).to_numpy()
    return quantiles(waits)["p99"] if len(waits) else float("nan")
