"""What `inv status` tells of the last runs."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console

from cyan.journal.entries import Entry, Event
from cyan.names import Color
from cyan.rollout.status import recent, show
from tests.proxies.test_front import adopted
from tests.rollout.worlds import NOW, V1_ON_BLUE, container

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = Entry(NOW, "r1", "deploy", Event.BEGIN, "", "green", "v2", "r1")


def test_an_error_of_many_lines_is_told_in_one() -> None:
    failed = Entry(NOW + 2, "r1", "deploy", Event.END, detail={"ok": False, "error": "it\n\nbroke"})
    (line,) = recent((BEGIN, failed), 5)
    assert line.endswith("deploy v2 to green, 2.0 s: failed: it broke")


def test_a_run_that_never_ended_is_told_although_a_later_note_is_about_it() -> None:
    step = Entry(NOW + 1, "r1", "deploy", Event.STEP, "healthy")
    note = Entry(NOW + 9, "r1", "deploy", Event.NOTE, "switch", detail={"text": "found v2 live"})
    (line,) = recent((BEGIN, step, note), 5)
    assert line.endswith("not ended, last at healthy")


def test_each_service_says_its_version_where_they_differ_and_whose_it_is(tmp_path: Path) -> None:
    new = replace(container("platform", Color.BLUE), version="v2", release="r2")
    others = (container("rag", Color.BLUE), container("web"), container("db"))
    world = replace(V1_ON_BLUE, containers=(new, *others))
    console = Console(width=120, record=True, file=StringIO())
    show(console, world, adopted(tmp_path), "host")
    lines = [line.split() for line in console.export_text().splitlines()]
    rows = {line[line.index("healthy") - 1]: line for line in lines if "healthy" in line}
    assert "v2" in rows["platform"]
    assert "v1" in rows["rag"]
    assert rows["web"][:2] == ["own", "stack"]
    assert rows["db"][0] == "shared"
