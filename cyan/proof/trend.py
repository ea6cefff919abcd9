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


ROLES = {"verify": "accent", "chaos": "ink"}
"""The color of each kind's line."""


DEPLOYS = "deploys.html"
"""What users saw of each deploy: written by deploys themselves (cyan.rollout.proving)."""


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
        deploys=(reports / DEPLOYS).exists(),
    )
    path.write_text(text, encoding="utf-8")
    return path


def figures(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """For each of LINES a line over the runs of each kind, as plotly takes them."""
    kinds = [kind for kind in ROLES if any(run.kind == kind for run in runs)]
    return {
        "trend": [_figure(title, [_line(runs, k, name) for k in kinds]) for title, name in LINES]
    }


def _figure(title: str, lines: list[Figure]) -> Figure:
    axes = {"yaxis": {"rangemode": "tozero"}, "xaxis": {}}
    return {"data": lines, "layout": {"title": {"text": title}, **axes, "hovermode": "closest"}}


def _line(runs: Sequence[StoredRun], kind: str, name: str) -> Figure:
    """One property over the runs of one kind; faults have a trend of their own."""
    own = [run for run in runs if run.kind == kind]
    return {
        "name": kind,
        "role": ROLES[kind],
        "mode": "lines+markers",
        "x": [run.begun for run in own],
        "y": _drawn(own, name),
        "text": [f"{run.name}: {run.verdict}" for run in own],
    }


def _drawn(runs: Sequence[StoredRun], name: str) -> list[float | None]:
    values = [float(getattr(run, name)) for run in runs]
    return [None if math.isnan(value) else round(value, 3) for value in values]
