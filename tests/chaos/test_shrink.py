"""Shortening: what is left still fails, and little is tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cyan.chaos.shrink import shrink


@given(st.sets(st.integers(0, 19), min_size=1, max_size=3))
def test_what_is_left_is_what_makes_it_fail_and_nothing_else(guilty: set[int]) -> None:
    shortest = shrink(range(20), lambda part: guilty <= set(part), 10_000)
    assert shortest == tuple(sorted(guilty))


@given(st.integers(0, 6), st.sets(st.integers(0, 19), min_size=1, max_size=3))
def test_it_is_tried_no_oftener_than_allowed_and_the_result_was_seen_to_fail(
    tries: int, guilty: set[int]
) -> None:
    tried: list[tuple[int, ...]] = []

    def fails(part: tuple[int, ...]) -> bool:
        tried.append(part)
        return guilty <= set(part)

    shortest = shrink(range(20), fails, tries)
    assert len(tried) <= tries
    assert shortest in {tuple(range(20)), *(part for part in tried if guilty <= set(part))}


def test_one_fault_is_as_short_as_it_gets() -> None:
    assert shrink(("only",), lambda _part: True, 9) == ("only",)
