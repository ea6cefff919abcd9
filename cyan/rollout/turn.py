"""A turn at a host: its lock is ours, and it was looked at."""

from __future__ import annotations

import getpass
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cyan.journal import Event
from cyan.rollout.book import entry_of
from cyan.rollout.lock import Lock, Owner
from cyan.rollout.observation import look
from cyan.world.engine import Engine
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cyan.rollout.observation import Observation
    from cyan.rollout.plan import Step
    from cyan.settings import HostSettings, Settings
    from cyan.world.host import Output

    Tell = Callable[[str], None]


class Reporter(Protocol):
    """Who is told how a run goes on."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def step(self, step: Step) -> None:
        """A step begins."""

    def done(self, step: Step, seconds: float, says: str) -> None:
        """A step ended well."""

    def failed(self, step: Step, seconds: float) -> None:
        """A step failed; the error follows."""

    def bar(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A long transfer of `total` bytes; what is given is called with bytes as they go."""


@dataclass(frozen=True)
class Turn:
    """What whoever changes a host works with."""

    host: Host
    engine: Engine
    lock: Lock
    settings: Settings
    world: Observation

    def run(self, command: str, *, check: bool = True) -> Output:
        """Run a command that changes the host, if the lock is still ours. Raises HostError."""
        return self.lock.run(command, check=check)


@contextmanager
def turn(
    settings: Settings, machine: HostSettings, doing: str, tell: Tell, wait: float
) -> Iterator[Turn]:
    """Take the lock, waiting for it `wait` seconds, of which `tell` hears. Raises CyanError.

    `tell` and the journal hear whose work is taken over, too.
    """
    host = Host(machine)
    engine = Engine(host)
    with host, Lock(host, str(settings.directory), owner(doing), wait=wait, tell=tell) as lock:
        mine = Turn(host, engine, lock, settings, look(host, engine, settings))
        if lock.taken_over:
            _taken_over(mine, doing, lock.taken_over, tell)
        yield mine


def _taken_over(mine: Turn, doing: str, whose: Owner, tell: Tell) -> None:
    text = f"took over the lock of {whose.described}, which ended in the middle"
    tell(text)
    what, live = doing.partition(" ")[0], mine.world.live
    mine.lock.record(entry_of(mine.world, what, Event.NOTE, live, text=text))


def owner(doing: str) -> Owner:
    """This process as the owner of a lock."""
    return Owner(getpass.getuser(), socket.gethostname(), time.time(), doing)
