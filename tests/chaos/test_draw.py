"""The drawing: seeded, fair, and the same for a part as for the whole."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyan.chaos.catalogue import BY_NAME, FAULTS
from cyan.chaos.draw import Drawn, Entry, draw, only
from cyan.chaos.specification import Options, again, drawn, entries
from cyan.errors import UsageError

THREE = (
    Entry("a", 10, {}),
    Entry("b", 20, {"moment": ("early", "late")}),
    Entry("c", 30, {}),
)
SEEDS = st.integers(0, 10_000)


@given(SEEDS, st.floats(0, 2000))
def test_the_same_seed_draws_the_same_faults(seed: int, seconds: float) -> None:
    assert draw(seed, seconds, THREE) == draw(seed, seconds, THREE)


@given(SEEDS, st.floats(0, 2000))
def test_every_entry_is_drawn_before_any_is_drawn_twice(seed: int, seconds: float) -> None:
    counts = Counter(each.name for each in draw(seed, seconds, THREE))
    most, least = max(counts.values()), min(counts[entry.name] for entry in THREE)
    assert most - least <= 1


@given(SEEDS, st.floats(60, 2000))
def test_a_draw_takes_no_longer_than_it_was_given(seed: int, seconds: float) -> None:
    took = {entry.name: entry.seconds for entry in THREE}
    spent = sum(took[each.name] for each in draw(seed, seconds, THREE))
    assert seconds - 30 <= spent <= seconds


def test_another_seed_draws_in_another_order() -> None:
    orders = {tuple(each.name for each in draw(seed, 60, THREE)) for seed in range(50)}
    assert len(orders) == 6


def test_a_choice_takes_each_of_its_options_before_it_repeats_one() -> None:
    moments = [each.values for each in draw(7, 1000, THREE) if each.name == "b"]
    pairs = list(zip(moments[::2], moments[1::2], strict=False))
    assert pairs
    assert all(first != second for first, second in pairs)


@given(SEEDS)
def test_what_a_run_prints_draws_the_same_values_again(seed: int) -> None:
    able = entries([each for each in FAULTS if not each.alone])
    faults = draw(seed, 3000, able)
    command = again(Options(seed=seed), faults)
    names = command.rsplit(" ", 1)[1].split(",")
    assert only(seed, names, able) == faults


def test_a_run_of_half_an_hour_draws_every_fault_that_may_be_drawn() -> None:
    named = {each.name for each in drawn(Options(minutes=30, seed=7))}
    assert named == {each.name for each in FAULTS if not each.alone}


def test_a_fault_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no fault 'meteor'"):
        drawn(Options(names=("meteor",)))


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "", "²"])
def test_a_round_that_is_no_number_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="names no round of two-deploys"):
        drawn(Options(names=(f"two-deploys:{given}",)))


def test_a_name_may_be_given_twice() -> None:
    assert [each.round for each in only(1, ("a", "a", "a:5"), THREE)] == [0, 1, 5]
    assert only(1, ("a",), THREE) == (Drawn("a"),)


def test_every_entry_of_the_catalogue_says_what_must_be_seen() -> None:
    assert len(BY_NAME) == len(FAULTS) + 3
    for each in FAULTS:
        made = each()
        assert made.tells.endswith(".")
        assert made.group in {"deployer", "release", "engine", "shared", "network"}
        assert len(made.expects.exits) == len(made.expects.says)
