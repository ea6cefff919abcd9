from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import binom

from cyan.proof.statistics import (
    control_interval,
    latency,
    longest_interval,
    needed,
    quantiles,
    upper_bound,
)


def instants(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


@pytest.mark.parametrize("n", [1, 20, 59, 3000, 10_000_000])
def test_no_drop_in_n_bounds_the_rate_at_one_minus_the_nth_root(n: int) -> None:
    assert upper_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n))


def test_three_thousand_requests_without_a_drop_bound_the_rate_at_one_in_a_thousand() -> None:
    assert upper_bound(0, 3000) == pytest.approx(0.001, rel=0.01)


def test_a_bound_with_drops_is_the_published_one() -> None:
    assert upper_bound(1, 10) == pytest.approx(0.39416, abs=1e-5)
    assert upper_bound(10, 10) == 1
    assert upper_bound(0, 0) == 1


@given(some.integers(1, 2000), some.data())
def test_at_its_bound_so_few_drops_have_a_chance_of_five_percent(
    n: int, data: some.DataObject
) -> None:
    drops = data.draw(some.integers(0, n - 1))
    assert binom.cdf(drops, n, upper_bound(drops, n)) == pytest.approx(0.05, rel=1e-6)


def test_more_drops_than_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="3 drops in 2 requests"):
        upper_bound(3, 2)


@given(some.floats(1e-7, 0.5))
def test_the_requests_needed_for_a_bound_reach_it_and_one_fewer_does_not(bound: float) -> None:
    n = needed(bound)
    assert upper_bound(0, n) <= bound * (1 + 1e-9)
    assert n == 1 or upper_bound(0, n - 1) > bound * (1 - 1e-9)


def test_claiming_under_one_in_100_000_takes_300_000_requests() -> None:
    assert needed(1e-5) == 299_572


def test_the_longest_gap_counts_the_windows_edges_and_not_what_lies_outside() -> None:
    assert longest_interval(instants(12, 15, 16), 10, 20) == 4
    assert longest_interval(instants(1, 19, 99), 10, 20) == 9
    assert longest_interval(instants(), 10, 20) == 10
    assert longest_interval(instants(12), 20, 20) == 0


@given(some.lists(some.integers(0, 1000), max_size=30))
def test_the_longest_gap_is_never_shorter_than_an_even_share(values: list[int]) -> None:
    gap = longest_interval(instants(*values), 0, 1000)
    assert 1000 / (len(values) + 1) <= gap <= 1000


def test_the_control_is_an_equally_long_stretch_of_the_longest_steady_state() -> None:
    sent = instants(0, 5, 100, 130, 190)
    assert control_interval(sent, 50, ((0, 10), (100, 200))) == (30, 50)
    assert control_interval(sent, 500, ((0, 10), (100, 200))) == (60, 100)
    assert control_interval(sent, 50, ()) == (0, 0)


def test_a_stall_shows_in_the_corrected_latency() -> None:
    due = instants(*range(0, 100_000_000, 1_000_000))
    sent = np.maximum(due, 50_000_000)
    found = latency(due, sent, sent + 1_000_000)
    assert found.raw["p99"] == pytest.approx(1)
    assert found.corrected["max"] == pytest.approx(51)


def test_quantiles_of_nothing_are_not_numbers() -> None:
    assert all(math.isnan(value) for value in quantiles(instants()).values())
