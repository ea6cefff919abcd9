"""What each act and the steady state measured: requests, drops, bounds, gaps, latency, answers."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cyan.proof.client_log import is_in
from cyan.proof.findings import DROPS, RUN, Finding, Verdict, worst
from cyan.proof.history import SECOND, Window
from cyan.proof.requestlog import LASTING, PLANTED
from cyan.proof.statistics import (
    Latency,
    control_interval,
    latency,
    longest_interval,
    needed,
    quantiles,
    upper_bound,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.proof.evidence import Evidence, Mask

WANTED_BOUND = 1e-5
"""The claim whose price is printed: fewer drops than one in 100,000, at 95 %."""

ROUNDED = 0.05
"""Seconds by which two lengths may differ and still be called equal."""


@dataclass(frozen=True)
class Measure:
    """One act's numbers, or the steady state's (`act` -1, no gaps). Times in milliseconds.

    `gap` is the longest stretch without a successful answer, `control_gap` the same in a window of
    `control_seconds` in which no act was performed, `power` the longest between two sends.
    `answers` counts good answers by color and version.
    """

    name: str
    act: int
    verdict: Verdict
    start_ns: int
    end_ns: int
    n: int
    drops: int
    bound: float
    gap: float
    control_gap: float
    control_seconds: float
    power: float
    latency: Latency
    answers: tuple[tuple[str, str, int], ...]

    @property
    def seconds(self) -> float:
        """The length of the window."""
        return (self.end_ns - self.start_ns) / SECOND

    @property
    def needed(self) -> int:
        """How many requests without a drop would claim less than WANTED_BOUND (95 %)."""
        return needed(WANTED_BOUND)

    @property
    def short_control(self) -> bool:
        """Whether no steady stretch was as long as this window, so that the control is shorter."""
        return self.control_seconds < self.seconds - ROUNDED


def measure(evidence: Evidence, findings: Iterable[Finding]) -> tuple[Measure, ...]:
    """The measures of every act in order, the steady state's last."""
    kept = tuple(findings)
    begun, ended = evidence.history.load_begun_ns, evidence.history.load_ended_ns
    windows = (*evidence.history.windows(), Window("steady", -1, begun, ended))
    with ThreadPoolExecutor(2) as pool:  # most of it leaves the interpreter's lock
        return tuple(pool.map(lambda window: _measure(evidence, window, kept), windows))


def drop_ids(findings: Iterable[Finding], act: int | None = None) -> tuple[str, ...]:
    """The distinct ids that were dropped, of one act or (None) of the run."""
    ids: dict[str, None] = {}
    for finding in findings:
        if finding.kind in DROPS and act in {None, finding.act}:
            ids |= dict.fromkeys(finding.ids)
    return tuple(ids)


def _measure(evidence: Evidence, window: Window, findings: tuple[Finding, ...]) -> Measure:
    within = evidence.requests["act"].to_numpy() == window.act
    n, drops = int(within.sum()), len(drop_ids(findings, window.act))
    gap, control, length, power = _gaps(evidence, window) if window.act >= 0 else (0, 0, 0, 0)
    return Measure(
        name=window.name,
        act=window.act,
        verdict=worst(f.verdict for f in findings if f.act == window.act and f.about != RUN),
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        n=n,
        drops=drops,
        bound=upper_bound(min(drops, n), n),
        gap=gap / 1e6,
        control_gap=control / 1e6,
        control_seconds=length / SECOND,
        power=power / 1e6,
        latency=_latency(evidence, within),
        answers=_answers(evidence, within),
    )


def _gaps(evidence: Evidence, window: Window) -> tuple[int, int, int, int]:
    good = evidence.requests["end_ns"].to_numpy()[evidence.ok]
    sent = evidence.requests["sent_ns"].to_numpy()
    start = max(window.start_ns, evidence.history.load_begun_ns)
    steady = tuple((w.start_ns, w.end_ns) for w in evidence.history.steady())
    control, length = control_interval(good, window.end_ns - start, steady)
    gap = longest_interval(good, start, window.end_ns)
    return gap, control, length, longest_interval(sent, start, window.end_ns)


def _latency(evidence: Evidence, within: Mask) -> Latency:
    counted = within & evidence.ok & ~is_in(evidence.requests["journey"], LASTING)
    frame = evidence.requests
    due, sent, end = (frame[name].to_numpy()[counted] for name in ("due_ns", "sent_ns", "end_ns"))
    return latency(due, sent, end)


def _answers(evidence: Evidence, within: Mask) -> tuple[tuple[str, str, int], ...]:
    frame = evidence.requests.loc[within & evidence.ok, ["color", "version"]]
    sizes = frame.groupby(["color", "version"], observed=True, sort=True).size().reset_index()
    return tuple((str(c), str(v), int(k)) for c, v, k in sizes.itertuples(index=False))


@dataclass(frozen=True)
class JourneyMeasure:
    """What became of one journey's requests: statuses and errors with their counts, times in ms.

    `times` are those of `quantiles`, and "min", "average" and "p95": the names of Locust's table.
    `rate` is in requests a second of the load.
    """

    name: str
    n: int
    failed: int
    statuses: tuple[tuple[int, int], ...]
    errors: tuple[tuple[str, int], ...]
    times: dict[str, float]
    bytes: int
    rate: float

    @property
    def size(self) -> float:
        """The average answer in bytes."""
        return self.bytes / max(self.n - self.failed, 1)


def journeys(evidence: Evidence) -> tuple[JourneyMeasure, ...]:
    """Each journey's own figures, the most frequent first; times count from when it was due."""
    columns = ["journey", "failure", "error", "status", "due_ns", "end_ns", "received_bytes"]
    told = evidence.history
    seconds = max((told.load_ended_ns - told.load_begun_ns) / SECOND, 1e-9)
    found = []
    for name, rows in evidence.requests[columns].groupby("journey", observed=True):
        if name == PLANTED:
            continue
        good = rows["failure"] == ""
        waits = (rows["end_ns"] - rows["due_ns"])[good].to_numpy()
        errors = rows.loc[~good, ["failure", "error"]].astype(str).agg(": ".join, axis=1)
        found.append(
            JourneyMeasure(
                str(name),
                len(rows),
                int((~good).sum()),
                tuple((int(str(k)), int(v)) for k, v in rows["status"].value_counts().items())[:5],
                tuple((str(k)[:120], int(v)) for k, v in errors.value_counts().items())[:5],
                _times(waits),
                int(rows["received_bytes"].sum()),
                len(rows) / seconds,
            )
        )
    return tuple(sorted(found, key=lambda each: -each.n))


def _times(waits: np.ndarray) -> dict[str, float]:
    more = dict.fromkeys(("min", "average", "p95"), math.nan)
    if len(waits):
        values = waits.min(), waits.mean(), np.quantile(waits, 0.95)
        more = dict(zip(more, (float(v) / 1e6 for v in values), strict=True))
    return {**quantiles(waits), **more}


@dataclass(frozen=True)
class Worst:
    """The second of a run in which half of its users waited longest, `at` seconds after it began.

    `middle` and `slowest` are that second's median and maximum, `usual` the run's median: seconds.
    `instant_ns` is its middle, `where` the act that went on.
    """

    at: int
    instant_ns: int
    middle: float
    slowest: float
    usual: float
    where: str

    @property
    def sentence(self) -> str:
        """What users felt, in words."""
        return (
            f"In the worst second, {self.at} s after the load began and {self.where}, half of the "
            f"users waited {self.middle * 1000:,.0f} ms or longer, the slowest "
            f"{self.slowest * 1000:,.0f} ms; usually half wait {self.usual * 1000:,.0f} ms."
        )


def worst_second(evidence: Evidence) -> Worst | None:
    """The second that was worst for users; None where nobody was answered."""
    frame = evidence.requests
    looked = evidence.ok & ~is_in(frame["journey"], LASTING)
    due = frame["due_ns"].to_numpy()[looked]
    waits = frame["end_ns"].to_numpy()[looked] - due
    if not len(due):
        return None
    place = (due - evidence.history.load_begun_ns) // SECOND
    table = pd.DataFrame({"second": place, "wait": waits / SECOND}).groupby("second")["wait"]
    middle, slowest = table.median(), table.max()
    at = int(str(middle.idxmax()))
    instant = evidence.history.load_begun_ns + at * SECOND + SECOND // 2
    inside = [w.name for w in evidence.history.windows() if w.start_ns <= instant <= w.end_ns]
    return Worst(
        at,
        instant,
        float(middle[at]),
        float(slowest[at]),
        float(np.median(waits)) / SECOND,
        f"in “{inside[0]}”" if inside else "without an act",
    )


def price(n: int) -> str:
    """What a run without drops claims, and what a stronger claim would cost, in one sentence."""
    if not n:
        return "No request was counted, so nothing is claimed."
    more = needed(WANTED_BOUND)
    claim = f"None of {n:,} bounds the rate at 1 in {1 / upper_bound(0, n):,.0f} (95 %)"
    return f"{claim}; to claim under 1 in {1 / WANTED_BOUND:,.0f} run {more:,} requests."
