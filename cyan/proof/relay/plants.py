"""The drops that calibration plants, one of every kind, and which request gets which: pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from cyan.proof.findings import Kind

SPACING = 60
"""Requests from one plant to the next, so that none hides behind another."""

SENT_TWICE = "sent once"
"""The check that finds a client which repeats itself; what it finds is no drop."""


@dataclass(frozen=True)
class Plant:
    """One fault and the check that must find it, on the first request of this method and path.

    `how` names what the relay does, `value` is its detail. `connection` is new, reused or, for
    either, "".
    """

    name: str
    how: str
    check: str
    method: str = "GET"
    path: str = "/items"
    connection: str = ""
    value: str = ""


def _by_demo(
    name: str, value: str, check: Kind, method: str = "POST", path: str = "/orders"
) -> Plant:
    """A fault that the demo application commits itself, told by a header of the relay."""
    return Plant(name, "header", check, method, path, value=value)


PLANTS = (
    Plant("reset, new connection", "reset", Kind.RESET, connection="new"),
    Plant("reset, reused connection", "reset", Kind.RESET, connection="reused"),
    Plant("reset, reused connection, POST", "reset", Kind.RESET, "POST", "/orders", "reused"),
    Plant("answer lost", "reset-answer", Kind.RESET),
    Plant("answer to a write lost", "reset-answer", Kind.RESET, "POST", "/orders"),
    Plant("no answer", "hold", Kind.TIMEOUT),
    Plant("status 503", "status", Kind.STATUS),
    Plant("status 503 to a write", "status", Kind.STATUS, "POST", "/orders"),
    Plant("body cut short", "truncated", Kind.TRUNCATED),
    Plant("download cut short", "truncated", Kind.TRUNCATED, path="/download"),
    Plant("byte flipped", "corrupted", Kind.TRUNCATED),
    Plant("answered by the old color", "stale", Kind.STALE),
    Plant("version goes back", "backwards", Kind.STALE, connection="reused"),
    Plant("answered by nobody", "unexplained", Kind.UNEXPLAINED),
    Plant("session forgotten", "session", Kind.SESSION_LOST, path="/me"),
    Plant("sent twice by the client", "twice", SENT_TWICE),
    _by_demo("write lost", "lost-write", Kind.LOST_WRITE),
    _by_demo("write doubled", "double-write", Kind.DOUBLE_WRITE),
    _by_demo("job lost", "lost-job", Kind.LOST_JOB),
    _by_demo("job done twice", "double-job", Kind.DOUBLE_JOB),
    _by_demo("executed twice", "twice", Kind.TWICE, "GET", "/items"),
    _by_demo("not seen by the application", "unseen", Kind.DOUBT, "GET", "/items"),
    _by_demo("colors mixed", "mixed", Kind.MIXED, "GET", "/ask"),
)
"""What a relay between swarm and proxy plants."""

REFUSED = Plant("connection refused", "refuse", Kind.REFUSED)
"""Planted by the swarm itself, which sends one request to a port where nobody listens."""


CLOSE = 20
"""Requests from one plant to the next, at least, where they are drawn."""


@dataclass(frozen=True)
class Draw:
    """So many plants, of kinds that are drawn, on requests that are drawn `within` so many.

    The same `seed` draws the same.
    """

    count: int
    within: int
    seed: int

    @property
    def plants(self) -> tuple[tuple[int, Plant], ...]:
        """The number of the request from which on each is due, in order, and the plant."""
        dice = random.Random(self.seed)  # noqa: S311 - no secret
        due = sorted(dice.randint(1, self.within) for _ in range(self.count))
        return tuple(
            (at, replace(kind, name=f"{number}. {kind.name}"))
            for number, (at, kind) in enumerate(
                zip(due, dice.choices(PLANTS, k=self.count), strict=True), 1
            )
        )


@dataclass
class Planter:
    """Says of each request in turn which plant it gets, each plant once; those that are `drawn`."""

    plants: tuple[Plant, ...] = PLANTS
    spacing: int = SPACING
    drawn: Draw | None = None
    seen: int = 0
    left: list[tuple[int, Plant]] = field(init=False)

    def __post_init__(self) -> None:
        self.left = [(number * self.spacing, plant) for number, plant in enumerate(self.plants, 1)]
        if self.drawn:
            self.left, self.spacing = list(self.drawn.plants), CLOSE

    def choose(self, method: str, path: str, connection: str) -> Plant | None:
        """The plant for the next request; None for most. `path` is without its query."""
        self.seen += 1
        for due, plant in self.left:
            if due > self.seen:
                return None
            fits = (plant.method, plant.path) == (method, path)
            if fits and plant.connection in {"", connection}:
                self.left.remove((due, plant))
                self.left = [(max(later, self.seen + self.spacing), p) for later, p in self.left]
                return plant
        return None
