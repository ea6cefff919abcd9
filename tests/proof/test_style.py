"""What a report says beside its verdict, and that it can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cyan.journal.entries import Entry, Event
from cyan.proof import measures, timeline
from cyan.proof.history import SECOND, steps_of
from tests.proof.synthetic import MS

if TYPE_CHECKING:
    from tests.proof.synthetic import Run

STYLE = Path(__file__).parents[2] / "cyan/proof/templates/report.css"


def test_each_journey_has_its_own_figures(clean: Run) -> None:
    row = int(np.flatnonzero(clean.requests["journey"] == "ask")[0])
    run = clean.planted(row, failure="status", status=503, error="status 503, wanted 200")
    found = {each.name: each for each in measures.journeys(run.evidence())}
    assert sum(each.n for each in found.values()) == len(clean.requests)
    ask = found["ask"]
    assert (ask.failed, ask.errors) == (1, (("status: status 503, wanted 200", 1),))
    assert dict(ask.statuses) == {200: ask.n - 1, 503: 1}
    assert found["page"].failed == 0
    names = ("min", "p50", "p90", "p95", "p99", "p99.9", "max")
    assert ask.times["min"] > 0
    assert [ask.times[name] for name in names] == sorted(ask.times[name] for name in names)
    assert ask.times["min"] <= ask.times["average"] <= ask.times["max"]
    seconds = (run.history.load_ended_ns - run.history.load_begun_ns) / SECOND
    assert ask.rate == ask.n / seconds


def test_what_users_felt_is_the_second_in_which_half_of_them_waited_longest(clean: Run) -> None:
    frame = clean.requests.copy()
    begun = (clean.history.performed[1].begun_ns // SECOND) * SECOND
    begun += 0 if clean.history.performed[1].begun_ns % SECOND < SECOND // 2 else SECOND
    inside = (frame["due_ns"] >= begun) & (frame["due_ns"] < begun + SECOND)
    frame.loc[inside, "end_ns"] += 700 * MS
    worst = measures.worst_second(replace(clean, requests=frame).evidence())
    assert worst is not None
    text = worst.sentence
    second = (begun - clean.history.load_begun_ns) // SECOND
    assert text.startswith(
        f"In the worst second, {second} s after the load began and in “deploy v3”"
    )
    waited = int(text.split("half of the users waited ")[1].split(" ")[0])
    assert 700 <= waited < 720


def test_the_steps_of_a_deploy_are_read_from_the_journal_and_drawn(clean: Run) -> None:
    def entry(at: float, event: Event, step: str) -> Entry:
        return Entry(at, "r1", "deploy", event, step, "blue", "v2")

    told = steps_of(
        (
            entry(10, Event.STEP, "start"),
            entry(12, Event.DONE, "start"),
            entry(12, Event.STEP, "smoke"),
            entry(13, Event.FAILED, "smoke"),
            entry(13, Event.STEP, "switch"),  # its deployer was killed
        ),
        offset_ns=SECOND,
    )
    found = [(e.step, e.begun_ns // SECOND, e.done_ns // SECOND, e.ok) for e in told]
    assert found == [("start", 9, 11, True), ("smoke", 11, 12, False)]
    at = clean.history.load_begun_ns + SECOND
    steps = tuple(replace(each, begun_ns=at, done_ns=at + 2 * SECOND) for each in told)
    evidence = replace(clean, history=replace(clean.history, steps=steps)).evidence()
    figure = timeline.time_line(evidence, (), np.zeros(len(clean.requests), bool))
    lane = {each["role"]: each for each in figure["data"] if each.get("yaxis") == "y3"}
    assert set(lane) == {"blue", "fail"}
    assert (lane["blue"]["base"], lane["blue"]["x"], lane["blue"]["text"]) == (
        [1.0],
        [2.0],
        ["start"],
    )
    assert lane["fail"]["customdata"] == ["smoke of blue v2, 2.00 s, failed"]


def luminance(color: str) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [(name, f"{name}-soft") for name in ("pass", "fail", "unknown")]
    + [("quiet", "paper"), ("quiet", "card"), ("ink", "card")],
)
def test_what_is_written_can_be_read(theme: str, ink: str, ground: str) -> None:
    """WCAG 2.1, level AA: 4.5 to 1."""
    css = STYLE.read_text()
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    found = dict(
        re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light if theme == "light" else dark[:900])
    )
    lights = sorted((luminance(found[ink]), luminance(found[ground])))
    assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5
