"""The open schedule: when each request is due does not depend on how earlier ones went.

A closed loop waits for slow answers, and so leaves out just the requests that an outage would have
hurt (coordinated omission). Here request i is due at t0 + i / rate, whatever happens.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECOND = 1_000_000_000

WEIGHTS: dict[str, float] = {
    "page": 12,
    "items": 28,
    "order": 22,
    "me": 13,
    "ask": 6,
    "fresh": 16,
    "slow": 1.2,
    "download": 0.6,
    "events": 0.6,
    "socket": 0.6,
}
"""How often each journey is chosen. With half of `fresh` about 30 % of the requests are writes."""

SECURE = {"secure": 15.0}
"""The journey over TLS and HTTP/2, where the site has an address for it."""


@dataclass(frozen=True)
class Due:
    """One arrival: when it is due, in nanoseconds of the monotonic clock, and what it does."""

    at: int
    journey: str


def arrivals(start: int, rate: float, seed: int, weights: Mapping[str, float]) -> Iterator[Due]:
    """Arrivals for ever, `rate` a second from `start`; the same seed makes the same journeys."""
    generator = random.Random(seed)  # noqa: S311 - a choice of journeys, not a secret
    names, chances = list(weights), list(weights.values())
    number = 0
    while True:
        for journey in generator.choices(names, chances, k=256):
            yield Due(start + round(number * SECOND / rate), journey)
            number += 1


def chosen(names: str, *, secure: bool = False) -> Mapping[str, float]:
    """The weights of a comma-separated list of journeys; of an empty one, of the demo's mix.

    With `secure` the mix has the journey over TLS too.

    Raises ValueError for a journey that nobody knows.
    """
    if not names:
        return WEIGHTS | SECURE if secure else WEIGHTS
    wanted = names.split(",")
    unknown = set(wanted) - {*WEIGHTS, "get"}
    if unknown:
        message = f"no such journey: {', '.join(sorted(unknown))}; known: {', '.join(WEIGHTS)}, get"
        raise ValueError(message)
    return {name: WEIGHTS.get(name, 1.0) for name in wanted}
