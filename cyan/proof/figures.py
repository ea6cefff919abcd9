"""The report's figures, as the plain data that Plotly draws. Colors come from the page's theme.

A trace names its color by a role ("blue", "green", "fail", …) in `role`; report.js puts the
theme's color in its place, so that one figure serves light, dark and paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cyan.proof.evidence import Evidence, mask
from cyan.proof.history import SECOND, Switch

if TYPE_CHECKING:
    from cyan.proof.measures import Measure

BIN_NS = SECOND // 10
Figure = dict[str, Any]


def seconds(evidence: Evidence, instants: Any) -> Any:  # noqa: ANN401 - numpy arrays or a number
    """Seconds since the load began."""
    return (np.asarray(instants) - evidence.history.load_begun_ns) / SECOND


def seconds_axis(evidence: Evidence) -> Figure:
    """The axis of the whole run."""
    whole = float(seconds(evidence, evidence.history.load_ended_ns))
    return {"title": {"text": "seconds since the load began"}, "range": [0, round(whole, 2)]}


def bins(evidence: Evidence, width_ns: int) -> npt.NDArray[np.int64]:
    """The edges of bins of `width_ns` that cover the load."""
    begun, ended = evidence.history.load_begun_ns, evidence.history.load_ended_ns
    return np.arange(begun, ended + width_ns, width_ns)


def lines(evidence: Evidence) -> list[Figure]:
    """A line at each switch."""
    return [
        {
            "type": "line",
            "role": switch.target or "ink",
            "x0": round(float(seconds(evidence, switch.done_ns)), 4),
            "x1": round(float(seconds(evidence, switch.done_ns)), 4),
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"width": 1.5},
        }
        for switch in during(evidence)
    ]


def listed(values: Any, digits: int = 3) -> list[float | None]:  # noqa: ANN401
    """Numbers as JSON has them: rounded, null for none."""
    rounded = np.round(np.asarray(values, dtype=float), digits)
    return [None if np.isnan(v) else float(v) for v in rounded]


def during(evidence: Evidence) -> list[Switch]:
    """The switches that happened under load."""
    begun, ended = evidence.history.load_begun_ns, evidence.history.load_ended_ns
    return [switch for switch in evidence.history.switches if begun <= switch.done_ns <= ended]


def latency(measures: tuple[Measure, ...]) -> Figure:
    """p50, p99 and the slowest answer of each act beside the steady state's, raw and corrected."""
    shown = [m for m in (*measures[-1:], *measures[:-1]) if m.latency.n]
    names = [m.name if m.act < 0 else f"{m.act + 1} {m.name}" for m in shown]
    symbols = {"p50": "circle", "p99": "diamond", "max": "triangle-up"}
    kinds = [(quantile, counted) for quantile in symbols for counted in ("raw", "corrected")]
    traces = [
        {
            "name": quantile,
            "showlegend": counted == "corrected",
            "role": counted,
            "mode": "markers",
            "marker": {
                "symbol": symbols[quantile] + ("-open" if counted == "raw" else ""),
                "size": 12 if counted == "raw" else 8,
            },
            "y": names,
            "x": listed([getattr(m.latency, counted)[quantile] for m in shown]),
            "hovertemplate": f"%{{y}}: {quantile} {counted} %{{x:.1f}} ms<extra></extra>",
        }
        for quantile, counted in kinds
    ]
    return {
        "data": traces,
        "layout": {
            "height": 110 + 34 * len(names),
            "xaxis": {"title": {"text": "milliseconds"}, "type": "log", "dtick": 1},
            "yaxis": {"autorange": "reversed", "automargin": True},
            "hovermode": "closest",
        },
    }


def drains(evidence: Evidence) -> Figure:
    """Requests in flight to the old color, from the switch until it was let go."""
    traces: list[Figure] = []
    for drain in evidence.history.drains:
        if drain.step != "drain":
            continue
        dash = ("solid", "dot", "dash", "dashdot")[len(traces) // 2 % 4]
        x = (np.array([at for at, _ in drain.in_flight]) - drain.begun_ns) / SECOND
        traces.append(
            {
                "name": f"{drain.color} at {float(seconds(evidence, drain.begun_ns)):.0f} s",
                "role": drain.color,
                "mode": "lines+markers",
                "line": {"shape": "hv", "width": 2, "dash": dash},
                "x": listed(x),
                "y": [n for _, n in drain.in_flight],
            }
        )
    return {
        "data": traces,
        "layout": {
            "height": 300,
            "xaxis": {"title": {"text": "seconds since the drain began"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "in flight"}, "rangemode": "tozero"},
        },
    }


def hand_over(evidence: Evidence) -> Figure:
    """Who answered when: a ribbon per release, as dark as it answered much."""
    frame = evidence.requests.loc[evidence.ok, ["color", "version", "end_ns"]]
    pairs = frame.groupby(["color", "version"], observed=True)["end_ns"].min().sort_values()
    width = max(BIN_NS, (evidence.history.load_ended_ns - evidence.history.load_begun_ns) // 600)
    edges = bins(evidence, int(width))
    names, rows = [], []
    for color, version in pairs.index:
        chosen = mask(frame["color"] == color) & mask(frame["version"] == version)
        counts = np.histogram(frame["end_ns"].to_numpy()[chosen], edges)[0]
        sign = -1 if color == "green" else 1  # one scale from green over nothing to blue
        names.append(f"{version} {color}")
        rows.append([sign * int(k) or None for k in counts])
    heat = {
        "type": "heatmap", "heat": True, "x": listed(seconds(evidence, edges[:-1] + width // 2)),
        "y": names, "z": rows, "zmid": 0, "showscale": False, "ygap": 6,
        "hovertemplate": "%{y}, %{x:.1f} s<extra></extra>",
    }  # fmt: skip
    return {
        "data": [heat],
        "layout": {
            "height": 90 + 40 * max(len(names), 1),
            "xaxis": seconds_axis(evidence),
            "yaxis": {"autorange": "reversed", "automargin": True, "fixedrange": True},
            "hovermode": "closest",
            "shapes": lines(evidence),
        },
    }
