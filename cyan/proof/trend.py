"""reports/index.html: every stored run, with what they say together and where one got worse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cyan.proof import stored
from cyan.proof.page import page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cyan.proof.stored import StoredRun

Figure = dict[str, Any]

LINES = (
    ("dropped requests", "drops"),
    ("p99 at the switch, ms", "switch_p99"),
    ("deploy, seconds", "deploy_seconds"),
)
"""What is drawn over the runs, and the property of a run that holds it."""


def write(reports: Path) -> Path:
    """Write the index of a folder of runs; its path."""
    runs, unreadable = stored.read(reports)
    path = reports / "index.html"
    rows = [
        (run, stored.worse(run, runs[:number]), (reports / run.name / "report.html").exists())
        for number, run in enumerate(runs)
    ]
    text = page(
        "index.html.j2",
        rows=rows[::-1],
        unreadable=unreadable,
        rotations=stored.rotations(runs),
        survivals=stored.survivals(runs),
        requests=sum(run.n for run in runs),
        verdict=runs[-1].verdict if runs else "unknown",
        figures=figures(runs),
    )
    path.write_text(text, encoding="utf-8")
    return path


def figures(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """A line over the runs for each of LINES, as plotly takes them."""
    times = [run.begun for run in runs]
    names = [f"{run.name}: {run.verdict}" for run in runs]
    return {"trend": [_line(title, times, names, _drawn(runs, name)) for title, name in LINES]}


def _line(title: str, times: list[str], names: list[str], values: list[float | None]) -> Figure:
    trace = {"role": "accent", "mode": "lines+markers", "x": times, "y": values, "text": names}
    axes = {"yaxis": {"rangemode": "tozero"}, "xaxis": {}}
    return {"data": [trace], "layout": {"title": {"text": title}, **axes, "hovermode": "closest"}}


def _drawn(runs: Sequence[StoredRun], name: str) -> list[float | None]:
    values = [float(getattr(run, name)) for run in runs]
    return [None if math.isnan(value) else round(value, 3) for value in values]
