"""The clocks, and what the journal says of what was let go; pure."""

from __future__ import annotations

from cyan.journal.entries import Entry, Event
from cyan.proof.history import SECOND, Clock, from_journal


def test_two_readings_of_a_steady_clock_keep_its_uncertainty() -> None:
    assert Clock(500, 30).until(Clock(500, 20)) == Clock(500, 30)


def test_a_clock_that_drifted_is_as_uncertain_as_half_the_drift_more() -> None:
    both = Clock(1000, 30).until(Clock(2001, 20))
    assert both == Clock(1500, 531)
    assert both.offset_ns - both.uncertainty_ns <= 1000 - 30 + 1
    assert both.offset_ns + both.uncertainty_ns >= 2001 + 20


def test_a_reload_of_the_proxy_lets_go_of_what_was_connected_at_its_instant() -> None:
    detail = {"text": "the Caddyfile was loaded", "left": 5, "cut_at": 100.0}
    line = Entry(103.0, "r1", "proxy.reload", Event.NOTE, "reload", "blue", "v1", "r1", detail)
    switches, (let_go,) = from_journal((line,), offset_ns=SECOND)
    assert switches == ()
    assert (let_go.step, let_go.cut, let_go.done_ns) == ("reload", 5, 99 * SECOND)


def test_any_other_note_lets_go_of_nothing() -> None:
    note = Entry(103.0, "r1", "deploy", Event.NOTE, "drain", "blue", "v1", "r1", {"left": 5})
    assert from_journal((note,)) == ((), ())
