"""A session on a host: its lock is ours, and it was looked at."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cyan.engines.docker import Engine
from cyan.hosts.look import look
from cyan.journal.entries import Event
from cyan.journal.lock import Lock, Owner
from cyan.world.host import Host

if TYPE_CHECKING:
    from cyan.hosts.look import Observation
    from cyan.sections import HostSettings
    from cyan.settings import Settings
    from cyan.world.host import Output

AT_THE_PROXY = 60.0  # seconds

Tell = Callable[[str], None]
"""Who is told, a line at a time."""

Bar = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""What makes a progress bar from a label and a number of bytes."""


@contextmanager
def no_bar(_label: str, _total: int | None) -> Iterator[Callable[[int], None]]:
    """No progress bar."""
    yield lambda _size: None


@dataclass(frozen=True)
class Session:
    """What whoever changes a host works with: its lock is ours, and it was looked at.

    The settings are as they are on that host.
    """

    host: Host
    engine: Engine
    lock: Lock
    settings: Settings
    world: Observation

    @property
    def session(self) -> dict[str, Any]:
        """Its parts by name, for what works with these and more."""
        return {each.name: getattr(self, each.name) for each in fields(Session)}

    def run(self, command: str, *, check: bool = True) -> Output:
        """Run a command that changes the host, if the lock is still ours. Raises HostError."""
        return self.lock.run(command, check=check)


@contextmanager
def session(
    settings: Settings, machine: HostSettings, doing: str, tell: Tell, wait: float
) -> Iterator[Session]:
    """Take the lock, waiting for it `wait` seconds, of which `tell` hears. Raises CyanError.

    `tell` and the journal hear whose work is taken over, too.
    """
    with sessions(settings, (machine,), doing, tell, wait) as (mine,):
        yield mine


@contextmanager
def sessions(
    settings: Settings, machines: Sequence[HostSettings], doing: str, tell: Tell, wait: float
) -> Iterator[tuple[Session, ...]]:
    """The same on several hosts: all of their locks, taken in their order, then a look at each."""
    with ExitStack() as stack:
        hosts = [stack.enter_context(Host(machine)) for machine in machines]
        folder, us = str(settings.directory), owner(doing)
        locks = [
            stack.enter_context(Lock(host, folder, us, wait=wait, tell=tell)) for host in hosts
        ]
        with ThreadPoolExecutor(len(hosts)) as pool:
            mine = tuple(
                pool.map(
                    lambda each: _looked(settings.at(each[0].settings), *each),
                    zip(hosts, locks, strict=True),
                )
            )
        for each in mine:
            if each.lock.taken_over:
                _taken_over(each, doing, each.lock.taken_over, tell)
        yield mine


def looked_again(mine: Session) -> Session:
    """The same session after another look."""
    return replace(mine, world=look(mine.host, mine.engine, mine.settings))


def _looked(settings: Settings, host: Host, lock: Lock) -> Session:
    engine = Engine(host)
    return Session(host, engine, lock, settings, look(host, engine, settings))


@contextmanager
def proxy_lock(
    mine: Session, doing: str, tell: Tell = lambda _: None, wait: float = AT_THE_PROXY
) -> Iterator[Lock]:
    """Take the lock of the host's one proxy as well; the application's own where that has its own.

    What changes the proxy is run by it. Another application may be at it: a step of a run waits.
    """
    if mine.settings.adopted is None:
        yield mine.lock
        return
    doing, folder = f"{doing} of {mine.settings.app}", str(mine.settings.host_proxy.directory)
    with Lock(mine.host, folder, owner(doing), wait=wait, tell=tell) as lock:
        yield lock


def _taken_over(mine: Session, doing: str, whose: Owner, tell: Tell) -> None:
    text = f"took over the lock of {whose.described}, which ended in the middle"
    tell(text)
    what, live = doing.partition(" ")[0], mine.world.live
    mine.lock.record(mine.world.entry(what, Event.NOTE, live, text=text))


def owner(doing: str) -> Owner:
    """This process as the owner of a lock."""
    return Owner(getpass.getuser(), socket.gethostname(), time.time(), doing)
