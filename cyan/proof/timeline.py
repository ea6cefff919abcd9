"""The figures with time on their axis: the whole run, and each switch request by request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyan.proof.client_log import is_in
from cyan.proof.evidence import mask
from cyan.proof.figures import BIN_NS, Figure, bins, during, lines, listed, seconds, seconds_axis
from cyan.proof.history import SECOND
from cyan.proof.requestlog import LASTING

if TYPE_CHECKING:
    from cyan.proof.evidence import Evidence, Mask
    from cyan.proof.history import Switch
    from cyan.proof.measures import Measure

LATENCY_BIN_NS = SECOND // 2
CLOSE_NS = 1_500_000_000
CLOSE_POINTS = 4000
COLORS = ("blue", "green")


def time_line(evidence: Evidence, measures: tuple[Measure, ...], drops: Mask) -> Figure:
    """Requests per 100 ms by color, drops as marks, p99 below; acts as bands, switches as lines."""
    rates = _rates(evidence)
    top = max((max(trace["y"], default=1) for trace in rates), default=1) * 1.3
    traces = [*rates, _marks(evidence, drops, top), *_latencies(evidence), *_steps(evidence)]
    return {
        "data": traces,
        "layout": {
            "height": 520,
            "barmode": "overlay",
            "xaxis": {**seconds_axis(evidence), "anchor": "y3"},
            "yaxis": {
                "title": {"text": "answers per 100 ms"}, "domain": [0.42, 1], "range": [0, top],
                "fixedrange": True,
            },
            "yaxis2": {
                "title": {"text": "p99 ms"}, "domain": [0.15, 0.36], "type": "log", "nticks": 4,
                "fixedrange": True,
            },
            "yaxis3": {"domain": [0, 0.09], "fixedrange": True, "automargin": True},
            "shapes": [*_bands(evidence, measures), *lines(evidence)],
            "annotations": _numbers(evidence, measures),
        },
        "views": _views(evidence),
    }  # fmt: skip


def _rates(evidence: Evidence) -> list[Figure]:
    edges = bins(evidence, BIN_NS)
    ended = evidence.requests["end_ns"].to_numpy()
    x = listed(seconds(evidence, edges[:-1]))
    traces = []
    for color in ("blue", "green"):
        chosen = evidence.ok & is_in(evidence.requests["color"], (color,))
        y = np.histogram(ended[chosen], edges)[0].tolist()
        line = {"width": 0, "shape": "hv"}
        traces.append(
            {"name": color, "role": color, "x": x, "y": y, "stackgroup": "rate", "line": line}
        )
    return traces


def _marks(evidence: Evidence, drops: Mask, top: float) -> Figure:
    rows = evidence.requests[drops]
    texts = [
        f"{number:016x}<br>{journey} {failure} {error}"
        for number, journey, failure, error in zip(
            rows["id"], rows["journey"], rows["failure"], rows["error"], strict=True
        )
    ]
    return {
        "name": "dropped",
        "role": "fail",
        "mode": "markers",
        "marker": {"symbol": "x", "size": 9},
        "x": listed(seconds(evidence, rows["sent_ns"])),
        "y": [round(top * 0.85, 2)] * len(rows),
        "text": texts,
        "hoverinfo": "text+x",
    }


def _latencies(evidence: Evidence) -> list[Figure]:
    chosen = evidence.ok & ~is_in(evidence.requests["journey"], LASTING)
    frame = evidence.requests.loc[chosen, ["due_ns", "sent_ns", "end_ns"]]
    place = (frame["sent_ns"] - evidence.history.load_begun_ns) // LATENCY_BIN_NS
    took = {"raw": "sent_ns", "corrected": "due_ns"}
    traces = []
    for name, since in took.items():
        p99 = ((frame["end_ns"] - frame[since]) / 1e6).groupby(place).quantile(0.99)
        traces.append(
            {
                "name": f"p99 {name}",
                "role": name,
                "mode": "lines",
                "yaxis": "y2",
                "x": listed(p99.index.to_numpy() * (LATENCY_BIN_NS / SECOND)),
                "y": listed(p99),
                "line": {"width": 1.5, "dash": "solid" if name == "raw" else "dot"},
            }
        )
    return traces


def _steps(evidence: Evidence) -> list[Figure]:
    """What the deployer did, step by step, as bars of the color that it did it to."""
    inside = [
        each
        for each in evidence.history.steps
        if evidence.history.load_begun_ns <= each.begun_ns <= evidence.history.load_ended_ns
    ]
    traces = []
    for color in (*COLORS, "fail"):
        mine = [each for each in inside if ("fail" if not each.ok else each.color) == color]
        took = [(each.done_ns - each.begun_ns) / SECOND for each in mine]
        traces.append(
            {
                "name": f"steps, {color}",
                "showlegend": False,
                "role": color,
                "type": "bar",
                "orientation": "h",
                "yaxis": "y3",
                "marker": {"opacity": 0.75},
                "base": listed(seconds(evidence, [each.begun_ns for each in mine])),
                "x": listed(took),
                "y": ["steps"] * len(mine),
                "text": [each.step for each in mine],
                "textposition": "inside",
                "insidetextanchor": "start",
                "customdata": [
                    f"{each.step} of {each.color} {each.version}, {length:.2f} s"
                    + ("" if each.ok else ", failed")
                    for each, length in zip(mine, took, strict=True)
                ],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    return [trace for trace in traces if trace["x"]]


def _bands(evidence: Evidence, measures: tuple[Measure, ...]) -> list[Figure]:
    return [
        {
            "type": "rect",
            "role": f"band-{m.verdict}",
            "x0": round(float(seconds(evidence, m.start_ns)), 3),
            "x1": round(float(seconds(evidence, m.end_ns)), 3),
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "layer": "below",
        }
        for m in measures
        if m.act >= 0 and m.n
    ]


def _numbers(evidence: Evidence, measures: tuple[Measure, ...]) -> list[Figure]:
    return [
        {
            "text": f"<b>{m.act + 1}</b>",
            "hovertext": m.name,
            "x": round(float(seconds(evidence, m.start_ns)), 3),
            "xanchor": "left",
            "y": 1,
            "yref": "paper",
            "yanchor": "top",
            "showarrow": False,
        }
        for m in measures
        if m.act >= 0 and m.n
    ]


def _views(evidence: Evidence) -> list[dict[str, Any]]:
    """The buttons above the time line: the whole run, and each switch."""
    whole = float(seconds(evidence, evidence.history.load_ended_ns))
    views = [{"name": "whole run", "range": [0, round(whole, 2)]}]
    for switch in during(evidence):
        at = float(seconds(evidence, switch.done_ns))
        views.append({"name": f"→ {switch.version}", "range": [at - 2, at + 3]})
    return views


def close_ups(evidence: Evidence, drops: Mask) -> list[dict[str, Any]]:
    """Each switch, request by request: when it was sent and how long it took, by who answered."""
    return [
        {
            "name": f"{switch.source or 'nothing'} → {switch.target} {switch.version}",
            "figure": _close_up(evidence, switch, drops),
        }
        for switch in during(evidence)
    ]


def _close_up(evidence: Evidence, switch: Switch, drops: Mask) -> Figure:
    sent = evidence.requests["sent_ns"].to_numpy()
    near = mask(np.abs(sent - switch.done_ns) <= CLOSE_NS)
    if near.sum() > CLOSE_POINTS:
        distance = np.sort(np.abs(sent[near] - switch.done_ns))[CLOSE_POINTS]
        near = mask(np.abs(sent - switch.done_ns) <= distance)
    good = near & ~drops
    traces = [
        _points(evidence, switch, good & is_in(evidence.requests["color"], (c,)), c) for c in COLORS
    ]
    traces.append(_points(evidence, switch, near & drops, "fail"))
    stale = (evidence.bounds.stale_ns + evidence.uncertainty_ns) / 1e6
    return {
        "data": traces,
        "layout": {
            "height": 400,
            "xaxis": {"title": {"text": "sent, milliseconds from the rename of the marker"}},
            "yaxis": {"title": {"text": "answered after, ms"}, "type": "log", "dtick": 1},
            "hovermode": "closest",
            "shapes": [
                {"type": "line", "role": "ink", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper",
                 "line": {"width": 1.5}},
                {"type": "rect", "role": "band-pass", "x0": 0, "x1": stale, "y0": 0, "y1": 1,
                 "yref": "paper", "layer": "below"},
            ],
        },
    }  # fmt: skip


def _points(evidence: Evidence, switch: Switch, chosen: Mask, role: str) -> Figure:
    rows = evidence.requests.loc[
        chosen, ["id", "journey", "method", "version", "sent_ns", "end_ns"]
    ]
    texts = [
        f"{number:016x}<br>{method} {journey}<br>{version or 'no answer'}"
        for number, journey, method, version in zip(
            rows["id"], rows["journey"], rows["method"], rows["version"], strict=True
        )
    ]
    return {
        "name": "dropped" if role == "fail" else role,
        "role": role,
        "mode": "markers",
        "marker": {"size": 11, "symbol": "x"} if role == "fail" else {"size": 5, "opacity": 0.7},
        "x": listed((rows["sent_ns"] - switch.done_ns) / 1e6, 2),
        "y": listed((rows["end_ns"] - rows["sent_ns"]).clip(lower=1000) / 1e6, 2),
        "text": texts,
        "hovertemplate": "%{text}<br>%{x:.2f} ms, took %{y:.2f} ms<extra></extra>",
    }
