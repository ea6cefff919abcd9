"""Every command, one short task each: read the settings, call one function, print.

What is slow to import is imported where it is used, so that `inv --list` stays quick.
"""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports, as said; flags are arguments
from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from invoke import Collection, Context

from cyan.cli import command, settings
from cyan.errors import UsageError
from cyan.names import Color, seconds, valid_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.proof.crew import Crew
    from cyan.rollout.plan import Request
    from cyan.settings import HostSettings, Settings

HOST = "only this host of cyan.hosts, by its address"
LOCK_WAIT = "how long to wait for a lock that another holds, such as 10m (not at all unless given)"
RUN = "a folder of reports/ (the newest one unless given)"


@command(
    iterable=["env"],
    help={
        "version": "the tag to deploy",
        "plan": "print the steps and their commands, and do nothing",
        "env": "KEY=VALUE for the release's containers; may be given often",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    },
)
def deploy(
    c: Context,
    version: str = "",
    plan: bool = False,
    env: list[str] | None = None,
    lock_wait: str = "0",
    host: str = "",
) -> None:
    """Start a version beside the live color and switch to it once it is healthy."""
    request = _request("deploy", valid_version(_given(version, "--version", "v1")), env or ())
    _rotate(settings(c), request, host, plan=plan, lock_wait=seconds(lock_wait))


@command(
    help={
        "plan": "print the steps and their commands, and do nothing",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    }
)
def rollback(c: Context, plan: bool = False, lock_wait: str = "0", host: str = "") -> None:
    """Switch to the previous release: at once while it is warm, else by deploying it."""
    request = _request("rollback", "", ())
    _rotate(settings(c), request, host, plan=plan, lock_wait=seconds(lock_wait))


@command(help={"host": HOST})
def status(c: Context, host: str = "") -> None:
    """Show colors, versions, health, requests in flight, drift and the last runs."""
    from cyan.rollout.status import observe, show
    from cyan.terminal import console

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        show(console, observe(wanted, machine), wanted, machine.name)


@command(help={"lock_wait": LOCK_WAIT, "host": HOST})
def cleanup(c: Context, lock_wait: str = "0", host: str = "") -> None:
    """Remove the standby color; a rollback must then deploy."""
    from cyan.rollout.removal import cleanup as remove
    from cyan.terminal import Progress, console

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        removed = remove(wanted, machine, Progress(), seconds(lock_wait))
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
    from cyan.terminal import console

    wanted = settings(c)
    machines = _hosts(wanted, host)
    names = ", ".join(machine.name for machine in machines)
    data = " AND ITS DATA" if volumes else ""
    if not yes and not _confirmed(f"Remove {wanted.app}{data} from {names}?"):
        raise UsageError("nothing was removed", todo="answer 'yes', or give --yes")
    for machine in machines:
        removed = remove(wanted, machine, volumes=volumes, lock_wait=seconds(lock_wait))
        console.print(f"{machine.name}: removed {removed.what}")


@command(help={"force": "needed: whoever holds the lock may be at work", "host": HOST})
def unlock(c: Context, force: bool = False, host: str = "") -> None:
    """Take the lock from an owner who hangs; a dead one's needs no unlocking."""
    from cyan.rollout.removal import unlock as take
    from cyan.terminal import console

    if not force:
        raise UsageError("a living owner's lock is only taken by force", todo="inv unlock --force")
    wanted = settings(c)
    for machine in _hosts(wanted, host):
        was = take(wanted, machine)
        console.print(f"{machine.name}: {f'taken from {was}' if was else 'nobody holds the lock'}")


@command(
    help={
        "color": "blue or green (the live one unless given)",
        "service": "one service, also a shared one (all of the color's unless given)",
        "tail": "how many lines of each container",
        "host": HOST,
    }
)
def logs(c: Context, color: str = "", service: str = "", tail: int = 50, host: str = "") -> None:
    """Show the last log lines of a color's containers."""
    from cyan.rollout.status import logs as read

    if color and color not in tuple(Color):
        raise UsageError(f"{color!r} is no color", todo="blue or green")
    wanted = settings(c)
    for machine in _hosts(wanted, host):
        for name, text in read(wanted, machine, color, service, tail):
            sys.stdout.write(f"--- {name} on {machine.name}\n{text}")


@command(help={"lines": "how many", "host": HOST})
def history(c: Context, lines: int = 40, host: str = "") -> None:
    """Show the journal: every run and step, oldest first."""
    from cyan.rollout.status import observe, steps

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        for line in steps(observe(wanted, machine).journal, lines):
            sys.stdout.write(f"{line}\n")


@command(
    help={
        "url": "the site to load (the lab's unless given)",
        "rate": "requests a second",
        "users": "connections that are kept open",
        "seconds": "how long",
        "path": "load only GET of this path, for a site that is not the demo",
        "seed": "of the choice of journeys",
    }
)
def hammer(
    c: Context,
    url: str = "",
    rate: float = 0.0,
    users: int = 0,
    seconds: float = 30.0,
    path: str = "",
    seed: int = 1,
) -> None:
    """Run only the swarm, against any URL, and say what its clients saw."""
    from cyan.cli import project_folder
    from cyan.proof.hammer import Strike
    from cyan.proof.hammer import hammer as strike
    from cyan.terminal import console

    wanted = settings(c)
    where = url or f"http://{wanted.site.host}:{wanted.site.port}"
    asked = Strike(
        where, rate or wanted.verify.rate, users or wanted.verify.sessions, seconds, path, seed
    )
    strike(wanted, project_folder(), asked, console)


@command(
    help={
        "rate": "requests a second",
        "users": "connections that are kept open",
        "quick": "four acts in place of all eight",
        "calibrate": "plant one drop of every kind instead, and show that each is found",
        "rtt": "a round trip that a relay adds before the site, such as 40ms",
        "fresh_connections": "a new connection for every request",
        "http2": "add users over TLS and HTTP/2",
        "processes": "how many processes of this machine share the load",
        "workers": "machines that share the load, as user@host:port,... over SSH",
        "seed": "of the choice of journeys",
        "host": HOST,
    }
)
def verify_zero_downtime(
    c: Context,
    rate: float = 0.0,
    users: int = 0,
    quick: bool = False,
    calibrate: bool = False,
    rtt: str = "0",
    fresh_connections: bool = False,
    http2: bool = False,
    processes: int = 1,
    workers: str = "",
    seed: int = 0,
    host: str = "",
) -> None:
    """Deploy, roll back and fail under load, and prove that no request was dropped."""
    from cyan.cli import project_folder
    from cyan.lab import lab
    from cyan.proof import verify
    from cyan.terminal import console

    wanted = settings(c)
    machine = _hosts(wanted, host)[0]
    wish = verify.Wish(
        scenario="quick" if quick else "full",
        rate=rate or None,
        sessions=users or None,
        seed=seed or None,
        rtt=seconds(rtt),
        fresh_connections=fresh_connections,
        http2=http2,
        processes=processes,
        crew=_crew(wanted, workers),
    )
    if lab.is_lab(wanted, machine) and not lab.is_up(wanted):
        lab.up(wanted, console.print)
    if calibrate:
        verdict = verify.calibrate(wanted, machine, project_folder(), wish, console)
    else:
        verdict = verify.verify(wanted, machine, project_folder(), wish, console).verdict
    sys.exit(verdict.exit_code)


@command(help={"run": RUN, "against": "another run, to compare this one with"})
def report(c: Context, run: str = "", against: str = "") -> None:  # noqa: ARG001 - Invoke's own
    """Judge a run again from its stored logs and write its report anew, or compare two runs."""
    from cyan.cli import project_folder
    from cyan.proof import verify
    from cyan.terminal import console

    reports = project_folder() / "reports"
    folder = reports / run if run else verify.newest(project_folder())
    for each in (folder, reports / against):
        if not each.is_dir():
            raise UsageError(f"{each} is no run", todo="see the folders of reports/")
    if against:
        verify.against(folder, reports / against, console)
        return
    sys.exit(verify.report(folder, console).verdict.exit_code)


@command(name="up")
def lab_up(c: Context) -> None:
    """Start the throwaway host: sshd on 127.0.0.1, the database and the proxy."""
    from cyan.lab.lab import up
    from cyan.terminal import console

    up(settings(c), console.print)


@command(name="down", help={"volumes": "remove the database's data too"})
def lab_down(c: Context, volumes: bool = False) -> None:
    """Remove the lab's containers and end its sshd."""
    from cyan.lab.lab import down
    from cyan.terminal import console

    down(settings(c), console.print, volumes=volumes)


@command(name="status")
def lab_status(c: Context) -> None:
    """Show what of the lab runs."""
    from cyan.lab.lab import status as look
    from cyan.terminal import console

    found = look(settings(c))
    console.print(f"sshd        {f'process {found.sshd}' if found.sshd else 'does not run'}")
    console.print(f"engine      {found.engine}")
    console.print(f"containers  {', '.join(found.containers) or 'none'}")
    if found.foreign:
        console.print(f"[yellow]these belong to {found.foreign}; inv lab.up replaces them[/yellow]")


def _rotate(wanted: Settings, request: Request, host: str, *, plan: bool, lock_wait: float) -> None:
    from cyan.rollout.run import rotate
    from cyan.rollout.show import show_plan
    from cyan.terminal import Progress, console

    for machine in _hosts(wanted, host):
        if plan:
            show_plan(console, wanted, machine, request)
            continue
        console.print(f"[bold]{request.title}[/bold] on {machine.name}")
        outcome = rotate(wanted, machine, request, Progress(), lock_wait)
        console.print(f"live: [bold]{outcome.plan.target}[/bold], {outcome.seconds:.1f} s")


def _request(what: str, version: str, env: Sequence[str]) -> Request:
    from cyan.rollout.plan import Request, valid_environment

    return Request(what, version, getpass.getuser(), valid_environment(env))


def _hosts(wanted: Settings, only: str) -> tuple[HostSettings, ...]:
    found = tuple(item for item in wanted.hosts if only in ("", item.address, item.name))
    if not found:
        known = ", ".join(item.address for item in wanted.hosts)
        raise UsageError(f"{only!r} is none of cyan.hosts", todo=f"one of: {known}")
    return found


def _crew(wanted: Settings, names: str) -> Crew | None:
    """The machines that share the load, with what cyan.hosts says of those that it names."""
    from cyan.cli import project_folder
    from cyan.proof.crew import Crew
    from cyan.settings import machine_of

    machines = tuple(machine_of(name, wanted) for name in names.split(",") if name)
    if not machines:
        return None
    project = project_folder()
    directory = wanted.verify.workers_directory or project
    locustfile = wanted.verify.locustfile.relative_to(project)
    return Crew(machines, str(directory), str(locustfile))


def _given(value: str, flag: str, example: str) -> str:
    if not value:
        raise UsageError(f"{flag} is missing", todo=f"for example: {flag} {example}")
    return value


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"{question} Type 'yes': ").strip() == "yes"


lab = Collection("lab")
for each in (lab_up, lab_down, lab_status):
    lab.add_task(each)

namespace = Collection(
    deploy,
    rollback,
    status,
    cleanup,
    reset,
    unlock,
    logs,
    history,
    hammer,
    verify_zero_downtime,
    report,
    lab,
)
