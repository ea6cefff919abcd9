"""The drops that calibration plants, one of every kind, and which request gets which: pure."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass
class Planter:
    """Says of each request in turn which plant it gets, each plant once."""

    plants: tuple[Plant, ...] = PLANTS
    spacing: int = SPACING
    seen: int = 0
    left: list[tuple[int, Plant]] = field(init=False)

    def __post_init__(self) -> None:
        self.left = [(number * self.spacing, plant) for number, plant in enumerate(self.plants, 1)]

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
