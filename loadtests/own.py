"""The users of any site: what load.yaml says, and journeys that somebody wrote in Python.

    from loadtests.own import Call, journey

    @journey(weight=3)
    def shop(user):
        answer = yield Call("log in", "POST", "/login", 200, b"name=ann")
        while True:
            yield Call("cart", "GET", "/cart", headers={"Cookie": answer.cookie})

Each arrival is one request: the next that a user's journey yields. It is sent the answer.
"""

from __future__ import annotations

import importlib.util
import random
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cyan.errors import UsageError
from loadtests.client import Answer, Call, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from cyan.proof.loadfile import LoadFile, Shape

    Steps = Generator[Call, Answer, None]
    Written = Callable[[int], Steps]

__all__ = ["Answer", "Call", "Own", "journey"]

FRESH = 0.15
"""The share of requests on a connection of their own, so that both sorts are looked at."""

REQUEST_ID = b"{request_id}"
"""What stands in a body for the request's own id."""

WRITTEN: dict[str, tuple[Written, float]] = {}
"""The journeys of the file that was read last, by name, with their weights."""


def journey(weight: float = 1.0) -> Callable[[Written], Written]:
    """Make a generator function a journey; it is given a number that is its user's alone."""

    def keep(written: Written) -> Written:
        WRITTEN[written.__name__] = (written, weight)
        return written

    return keep


@dataclass
class Own:
    """What load.yaml asks for, as the swarm wants it."""

    load: LoadFile
    seed: int
    _shapes: dict[str, Shape] = field(init=False)
    _written: dict[str, tuple[Written, float]] = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 - a choice of paths
        self._shapes = {shape.title: shape for shape in self.load.requests}
        self._written = read_journeys(self.load.journeys) if self.load.journeys else {}
        self.pools: tuple[str, ...] = tuple(self._written)  # a user goes on where it was

    @property
    def weights(self) -> Mapping[str, float]:
        """How often each is chosen."""
        written = {name: weight for name, (_, weight) in self._written.items()}
        return {name: shape.weight for name, shape in self._shapes.items()} | written

    def alone(self, journey: str) -> bool:
        """Whether this arrival shall have a connection of its own."""
        return journey in self._shapes and self._dice.random() < FRESH

    def call_of(self, journey: str, session: Session, path: str) -> Call:  # noqa: ARG002 - the demo's
        """The call that comes next."""
        if journey in self._written:
            return self._next(journey, session)
        shape = self._shapes[journey]
        chosen = {part: self._dice.choice(values) for part, values in shape.values.items()}
        where = shape.path.format(**chosen)
        return Call(
            journey, shape.method, where, shape.expects, shape.body.encode(), dict(shape.headers)
        )

    def perform(self, call: Call, session: Session, request_id: str) -> Answer:
        """Make the call, and keep its answer for the journey's next.

        A body may hold its request's id, so that what is written can be told by it.
        """
        body = call.body.replace(REQUEST_ID, request_id.encode())
        answer = session.call(replace(call, body=body), request_id)
        session.said = answer
        return answer

    def _next(self, name: str, session: Session) -> Call:
        """What the user's journey yields next; one that has ended, or failed, begins anew."""
        call: Call | None = None
        if session.steps is not None and session.said is not None and not session.said.failure:
            with suppress(StopIteration):
                call = session.steps.send(session.said)
        if call is None:
            session.steps = self._written[name][0](session.user)
            call = next(session.steps)
        return Call(
            name, call.method, call.path, call.expects, call.body, call.headers, call.deadline
        )


def read_journeys(path: Path) -> dict[str, tuple[Written, float]]:
    """The journeys of a Python file. Raises UsageError where it has none, or cannot be run."""
    WRITTEN.clear()
    spec = importlib.util.spec_from_file_location("journeys_of_the_load", path)
    try:
        assert spec is not None  # noqa: S101 - for the type checker, as the next
        assert spec.loader is not None  # noqa: S101
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} cannot be run: {error!r}") from error
    if not WRITTEN:
        raise UsageError(f"{path} has no journey", todo="decorate one with loadtests.own.journey")
    return dict(WRITTEN)
