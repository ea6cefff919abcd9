"""What the proxy's log says of the new color against the old one just before."""

from __future__ import annotations

import json

import pytest

from cyan.rollout.baking import Sample, fault, split
from cyan.settings import BakeSettings

SWITCH = 1000.0
SETTINGS = BakeSettings()
WELL = Sample(600, 0, 0.01)


def line(ended: float, duration: float = 0.01, status: int = 200, **headers: str) -> str:
    given = {name.replace("_", "-"): [value] for name, value in headers.items()}
    told = {"ts": ended, "duration": duration, "status": status, "resp_headers": given}
    return json.dumps(told)


def test_a_request_belongs_to_the_time_in_which_it_started() -> None:
    across = line(SWITCH + 1, duration=2)
    before, after = split([across, line(SWITCH + 1)], SWITCH, 5)
    assert (before.n, after.n) == (1, 1)


def test_what_is_older_than_the_time_looked_at_does_not_count_nor_do_torn_lines() -> None:
    lines = [line(SWITCH - 9), '{"ts": 12', "", line(SWITCH - 1), line(SWITCH - 1, status=101)]
    before, after = split(lines, SWITCH, 5)
    assert (before.n, after.n) == (1, 0)


def test_the_503s_of_a_maintenance_are_not_held_against_the_new_color() -> None:
    lines = [line(SWITCH + 1 + n / 10, status=503, Retry_After="60") for n in range(40)]
    before, after = split(lines, SWITCH, 5)
    assert fault(before, after, SETTINGS) == ""
    own = [line(SWITCH + n, status=503, Retry_After="9", X_Color="blue") for n in range(1, 40)]
    assert "it errs" in fault(*split(own, SWITCH, 5), SETTINGS)


def test_the_sample_counts_5xx_and_has_the_duration_that_95_percent_keep() -> None:
    lines = [line(SWITCH + n, n / 1000, 502 if n > 98 else 200) for n in range(1, 101)]
    _, after = split(lines, SWITCH, 5)
    assert after == Sample(100, 2, 0.095)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (WELL, Sample(400, 20, 0.01), "it errs: 5.0% of 400 answers 5xx"),
        (WELL, Sample(400, 0, 0.9), "it is slow"),
        (Sample(0, 0, 0.0), Sample(400, 20, 0.01), "it errs"),
    ],
)
def test_errors_and_slowness_past_the_thresholds_are_told_with_figures(
    before: Sample, after: Sample, said: str
) -> None:
    assert said in fault(before, after, SETTINGS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (WELL, Sample(400, 4, 0.01)),  # as many as are allowed
        (WELL, Sample(19, 19, 9.0)),  # too few to say
        (WELL, Sample(60, 2, 0.01)),  # may be chance
        (Sample(600, 30, 0.01), Sample(400, 22, 0.01)),  # the old color erred as often
        (WELL, Sample(400, 0, 0.3)),  # slower, and yet quick
        (Sample(0, 0, 0.0), Sample(400, 0, 3.0)),  # slower than what?
    ],
)
def test_what_may_be_chance_or_was_so_before_is_no_fault(before: Sample, after: Sample) -> None:
    assert fault(before, after, SETTINGS) == ""
