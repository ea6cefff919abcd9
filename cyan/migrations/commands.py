"""`inv migrate.*`: expand, backfill and contract by themselves, under the lock and journalled."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.engines import compose
from cyan.engines.docker import Engine
from cyan.errors import CyanError
from cyan.hosts.look import look
from cyan.hosts.session import session
from cyan.journal import entries as journal
from cyan.journal.entries import Event
from cyan.migrations import apply, files
from cyan.migrations.apply import Migrator
from cyan.migrations.files import Kind, Migration, State
from cyan.releases.contents import hiding
from cyan.world.host import Host
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cyan.hosts.look import Observation
    from cyan.sections import HostSettings
    from cyan.settings import Settings

    Tell = Callable[[str], None]

RUNS = 'grep -F \'"event":"begin"\' journal.jsonl || true'
"""The journal's begun runs, of all time: its newest lines alone would not do."""


def status(settings: Settings, machine: HostSettings) -> State:
    """The files beside what the database remembers. Raises CyanError."""
    with looked_at(settings, machine) as at:
        return apply.state(at, alone=False)


def expand(
    settings: Settings, machine: HostSettings, tell: Tell, lock_wait: float = 0
) -> tuple[str, ...]:
    """Apply the pending expand files; their names. Raises CyanError."""
    with locked(settings, machine, "migrate.expand", lock_wait, tell) as at:
        return apply.expand(at, release(at.world))


def backfill(
    settings: Settings, machine: HostSettings, tell: Tell, lock_wait: float = 0
) -> tuple[str, ...]:
    """Run the pending backfills to their ends; their names. Raises CyanError."""
    with locked(settings, machine, "migrate.backfill", lock_wait, tell) as at:
        found = apply.unchanged(at, apply.state(at, alone=True))
        pending = found.pending(Kind.BACKFILL)
        for each in pending:
            _in_order(at, found, each)
        for each in pending:
            apply.backfill(at, each, release(at.world), tell)
        return tuple(each.name for each in pending)


def wanted_contract(settings: Settings, machine: HostSettings, version: str) -> tuple[str, ...]:
    """What `contract` would do now. Raises CyanError where it may not."""
    with looked_at(settings, machine) as at:
        return _named(settings, _contractible(at, version, alone=False))


def contract(
    settings: Settings, machine: HostSettings, version: str, tell: Tell, lock_wait: float = 0
) -> tuple[str, ...]:
    """Apply the pending contract files, then run the command; what was done. Raises CyanError.

    Only while no container of a release older than `version` exists.
    """
    with locked(settings, machine, "migrate.contract", lock_wait, tell) as at:
        pending = _contractible(at, version, alone=True)
        for each in pending:
            apply.apply(at, each, release(at.world))
            tell(f"{each.name} is applied")
        once = _contracting(settings, at.world)
        if once:
            hide = hiding(at.host, settings, release(at.world))
            apply.run_command(at, once, hide)
        return _named(settings, pending)


def release(world: Observation) -> str:
    """The live release, which the database remembers beside what was applied."""
    return world.release(world.live)


@contextmanager
def looked_at(settings: Settings, machine: HostSettings) -> Iterator[Migrator]:
    """The bench without the lock: for looking only."""
    with Host(machine) as host:
        yield Migrator(host, settings, look(host, Engine(host), settings))


@contextmanager
def locked(
    settings: Settings, machine: HostSettings, what: str, lock_wait: float, tell: Tell
) -> Iterator[Migrator]:
    """The bench under the lock, with the journal's begin and end around the block."""
    with session(settings, machine, what, tell, lock_wait) as mine:
        lock, world = mine.lock, mine.world
        at = Migrator(mine.host, settings, world, lock)
        lock.record(world.entry(what, Event.BEGIN, world.live))
        try:
            yield at
        except (CyanError, KeyboardInterrupt) as error:
            text = getattr(error, "what", "it was interrupted")
            lock.record(world.entry(what, Event.END, world.live, ok=False, error=text))
            raise
        lock.record(world.entry(what, Event.END, world.live, ok=True))


def _named(settings: Settings, pending: tuple[Migration, ...]) -> tuple[str, ...]:
    command = settings.migrate.contract
    return (*(each.name for each in pending), *((command,) if command else ()))


def _contractible(at: Migrator, version: str, *, alone: bool) -> tuple[Migration, ...]:
    """The pending contract files, which may run now. Raises CyanError where they may not."""
    _only_newer(at, version)
    found = apply.unchanged(at, apply.state(at, alone=alone))
    pending = found.pending(Kind.CONTRACT)
    for each in pending:
        _in_order(at, found, each)
    return pending


def _in_order(at: Migrator, found: State, migration: Migration) -> None:
    for first in found.before(migration):
        raise at.failed(
            f"{migration.name} comes after {first.name}, which is pending",
            f"inv migrate.{first.kind}",
        )


def _contracting(settings: Settings, world: Observation) -> compose.Once | None:
    """How `migrate.contract` is run in the live release's image; None where there is none."""
    live = world.live
    if not settings.migrate.contract or live is None:
        return None
    folder = PurePosixPath(settings.directory) / "releases" / world.release(live)
    project = compose.Project(settings.project(live), folder)
    return project.once(
        "contract", settings.in_compose(settings.migrate.service, live), settings.migrate.contract
    )


def _only_newer(at: Migrator, version: str) -> None:
    quoted = quoted_path(at.settings.directory)
    entries = journal.parse(at.host.run(f"cd {quoted} && {RUNS}").stdout)
    runs = [each for each in entries if each.what in ("deploy", "rollback")]
    older = files.older(version, at.world.containers, runs)
    if older:
        raise at.failed(
            f"{' and '.join(older)} may be older than {version} and still need what a contract "
            "takes away",
            "inv cleanup removes the standby; deploy the version that needs it no more",
        )


def lines(state: State) -> list[str]:
    """What is applied and what is pending, a line for each, for people."""
    files = {each.name: each.kind for each in state.files}
    names = sorted({*files, *state.applied})
    return [_line(name, name in files, state) for name in names]


def _line(name: str, here: bool, state: State) -> str:  # noqa: FBT001 - whether its file is here
    applied = state.applied.get(name)
    if not applied:
        return f"pending  {name}"
    changed = name in {each.name for each in state.changed}
    more = ", CHANGED since" if changed else "" if here else ", no file here"
    when = applied.applied_at[:19].replace("T", " ")
    return f"applied  {name}  {when} by {applied.release or 'no release'}{more}"
