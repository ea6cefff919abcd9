"""Two stored runs side by side: what differs in verdict, drops, latency, gaps and machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from cyan.proof.page import page
from cyan.proof.wording import number, ratio

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.proof.stored import StoredAct, StoredRun


@dataclass(frozen=True)
class Pair:
    """One figure of both runs; NaN where a run does not have it."""

    what: str
    name: str
    a: float
    b: float

    @property
    def ratio(self) -> float:
        """B by A; NaN where that means nothing."""
        return self.b / self.a if self.a else math.nan


@dataclass(frozen=True)
class Comparison:
    """Two runs: their figures by act, their kinds of drop, what they were measured on."""

    a: StoredRun
    b: StoredRun
    pairs: tuple[Pair, ...]
    kinds: tuple[Pair, ...]
    differences: tuple[tuple[str, str, str], ...]


FIGURES = ("n", "drops", "p50", "p99", "raw_p99", "gap", "seconds")
NAMES = {
    "n": "requests",
    "p50": "p50, ms",
    "p99": "p99, ms",
    "raw_p99": "p99 from sending, ms",
    "gap": "longest gap, ms",
    "seconds": "took, s",
}


def compare(a: StoredRun, b: StoredRun) -> Comparison:
    """Acts are matched by name; an act that only one run has is compared with nothing."""
    names = list(dict.fromkeys(act.name for act in (*a.acts, *b.acts)))
    ours, theirs = ({act.name: act for act in run.acts} for run in (a, b))
    pairs = [
        Pair(
            name,
            NAMES.get(figure, figure),
            *(_figure(acts.get(name), figure) for acts in (ours, theirs)),
        )
        for name in names
        for figure in FIGURES
    ]
    whole = [
        Pair("run", "requests", a.n, b.n),
        Pair("run", "drops", a.drops, b.drops),
        Pair("run", "steady p99, ms", a.steady_p99, b.steady_p99),
    ]
    kinds = {**dict(a.kinds), **dict(b.kinds)}
    return Comparison(
        a=a,
        b=b,
        pairs=(*whole, *pairs),
        kinds=tuple(
            Pair("drops", kind, dict(a.kinds).get(kind, 0), dict(b.kinds).get(kind, 0))
            for kind in kinds
        ),
        differences=_differences(dict(a.measured_on), dict(b.measured_on)),
    )


def _figure(act: StoredAct | None, figure: str) -> float:
    return math.nan if act is None else float(getattr(act, figure))


def _differences(a: dict[str, str], b: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    keys = list(dict.fromkeys((*a, *b)))
    return tuple((key, a.get(key, ""), b.get(key, "")) for key in keys if a.get(key) != b.get(key))


def table(found: Comparison) -> Table:
    """The comparison for a terminal."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", " "):
        shown.add_column(heading, no_wrap=True)
    for heading in (found.a.name, found.b.name, "B/A"):
        shown.add_column(heading, justify="right")
    shown.add_row("run", "verdict", found.a.verdict, found.b.verdict, "")
    last = "run"
    for pair in (*found.pairs, *found.kinds):
        shown.add_row(
            pair.what if pair.what != last else "",
            pair.name,
            number(pair.a),
            number(pair.b),
            ratio(pair.ratio),
        )
        last = pair.what
    return shown


def write(found: Comparison, path: Path) -> Path:
    """Write the comparison as a page; its path."""
    text = page("compare.html.j2", found=found, verdict=found.b.verdict)
    path.write_text(text, encoding="utf-8")
    return path
