"""Migrations done to the database that both colors share, one file at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cyan.errors import DeployError, UsageError
from cyan.journal.while_held import WhileHeld
from cyan.migrations import files, lint, scripts
from cyan.migrations.database import Database
from cyan.migrations.files import Applied, Kind, Migration, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.engines.compose import Once
    from cyan.hosts.look import Observation
    from cyan.journal.lock import Lock
    from cyan.settings import Settings
    from cyan.world.host import Host, Output


@dataclass(frozen=True)
class Migrator:
    """What a migration is done with; without a lock it is for looking only."""

    host: Host
    settings: Settings
    world: Observation
    lock: Lock | None = None

    def run(self, script: str) -> Output:
        """Run a script in the database; its sessions end with its deployer. Raises HostError."""
        if self.lock is None:
            return self.database.run(script, self.host)
        end = self.database.command(scripts.ORPHANS)
        return self.database.run(script, WhileHeld(self.lock, end))

    @cached_property
    def database(self) -> Database:
        """The database that was looked at. Raises DeployError where it does not run."""
        wanted = self.settings.migrate.database
        container = self.world.service(wanted.service)
        if container is None or container.state != "running":
            raise self.failed(
                f"the shared service {wanted.service} does not run",
                "start it: inv lab.up for the lab, else fab -H USER@HOST provision",
            )
        return Database(container.name, wanted, scripts.APPLICATION)

    def failed(self, what: str, todo: str) -> DeployError:
        """The error of a migration that did not happen."""
        return DeployError(what, where=self.host.name, serving=self.world.serving, todo=todo)


def read(settings: Settings) -> tuple[Migration, ...]:
    """The project's migrations, in order. Raises UsageError for a file that is none."""
    folder = settings.migrate.directory
    if folder is None:
        return ()
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}", todo="make it, or take cyan.migrate.directory away"
        )
    try:
        return files.parse({path.name: path.read_text() for path in folder.glob("*.sql")})
    except UnicodeDecodeError as error:
        raise UsageError(f"a migration is not UTF-8: {error}", where=str(folder)) from None


def state(at: Migrator, *, alone: bool) -> State:
    """The files beside what the database remembers.

    `alone` says that we hold the lock, so that what a killed deployer left running is ended.
    """
    if at.settings.migrate.directory is None:
        return State((), {})  # commands only: the database may be anywhere
    done = at.run(scripts.look(alone=alone))
    if done.code != 0:
        raise at.failed(f"the database cannot be asked: {said(done)}", "see cyan.migrate.database")
    rows = (Applied(**row) for row in json.loads(done.stdout.strip().splitlines()[-1]))
    return State(read(at.settings), {row.name: row for row in rows})


def expand(at: Migrator, release: str) -> tuple[str, ...]:
    """Apply the pending expand files, once they are found safe; their names. Raises DeployError."""
    found = unchanged(at, state(at, alone=True))
    pending = found.pending(Kind.EXPAND)
    unsafe = lint.findings(pending)
    if unsafe:
        listed = "\n".join(str(each) for each in unsafe)
        raise at.failed(
            f"an expand is not safe beside the live release; nothing was applied:\n{listed}",
            "mend it, and see it pass: inv migrate.check",
        )
    for each in pending:
        apply(at, each, release)
    return tuple(each.name for each in pending)


def apply(at: Migrator, migration: Migration, release: str) -> None:
    """Apply one file, in one transaction unless it cannot be. DeployError in PostgreSQL's words."""
    done = at.run(scripts.apply(migration, release, at.settings.migrate))
    if done.code != 0:
        raise _failure(at, migration, done)


def backfill(at: Migrator, migration: Migration, release: str, tell: Callable[[str], None]) -> int:
    """Repeat one file until it finds no row; how many rows it changed."""
    rows = 0
    while True:
        done = at.run(scripts.backfill(migration, release, at.settings.migrate))
        if done.code != 0:
            raise _failure(at, migration, done)
        batches = [int(line) for line in done.stdout.split()]
        rows += sum(batches)
        tell(f"{migration.name}: {rows} rows")
        if batches[-1] == 0:
            return rows


def said(done: Output) -> str:
    """PostgreSQL's own words."""
    return (done.stderr or done.stdout).strip()[-2000:]


def run_command(at: Migrator, once: Once, hide: Callable[[str], str]) -> None:
    """Run a command of the user's, which ends with its deployer.

    Raises DeployError with its last words, from which `hide` has taken the secrets.
    """
    assert at.lock is not None  # noqa: S101 - for the type checker: such a bench only looks
    done = WhileHeld(at.lock, once.remove).run(once.command, check=False)
    if done.code != 0:
        said = hide(done.stdout + done.stderr)[-2000:]
        raise at.failed(
            f"the command failed with exit code {done.code}: {said}",
            "mend it; it is run again as a whole",
        )


def unchanged(at: Migrator, found: State) -> State:
    """The same state; DeployError where a file was changed after it was applied.

    And where one that is pending belongs to another database, such as the demo's own.
    """
    for table in sorted({each.requires for each in found.pending()} - {""}):
        asked = at.run(scripts.exists(table))
        if asked.stdout.strip() != "t":
            pending = ", ".join(each.name for each in found.pending() if each.requires == table)
            raise at.failed(
                f"{pending} want a database that has {table}, and this one does not: nothing was "
                "applied",
                "are they another application's? cyan.migrate.directory names your own",
            )
    for each in found.changed:
        raise at.failed(
            f"{each.name} was changed after it was applied ({each.applied_at[:19]}, by release "
            f"{each.release})",
            "restore the file, and put the change into a new one",
        )
    return found


def _failure(at: Migrator, migration: Migration, done: Output) -> DeployError:
    words, todo = said(done), "mend it and try again; the files before it stay applied"
    if "lock timeout" in words:
        holders = at.run(scripts.OPEN).stdout.strip() or "none is open any more"
        words += f"\nanother session holds the lock; the oldest open transactions:\n{holders}"
        todo = "try again when they have ended, or end them: select pg_terminate_backend(PID)"
    if migration.index and at.run(scripts.invalid(migration.index)).stdout.strip():
        words += f"\nit left the index {migration.index} INVALID"
        todo = "mend the cause and try again: the invalid index is dropped first"
    return at.failed(f"{migration.name} was not applied: {words}", todo)
