"""Which faults a run has: drawn from a seed, and the same again from the same seed. Pure."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Entry:
    """What can be drawn: a fault's name, the seconds it takes, the values it chooses among."""

    name: str
    seconds: float
    choices: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Drawn:
    """One fault of a run: the `round`-th time (from 0) that it was drawn, with its values."""

    name: str
    round: int = 0
    values: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """The fault and its values, in words."""
        return " ".join((self.name, *(f"({value})" for _, value in self.values)))


def draw(seed: int, seconds: float, catalogue: Sequence[Entry]) -> tuple[Drawn, ...]:
    """Faults for about `seconds`: every entry once before any is drawn twice; one at least."""
    drawn: list[Drawn] = []
    spent = 0.0
    for number, entry in _endless(seed, catalogue):
        if drawn and spent + entry.seconds > seconds:
            break
        drawn.append(Drawn(entry.name, number, values(seed, entry, number)))
        spent += entry.seconds
    return tuple(drawn)


def only(seed: int, names: Sequence[str], catalogue: Sequence[Entry]) -> tuple[Drawn, ...]:
    """The named faults, in this order, each with the values that the seed gives it.

    `name:2` is the third time that it is drawn. Raises KeyError for a name that is no entry's, and
    UsageError for a round that is no number.
    """
    by_name = {entry.name: entry for entry in catalogue}
    seen = Counter[str]()
    drawn = []
    for text in names:
        name, colon, given = text.partition(":")
        if colon and not (given.isascii() and given.isdecimal()):
            raise UsageError(
                f"{text!r} names no round of {name}",
                todo=f"{name}:0 is the first time that it is drawn",
            )
        number = int(given) if given else seen[name]
        seen[name] = number + 1
        drawn.append(Drawn(name, number, values(seed, by_name[name], number)))
    return tuple(drawn)


def values(seed: int, entry: Entry, number: int) -> tuple[tuple[str, str], ...]:
    """The values of one draw: they depend on nothing but seed, name and round.

    So a run that leaves others out draws them again. A choice is repeated only once each of its
    options was drawn.
    """
    chosen = []
    for key, options in sorted(entry.choices.items()):
        order = list(options)
        random.Random(f"{seed} {entry.name} {key} {number // len(order)}").shuffle(order)  # noqa: S311 - no secret
        chosen.append((key, order[number % len(order)]))
    return tuple(chosen)


def _endless(seed: int, catalogue: Sequence[Entry]) -> Iterator[tuple[int, Entry]]:
    dice = random.Random(str(seed))  # noqa: S311 - no secret
    number = 0
    while catalogue:
        order = list(catalogue)
        dice.shuffle(order)
        for entry in order:
            yield number, entry
        number += 1
