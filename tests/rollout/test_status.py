"""What `inv status` tells of the last runs."""

from __future__ import annotations

from cyan.journal.entries import Entry, Event
from cyan.rollout.status import recent
from tests.rollout.worlds import NOW

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
