"""The figures of single connections, of how long answers took, and of who did the host's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyan.proof.client_log import is_in
from cyan.proof.evidence import mask
from cyan.proof.figures import Figure, during, lines, listed, seconds, seconds_axis
from cyan.proof.requestlog import LASTING, Connection
from cyan.proof.resources import BLUE, ENGINES, GREEN, GROUPS, OTHERS, PROXY, REST, SHARED
from cyan.proof.timeline import COLORS

if TYPE_CHECKING:
    import pandas as pd

    from cyan.proof.evidence import Evidence, Mask
    from cyan.proof.history import Switch
    from cyan.proof.measures import Worst
    from cyan.proof.resources import Resources

NEAR_NS = 1_500_000_000
LANES = 30
TOLD = 3  # groups that a sentence names
LEAST = 0.05  # cores: less than that is not worth a word

ROLES = {
    BLUE: "blue",
    GREEN: "green",
    PROXY: "corrected",
    SHARED: "raw",
    OTHERS: "quiet",
    ENGINES: "unknown",
    REST: "rule",
}


def kept_connections(evidence: Evidence, drops: Mask) -> list[dict[str, Any]]:
    """A lane per connection that was kept across a switch, with each answer on it by its color.

    A user has one connection at a time, so a lane is a user's; where it was opened anew there is a
    mark. Of each switch the LANES lanes with the most answers.
    """
    made = []
    for switch in during(evidence):
        near = _near(evidence, switch)
        lanes = _lanes(evidence, near, switch)
        if lanes:
            name = f"{switch.source or 'nothing'} → {switch.target} {switch.version}"
            made.append({"name": name, "figure": _drawn(evidence, near, lanes, switch, drops)})
    return made


def _near(evidence: Evidence, switch: Switch) -> Mask:
    frame = evidence.requests
    close = np.abs(frame["sent_ns"].to_numpy() - switch.done_ns) <= NEAR_NS
    plain = ~is_in(frame["journey"], LASTING) & (frame["end_ns"].to_numpy() > 0)
    return mask(close & plain & is_in(frame["connection"], tuple(map(str, Connection))))


def _lanes(evidence: Evidence, near: Mask, switch: Switch) -> dict[tuple[int, int], str]:
    """The users whose first request after the switch went over a connection from before it."""
    rows = evidence.requests.loc[near, ["worker", "user", "sent_ns", "connection"]]
    lanes: list[tuple[int, tuple[int, int]]] = []
    for key, own in rows.groupby(["worker", "user"], observed=True):
        ordered = own.sort_values("sent_ns")
        after = ordered[ordered["sent_ns"] >= switch.done_ns]
        there = len(after) < len(ordered) and len(after) > 0
        if there and after["connection"].iloc[0] == str(Connection.REUSED):
            worker, user = (int(str(each)) for each in key)
            lanes.append((len(own), (worker, user)))
    chosen = sorted(key for _, key in sorted(lanes, reverse=True)[:LANES])
    return {key: f"{key[1]}" if key[0] == 0 else f"{key[0]}/{key[1]}" for key in chosen}


def _drawn(
    evidence: Evidence,
    near: Mask,
    lanes: dict[tuple[int, int], str],
    switch: Switch,
    drops: Mask,
) -> Figure:
    frame = evidence.requests.loc[near].assign(dropped=drops[near])
    pairs = zip(frame["worker"], frame["user"], strict=True)
    frame = frame.assign(lane=[lanes.get((int(w), int(u)), "") for w, u in pairs])
    frame = frame[frame["lane"] != ""]
    good = ~frame["dropped"]
    traces = [_bars(frame[good & mask(frame["color"] == color)], switch, color) for color in COLORS]
    opened = frame[mask(frame["connection"] == str(Connection.NEW))]
    traces += [
        _marks(opened, switch, "opened anew", "ink", "line-ns-open"),
        _marks(frame[frame["dropped"]], switch, "dropped", "fail", "x"),
    ]
    return {
        "data": [trace for trace in traces if trace["y"]],
        "layout": {
            "height": 90 + 14 * len(lanes),
            "barmode": "overlay",
            "bargap": 0.25,
            "xaxis": {"title": {"text": "milliseconds from the rename of the marker"}},
            "yaxis": {
                "type": "category", "categoryarray": list(lanes.values()), "showticklabels": False,
                "title": {"text": "connections"}, "fixedrange": True, "autorange": "reversed",
            },
            "hovermode": "closest",
            "shapes": [{"type": "line", "role": "ink", "x0": 0, "x1": 0, "y0": 0, "y1": 1,
                        "yref": "paper", "line": {"width": 1.5}}],
        },
    }  # fmt: skip


def _bars(rows: pd.DataFrame, switch: Switch, color: str) -> Figure:
    took = ((rows["end_ns"] - rows["sent_ns"]) / 1e6).clip(lower=2)  # a bar that can be seen
    return {
        "name": color,
        "role": color,
        "type": "bar",
        "orientation": "h",
        "marker": {},
        "base": listed((rows["sent_ns"] - switch.done_ns) / 1e6, 2),
        "x": listed(took, 2),
        "y": rows["lane"].tolist(),
        "text": [f"{a} {b}" for a, b in zip(rows["journey"], rows["version"], strict=True)],
        "textposition": "none",
        "hovertemplate": "connection %{y}: %{text}, sent at %{base} ms<extra></extra>",
    }


def _marks(rows: pd.DataFrame, switch: Switch, name: str, role: str, symbol: str) -> Figure:
    return {
        "name": name,
        "role": role,
        "mode": "markers",
        "marker": {"symbol": symbol, "size": 9},
        "x": listed((rows["sent_ns"] - switch.done_ns) / 1e6, 2),
        "y": rows["lane"].tolist(),
        "hovertemplate": f"connection %{{y}}: {name} at %{{x}} ms<extra></extra>",
    }


def distribution(evidence: Evidence) -> Figure:
    """How long answers took, from when they were due: each share of them, without and in acts.

    The axis is that of G. Tene's HdrHistogram: as far from each nine to the next, so that what the
    slowest had is not a pixel at the edge.
    """
    frame = evidence.requests
    looked = evidence.ok & ~is_in(frame["journey"], LASTING)
    waits = ((frame["end_ns"] - frame["due_ns"]) / 1e6).to_numpy()
    inside = frame["act"].to_numpy() >= 0
    kinds = (("without an act", "raw", ~inside), ("in acts", "corrected", inside))
    nines = (0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
    return {
        "data": [
            trace
            for name, role, within in kinds
            if (trace := _quantiles(name, role, waits[looked & within]))["x"]
        ],
        "layout": {
            "height": 320,
            "xaxis": {
                "title": {"text": "share of the answers that took no longer"},
                "tickvals": listed(-np.log10(1 - np.array(nines)), 4),
                "ticktext": [f"{share * 100:g} %" for share in nines],
            },
            "yaxis": {"title": {"text": "milliseconds"}, "type": "log", "dtick": 1},
            "hovermode": "closest",
        },
    }


def _quantiles(name: str, role: str, waits: np.ndarray) -> Figure:
    n = len(waits)
    steps = np.arange(0, np.log10(n) + 1e-9, 0.05) if n else np.array([])
    shares = 1 - 10.0**-steps
    values = np.quantile(waits, shares) if n else []
    return {
        "name": name,
        "role": role,
        "mode": "lines",
        "x": listed(steps),
        "y": listed(np.maximum(values, 0.01)),
        "text": [f"{share * 100:.4g} %" for share in shares],
        "line": {"width": 2},
        "hovertemplate": f"{name}: %{{text}} within %{{y:.1f}} ms<extra></extra>",
    }


def work(evidence: Evidence, used: Resources) -> Figure:
    """Who did the host's work, in cores, and how much memory the application's own had."""
    at = seconds(evidence, used.at_ns - evidence.history.clock.offset_ns)
    inside = mask((at >= 0) & (at <= seconds(evidence, evidence.history.load_ended_ns) + 1))
    x = listed(at[inside])
    shown = [name for name in GROUPS if used.cores[name][inside].max(initial=0) >= LEAST]
    cores = [
        {"name": name, "role": ROLES[name], "x": x, "y": listed(used.cores[name][inside]),
         "stackgroup": "work", "line": {"width": 0, "shape": "vh"}}
        for name in shown
    ]  # fmt: skip
    kept = [name for name in (BLUE, GREEN, PROXY) if used.resident[name][inside].any()]
    memory = [
        {"name": f"{name}'s memory", "showlegend": False, "role": ROLES[name], "mode": "lines",
         "x": x, "y": listed(used.resident[name][inside] / 2**20, 1), "yaxis": "y2",
         "line": {"width": 1.5, "shape": "vh"}}
        for name in kept
    ]  # fmt: skip
    return {
        "data": [*cores, *memory],
        "layout": {
            "height": 420,
            "xaxis": {**seconds_axis(evidence), "anchor": "y2"},
            "yaxis": {
                "title": {"text": f"cores, of {used.of}"}, "domain": [0.42, 1],
                "range": [0, used.of * 1.05], "fixedrange": True,
            },
            "yaxis2": {
                "title": {"text": "MiB"}, "domain": [0, 0.34], "rangemode": "tozero",
                "fixedrange": True,
            },
            "shapes": lines(evidence),
        },
    }  # fmt: skip


def at_the_worst(evidence: Evidence, used: Resources, worst: Worst) -> str:
    """Who did the host's work in the second that was worst for users, in words; "" unknown."""
    found = used.during(worst.instant_ns + evidence.history.clock.offset_ns)
    if found is None:
        return ""
    most = sorted(((cores, name) for name, cores in found.items() if cores >= LEAST), reverse=True)
    parts = ", ".join(f"{name} {cores:.1f}" for cores, name in most[:TOLD])
    whole = sum(found.values())
    named = f": {parts}" if parts else ""
    return f"The host worked with {whole:.1f} of its {used.of} cores then{named}."
