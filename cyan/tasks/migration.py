"""Commands of the database's migrations."""

# ruff: noqa: PLC0415, FBT001, FBT002 - late imports; flags are arguments
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyan.cli import command, settings
from cyan.errors import UsageError
from cyan.names import seconds, valid_version
from cyan.tasks.common import HOST, LOCK_WAIT, confirmed, given, hosts, keeping, visits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoke import Context

    from cyan.sections import HostSettings
    from cyan.settings import Settings

    Tell = Callable[[str], None]
    Apply = Callable[[Settings, HostSettings, Tell, float], tuple[str, ...]]


@command(name="check")
def migrate_check(c: Context) -> None:
    """Refuse what an expand migration may not do beside the old release (squawk)."""
    from cyan.errors import DeployError
    from cyan.migrations.apply import read
    from cyan.migrations.files import Kind
    from cyan.migrations.lint import findings
    from cyan.terminal import console

    found = read(settings(c))
    expands = [each for each in found if each.kind is Kind.EXPAND]
    unsafe = findings(expands)
    if unsafe:
        raise DeployError(
            f"{len(unsafe)} statements are not safe beside the old release",
            evidence="\n".join(map(str, unsafe)),
        )
    console.print(f"{len(expands)} expand files of {len(found)} migrations are safe")


@command(name="status", help={"host": HOST})
def migrate_status(c: Context, host: str = "") -> None:
    """Show what is applied and what is pending, by kind."""
    from cyan.migrations.commands import lines
    from cyan.migrations.commands import status as look

    wanted = settings(c)
    for machine, past_errors in visits(hosts(wanted, host or wanted.migrate.host)):
        with past_errors:
            for line in (f"{wanted.app} on {machine.name}", *lines(look(wanted, machine))):
                sys.stdout.write(f"{line}\n")


@command(name="expand", help={"lock_wait": LOCK_WAIT, "host": HOST})
def migrate_expand(c: Context, lock_wait: str = "0", host: str = "") -> None:
    """Apply the pending expand files now; a deploy does so by itself."""
    from cyan.migrations.commands import expand

    _applied(settings(c), expand, lock_wait, host)


@command(name="backfill", help={"lock_wait": LOCK_WAIT, "host": HOST})
def migrate_backfill(c: Context, lock_wait: str = "0", host: str = "") -> None:
    """Repeat the pending backfills, batch by batch, until they find no row."""
    from cyan.migrations.commands import backfill

    _applied(settings(c), backfill, lock_wait, host)


@command(
    name="contract",
    help={
        "version": "the oldest version that does without what is taken away",
        "yes": "do not ask",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    },
)
def migrate_contract(
    c: Context, version: str = "", yes: bool = False, lock_wait: str = "0", host: str = ""
) -> None:
    """Apply the pending contract files, once no container of an older release exists."""
    from cyan.migrations.commands import contract, wanted_contract
    from cyan.terminal import Progress

    version = valid_version(given(version, "--version", "v2"))
    wanted = settings(c)
    for machine, past_errors in visits(hosts(wanted, host or wanted.migrate.host)):
        with past_errors:
            names = ", ".join(wanted_contract(wanted, machine, version))
            question = (
                f"Apply {names} on {machine.name}? Releases older than {version} cannot come back."
            )
            if names and not yes and not confirmed(question):
                raise UsageError("nothing was applied", todo="answer 'yes', or give --yes")
            with keeping(wanted, machine, "migrate.contract"):
                done = contract(wanted, machine, version, Progress().note, seconds(lock_wait))
            _migrated(machine, done)


def _applied(wanted: Settings, kind: Apply, lock_wait: str, host: str) -> None:
    from cyan.terminal import Progress

    for machine, past_errors in visits(hosts(wanted, host or wanted.migrate.host)):
        with past_errors:
            with keeping(wanted, machine, f"migrate.{kind.__name__}"):
                done = kind(wanted, machine, Progress().note, seconds(lock_wait))
            _migrated(machine, done)


def _migrated(machine: HostSettings, names: Sequence[str]) -> None:
    from cyan.terminal import console

    applied = ", ".join(names)
    console.print(f"{machine.name}: {f'applied {applied}' if applied else 'nothing is pending'}")
