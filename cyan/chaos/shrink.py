"""The shortest sequence that still fails: delta debugging, with a limit to its patience. Pure.

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE Transactions on
Software Engineering 28 (2), 2002: ddmin.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool], tries: int) -> tuple[T, ...]:
    """The shortest part of `items` that was seen to fail, by at most `tries` calls of `fails`.

    `items` as a whole are known to fail. Order is kept.
    """
    smallest, parts = tuple(items), 2
    while len(smallest) > 1:
        found = None
        for candidate in _candidates(smallest, parts):
            if tries <= 0:
                return smallest
            tries -= 1
            if fails(candidate):
                found = candidate
                break
        if found is not None:
            smallest, parts = found, 2
        elif parts >= len(smallest):
            return smallest
        else:
            parts = min(len(smallest), parts * 2)
    return smallest


def _candidates(items: tuple[T, ...], parts: int) -> Iterator[tuple[T, ...]]:
    """The parts themselves, then what is left without each."""
    edges = [round(number * len(items) / parts) for number in range(parts + 1)]
    pieces = list(pairwise(edges))
    for begin, end in pieces:
        yield items[begin:end]
    if parts > 2:  # noqa: PLR2004 - without one of two is the other
        for begin, end in pieces:
            yield items[:begin] + items[end:]
