"""The schedule is open, steady and repeatable."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest

from loadtests.schedule import SECOND, WEIGHTS, arrivals, chosen


def test_arrivals_are_due_at_the_rate_whatever_happens() -> None:
    due = [item.at for item in islice(arrivals(0, 250, 1, WEIGHTS), 1001)]
    assert due[1000] == 4 * SECOND
    assert {later - earlier for earlier, later in pairwise(due)} == {4_000_000}


def test_the_same_seed_makes_the_same_journeys_and_another_one_does_not() -> None:
    def journeys(seed: int) -> list[str]:
        return [item.journey for item in islice(arrivals(0, 1, seed, WEIGHTS), 500)]

    assert journeys(7) == journeys(7)
    assert journeys(7) != journeys(8)


def test_about_a_third_of_the_requests_write() -> None:
    writes = WEIGHTS["order"] + WEIGHTS["fresh"] / 2
    assert 0.25 < writes / sum(WEIGHTS.values()) < 0.4


def test_a_journey_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such journey: pages"):
        chosen("items,pages")
