"""Commands that look at a host, or change it without a rotation."""

# ruff: noqa: PLC0415, FBT001, FBT002 - late imports; flags are arguments
from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from cyan.cli import command, settings
from cyan.errors import UsageError
from cyan.names import seconds
from cyan.tasks.common import (
    HOST,
    JSON,
    LOCK_WAIT,
    confirmed,
    first_last,
    hosts,
    keeping,
    print_json,
    visits,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke import Context

    from cyan.sections import HostSettings
    from cyan.settings import Settings

WATCHED = 2.0  # seconds


@command(
    help={"watch": "show it again every two seconds, until Ctrl-C", "json": JSON, "host": HOST}
)
def status(c: Context, watch: bool = False, json: bool = False, host: str = "") -> None:
    """Show colors, versions, health, requests in flight, drift and the last runs."""
    from cyan.terminal import console

    wanted = settings(c)
    machines = hosts(wanted, host)
    if json:
        from cyan.rollout import as_json
        from cyan.rollout.status import observe

        print_json(
            "status",
            machines,
            lambda each: as_json.status(observe(wanted, each), wanted.at(each), each.name),
        )
        return
    while watch:
        with console.capture() as shown:
            _show(wanted, machines)
        console.clear()
        console.out(shown.get(), end="", highlight=False)
        time.sleep(WATCHED)
    _show(wanted, machines)


def _show(wanted: Settings, machines: Sequence[HostSettings]) -> None:
    from cyan.rollout import fleet
    from cyan.rollout.status import observe, show
    from cyan.terminal import console

    seen = []
    for machine, past_errors in visits(machines):
        with past_errors:
            world = observe(wanted, machine)
            show(console, world, wanted.at(machine), machine.name)
            seen.append(fleet.standing(fleet.flag(machine, machines), world))
    if told := fleet.difference(seen):
        console.print(f"[yellow]{told}[/yellow]")


@command(
    iterable=["recreate"],
    help={
        "host": HOST,
        "recreate": "a shared service to make anew where its definition changed; may be repeated",
    },
)
def provision(c: Context, host: str = "", recreate: list[str] | None = None) -> None:
    """Prepare hosts: engine, directory, shared services; what runs is made anew only if agreed."""
    from cyan.application.secrets import collect
    from cyan.rollout.provision import install_engine
    from cyan.rollout.provision import provision as prepare
    from cyan.terminal import console
    from cyan.world.host import Host

    wanted = settings(c)
    secrets = collect(wanted)
    if unknown := set(recreate or ()) - set(wanted.stateful):
        raise UsageError(
            f"no shared service is called {', '.join(sorted(unknown))}",
            todo=f"one of: {', '.join(wanted.stateful)}",
        )
    for machine, past_errors in visits(hosts(wanted, host)):

        def agrees(service: str, name: str = machine.name) -> bool:
            question = f"{service} on {name} is defined otherwise now; its users are interrupted."
            return service in (recreate or ()) or confirmed(f"{question} Make it anew?")

        with past_errors, Host(machine) as there:
            console.print(f"{machine.name}: {install_engine(there, wanted)}")
            console.print(f"{machine.name}: {prepare(there, wanted, secrets, agrees)}")


@command(help={"json": JSON, "host": HOST})
def doctor(c: Context, json: bool = False, host: str = "") -> None:
    """Check everything that a deploy needs, and say how to mend what is wrong."""
    from cyan.rollout.doctor import examine, show
    from cyan.terminal import console

    wanted = settings(c)
    if json:
        from cyan.rollout import as_json

        print_json(
            "doctor",
            hosts(wanted, host),
            lambda each: as_json.doctor(examine(wanted, each), each.name),
        )
        return
    well = True
    for machine, past_errors in visits(hosts(wanted, host)):
        with past_errors:
            well &= show(console, machine.name, examine(wanted, machine))
    sys.exit(0 if well else 1)


@command(
    help={
        "expired": "only if it has been warm for longer than cyan.warm.for; for a cron job",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    }
)
def cleanup(c: Context, expired: bool = False, lock_wait: str = "0", host: str = "") -> None:
    """Remove the standby color; a rollback must then deploy."""
    from cyan.rollout.removal import cleanup as remove
    from cyan.terminal import Progress, console

    wanted = settings(c)
    for machine, past_errors in visits(first_last(wanted, hosts(wanted, host))):
        with past_errors:
            with keeping(wanted, machine, "cleanup"):
                removed = remove(wanted, machine, Progress(), seconds(lock_wait), expired=expired)
            console.print(f"{machine.name}: removed {removed.what}; serving: {removed.serving}")


@command(
    help={
        "yes": "do not ask",
        "volumes": "remove the volumes too: the database's data is lost",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    }
)
def reset(
    c: Context, yes: bool = False, volumes: bool = False, lock_wait: str = "0", host: str = ""
) -> None:
    """Remove everything of the application, both colors and the shared services."""
    from cyan.rollout.removal import reset as remove
    from cyan.terminal import Progress, console

    wanted = settings(c)
    machines = hosts(wanted, host)
    names = ", ".join(machine.name for machine in machines)
    data = " AND ITS DATA" if volumes else ""
    if not yes and not confirmed(f"Remove {wanted.app}{data} from {names}?"):
        raise UsageError("nothing was removed", todo="answer 'yes', or give --yes")
    for machine, past_errors in visits(first_last(wanted, machines)):
        with past_errors:
            wait = seconds(lock_wait)
            with keeping(wanted, machine, "reset"):
                removed = remove(wanted, machine, Progress(), volumes=volumes, lock_wait=wait)
            console.print(f"{machine.name}: removed {removed.what}")


@command(help={"force": "needed: whoever holds the lock may be at work", "host": HOST})
def unlock(c: Context, force: bool = False, host: str = "") -> None:
    """Take the lock from an owner who hangs; a dead one's needs no unlocking."""
    from cyan.rollout.removal import unlock as take
    from cyan.terminal import Progress, console

    if not force:
        raise UsageError("a living owner's lock is only taken by force", todo="inv unlock --force")
    wanted = settings(c)
    for machine, past_errors in visits(hosts(wanted, host)):
        with past_errors:
            was = take(wanted, machine, Progress())
            console.print(
                f"{machine.name}: {f'taken from {was}' if was else 'nobody holds the lock'}"
            )


@command(help={"state": "on or off", "lock_wait": LOCK_WAIT, "host": HOST})
def maintenance(c: Context, state: str, lock_wait: str = "0", host: str = "") -> None:
    """Answer every user with 503, on purpose, or serve again: on | off."""
    from cyan.rollout.maintenance import maintenance as mark
    from cyan.terminal import Progress, console

    if state not in ("on", "off"):
        raise UsageError(f"{state!r} is neither on nor off", todo="inv maintenance on")
    wanted = settings(c)
    for machine, past_errors in visits(hosts(wanted, host)):
        with past_errors:
            wait, tell = seconds(lock_wait), Progress().note
            with keeping(wanted, machine, "maintenance"):
                serving = mark(wanted, machine, tell, on=state == "on", lock_wait=wait)
            console.print(f"{machine.name}: maintenance is {state}; serving: {serving}")


@command(
    name="reload",
    help={
        "again": "also where the proxy runs this Caddyfile already",
        "in_place": "into the proxy that runs, by lame duck; so it is without root on the host",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    },
)
def proxy_reload(
    c: Context,
    again: bool = False,
    in_place: bool = False,
    lock_wait: str = "0",
    host: str = "",
) -> None:
    """Load a changed Caddyfile, validated first, without a drop: a proxy with it takes over."""
    from cyan.rollout.upgrading import Reload, reload
    from cyan.terminal import Progress, console

    wanted = settings(c)
    for machine, past_errors in visits(hosts(wanted, host)):
        with past_errors:
            wait, tell = seconds(lock_wait), Progress().note
            with keeping(wanted, machine, "proxy.reload"):
                says = reload(wanted, machine, tell, Reload(again, in_place), wait)
            console.print(f"{machine.name}: {says}")


@command(
    name="upgrade",
    help={"pull": "fetch its image anew first", "lock_wait": LOCK_WAIT, "host": HOST},
)
def proxy_upgrade(c: Context, pull: bool = False, lock_wait: str = "0", host: str = "") -> None:
    """Have a new image, definition or configuration of the proxy take its place, without a drop."""
    from cyan.rollout.upgrading import upgrade
    from cyan.terminal import Progress, console

    wanted = settings(c)
    for machine, past_errors in visits(hosts(wanted, host)):
        with past_errors:
            wait, tell = seconds(lock_wait), Progress().note
            with keeping(wanted, machine, "proxy.upgrade"):
                says = upgrade(wanted, machine, tell, pull=pull, lock_wait=wait)
            console.print(f"{machine.name}: {says}")


@command(help={"lines": "how many", "json": JSON, "host": HOST})
def history(c: Context, lines: int = 40, json: bool = False, host: str = "") -> None:
    """Show the journal: every run and step, oldest first."""
    from cyan.rollout.status import observe, steps

    wanted = settings(c)
    if json:
        from cyan.rollout import as_json

        print_json(
            "history",
            hosts(wanted, host),
            lambda each: as_json.history(observe(wanted, each), each.name, lines),
        )
        return
    for machine, past_errors in visits(hosts(wanted, host)):
        with past_errors:
            for line in steps(observe(wanted, machine).journal, lines):
                sys.stdout.write(f"{line}\n")
