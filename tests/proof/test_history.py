"""The clocks, pure."""

from __future__ import annotations

from cyan.proof.history import Clock


def test_two_readings_of_a_steady_clock_keep_its_uncertainty() -> None:
    assert Clock(500, 30).until(Clock(500, 20)) == Clock(500, 30)


def test_a_clock_that_drifted_is_as_uncertain_as_half_the_drift_more() -> None:
    both = Clock(1000, 30).until(Clock(2001, 20))
    assert both == Clock(1500, 531)
    assert both.offset_ns - both.uncertainty_ns <= 1000 - 30 + 1
    assert both.offset_ns + both.uncertainty_ns >= 2001 + 20
