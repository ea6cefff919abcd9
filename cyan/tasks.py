"""Every command, one short task each: read the settings, call one function, print.

What is slow to import is imported where it is used, so that `inv --list` stays quick.
"""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports, as said; flags are arguments
from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from invoke import Collection, Context

from cyan.cli import command, quietly, settings
from cyan.errors import UsageError
from cyan.names import Color, seconds, valid_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.proof.checks import Check
    from cyan.proof.crew import Crew
    from cyan.rollout.plan import Request
    from cyan.settings import HostSettings, Settings

sys.excepthook = quietly

HOST = "only this host of cyan.hosts, by its address"
FORCE = "a check of preflight to override, by its name; may be given often"
LOCK_WAIT = "how long to wait for a lock that another holds, such as 10m (not at all unless given)"
RUN = "a folder of reports/ (the newest one unless given)"


@command(
    iterable=["env", "force"],
    help={
        "version": "the tag to deploy",
        "plan": "print the steps and their commands, and do nothing",
        "env": "KEY=VALUE for the release's containers; may be given often",
        "resume": "go on with the deploy or rollback that was left unfinished",
        "abort": "undo the deploy or rollback that was left unfinished",
        "force": FORCE,
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    },
)
def deploy(
    c: Context,
    version: str = "",
    plan: bool = False,
    env: list[str] | None = None,
    resume: bool = False,
    abort: bool = False,
    force: list[str] | None = None,
    lock_wait: str = "0",
    host: str = "",
) -> None:
    """Start a version beside the live color and switch to it once it is healthy."""
    from cyan.rollout.migrate import read
    from cyan.world.secrets import collect

    wanted, wait = settings(c), seconds(lock_wait)
    read(wanted)  # a migration with a wrong name is told before anything is touched
    forced = _forced(wanted, force)
    if resume or abort:
        _alone(resume=resume, abort=abort, others=bool(version or env or (abort and plan)))
    if abort:
        _abort(wanted, host, wait)
        return
    what = "resume" if resume else "deploy"
    version = "" if resume else valid_version(_given(version, "--version", "v1"))
    request = _request(what, version, forced, wait, env or ())
    if not resume:  # which may need none: what was fetched is on the host
        request = request.carrying(collect(wanted.secrets))
    _rotate(wanted, request, host, plan=plan)


@command(
    iterable=["force"],
    help={
        "plan": "print the steps and their commands, and do nothing",
        "force": FORCE,
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    },
)
def rollback(
    c: Context,
    plan: bool = False,
    force: list[str] | None = None,
    lock_wait: str = "0",
    host: str = "",
) -> None:
    """Switch to the previous release: at once while it is warm, else by deploying it."""
    wanted = settings(c)
    request = _request("rollback", "", _forced(wanted, force), seconds(lock_wait))
    _rotate(wanted, request, host, plan=plan)


@command(help={"host": HOST})
def status(c: Context, host: str = "") -> None:
    """Show colors, versions, health, requests in flight, drift and the last runs."""
    from cyan.rollout.status import observe, show
    from cyan.terminal import console

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        show(console, observe(wanted, machine), wanted, machine.name)


@command(help={"host": HOST})
def doctor(c: Context, host: str = "") -> None:
    """Check everything that a deploy needs, and say how to mend what is wrong."""
    from cyan.rollout.doctor import examine, show
    from cyan.terminal import console

    wanted = settings(c)
    found = [(machine, examine(wanted, machine)) for machine in _hosts(wanted, host)]
    well = [show(console, machine.name, checks) for machine, checks in found]
    sys.exit(0 if all(well) else 1)


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
    for machine in _hosts(wanted, host):
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
    machines = _hosts(wanted, host)
    names = ", ".join(machine.name for machine in machines)
    data = " AND ITS DATA" if volumes else ""
    if not yes and not _confirmed(f"Remove {wanted.app}{data} from {names}?"):
        raise UsageError("nothing was removed", todo="answer 'yes', or give --yes")
    for machine in machines:
        wait = seconds(lock_wait)
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
    for machine in _hosts(wanted, host):
        was = take(wanted, machine, Progress())
        console.print(f"{machine.name}: {f'taken from {was}' if was else 'nobody holds the lock'}")


@command(help={"state": "on or off", "lock_wait": LOCK_WAIT, "host": HOST})
def maintenance(c: Context, state: str, lock_wait: str = "0", host: str = "") -> None:
    """Answer every user with 503, on purpose, or serve again: on | off."""
    from cyan.rollout.maintenance import maintenance as turn
    from cyan.terminal import Progress, console

    if state not in ("on", "off"):
        raise UsageError(f"{state!r} is neither on nor off", todo="inv maintenance on")
    wanted = settings(c)
    for machine in _hosts(wanted, host):
        wait, tell = seconds(lock_wait), Progress().note
        serving = turn(wanted, machine, tell, on=state == "on", lock_wait=wait)
        console.print(f"{machine.name}: maintenance is {state}; serving: {serving}")


@command(
    name="reload",
    help={
        "again": "also where the proxy runs this Caddyfile already",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
    },
)
def proxy_reload(c: Context, again: bool = False, lock_wait: str = "0", host: str = "") -> None:
    """Load a changed Caddyfile, validated first, after asking the clients to reconnect."""
    from cyan.rollout.reloading import reload
    from cyan.terminal import Progress, console

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        wait, tell = seconds(lock_wait), Progress().note
        done = reload(wanted, machine, tell, again=again, lock_wait=wait)
        console.print(f"{machine.name}: {done.says}")


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
        "migrations": "the phases of a migration as acts instead: expand, backfill, contract",
        "reload": "changes of the proxy's configuration as acts instead, which may drop a few",
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
    migrations: bool = False,
    reload: bool = False,
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
        scenario=_one_of(quick=quick, migrations=migrations, reload=reload) or "full",
        rate=rate or None,
        sessions=users or None,
        seed=seed or None,
        rtt=seconds(rtt),
        fresh_connections=fresh_connections,
        http2=http2,
        processes=processes,
        crew=_crew(wanted, workers),
        calibrate=calibrate,
    )
    if lab.is_lab(wanted, machine) and not lab.is_up(wanted):
        lab.up(wanted, console.print)
    if calibrate:
        verdict = verify.calibrate(wanted, machine, project_folder(), wish, console)
    else:
        verdict = verify.verify(wanted, machine, project_folder(), wish, console).verdict
    sys.exit(verdict.exit_code)


@command(
    help={
        "minutes": "how long, about, besides the controls",
        "seed": "of the drawing: the same seed draws the same faults",
        "only": "these faults, in this order: NAME,NAME:ROUND,… as a failed run prints them",
        "rate": "requests a second",
        "rtt": "a round trip to add between swarm and site, such as 40ms",
        "shrink": "how many shorter runs may follow one that fails, for what still does; 0: none",
        "list": "show the catalogue and what would be drawn, and do nothing",
    }
)
def chaos(
    c: Context,
    minutes: float = 20.0,
    seed: int = 1,
    only: str = "",
    rate: float = 0.0,
    rtt: str = "0",
    shrink: int = 6,
    list: bool = False,  # noqa: A002 - the flag's name
) -> None:
    """Rotate with drawn faults under load, and prove that each leaves what it should."""
    from cyan.chaos import chaos as run
    from cyan.chaos import orders
    from cyan.chaos.show import show_catalogue
    from cyan.cli import project_folder
    from cyan.lab import lab
    from cyan.terminal import console

    wanted = settings(c)
    names = tuple(name for name in only.split(",") if name)
    wish = orders.Wish(minutes, seed, names, rate or None, seconds(rtt), shrink)
    drawn = orders.drawn(wish)
    if list:
        show_catalogue(console, drawn)
        return
    machine = wanted.hosts[0]
    if not lab.is_lab(wanted, machine):
        raise UsageError(
            f"{machine.name} is not the lab, and chaos breaks things",
            todo="give cyan.hosts the lab's address and port, as cyan's own invoke.yaml does",
        )
    lab.up(wanted, console.print)
    ground = orders.Ground(wanted, machine, project_folder(), console)
    sys.exit(run.chaos(ground, wish).exit_code)


@command(help={"minutes": "of chaos", "seed": "of the drawing and of the load"})
def nightly(c: Context, minutes: float = 20.0, seed: int = 1) -> None:
    """Chaos, verification and calibration: the worst verdict, and reports/summary.md."""
    from cyan.chaos import night
    from cyan.cli import project_folder

    settings(c)
    found = night.night(project_folder(), night.parts(minutes, seed), night.called)
    sys.exit(found.exit_code)


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
    more: tuple[Check, ...] = ()
    if folder.name.endswith(("-chaos", "-shrink")):
        from cyan.chaos import judging

        more = judging.checks(folder)
    sys.exit(verify.report(folder, console, more).verdict.exit_code)


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


@command(name="check")
def migrate_check(c: Context) -> None:
    """Refuse what an expand migration may not do beside the old release (squawk)."""
    from cyan.errors import DeployError
    from cyan.rollout.lint import findings
    from cyan.rollout.migrate import read
    from cyan.rollout.migrations import Kind
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
    from cyan.rollout.migrating import lines
    from cyan.rollout.migrating import status as look

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        for line in (f"{wanted.app} on {machine.name}", *lines(look(wanted, machine))):
            sys.stdout.write(f"{line}\n")


@command(name="expand", help={"lock_wait": LOCK_WAIT, "host": HOST})
def migrate_expand(c: Context, lock_wait: str = "0", host: str = "") -> None:
    """Apply the pending expand files now; a deploy does so by itself."""
    from cyan.rollout.migrating import expand
    from cyan.terminal import Progress

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        _migrated(machine, expand(wanted, machine, Progress().note, seconds(lock_wait)))


@command(name="backfill", help={"lock_wait": LOCK_WAIT, "host": HOST})
def migrate_backfill(c: Context, lock_wait: str = "0", host: str = "") -> None:
    """Repeat the pending backfills, batch by batch, until they find no row."""
    from cyan.rollout.migrating import backfill
    from cyan.terminal import Progress

    wanted = settings(c)
    for machine in _hosts(wanted, host):
        _migrated(machine, backfill(wanted, machine, Progress().note, seconds(lock_wait)))


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
    from cyan.rollout.migrating import contract, wanted_contract
    from cyan.terminal import Progress

    version = valid_version(_given(version, "--version", "v2"))
    wanted = settings(c)
    for machine in _hosts(wanted, host):
        names = ", ".join(wanted_contract(wanted, machine, version))
        question = (
            f"Apply {names} on {machine.name}? Releases older than {version} cannot come back."
        )
        if names and not yes and not _confirmed(question):
            raise UsageError("nothing was applied", todo="answer 'yes', or give --yes")
        done = contract(wanted, machine, version, Progress().note, seconds(lock_wait))
        _migrated(machine, done)


def _migrated(machine: HostSettings, names: Sequence[str]) -> None:
    from cyan.terminal import console

    applied = ", ".join(names)
    console.print(f"{machine.name}: {f'applied {applied}' if applied else 'nothing is pending'}")


def _rotate(wanted: Settings, request: Request, host: str, *, plan: bool) -> None:
    from cyan.cli import project_folder
    from cyan.rollout.run import rotate
    from cyan.rollout.show import show_plan
    from cyan.terminal import Progress, console

    reports = project_folder() / "reports"
    for machine in _hosts(wanted, host):
        if plan:
            show_plan(console, wanted, machine, request)
            continue
        console.print(f"[bold]{request.title}[/bold] on {machine.name}")
        outcome = rotate(wanted, machine, request, Progress(), reports)
        console.print(f"live: [bold]{outcome.plan.target}[/bold], {outcome.seconds:.1f} s")


def _abort(wanted: Settings, host: str, lock_wait: float) -> None:
    from cyan.rollout.run import abort
    from cyan.terminal import Progress, console

    for machine in _hosts(wanted, host):
        undone = abort(wanted, machine, Progress(), lock_wait)
        console.print(f"{machine.name}: aborted; serving: {undone.serving}")


def _one_of(**flags: bool) -> str:
    """The name of the flag that was given, "" where none was. Raises UsageError for two."""
    given = [name for name, was in flags.items() if was]
    if len(given) > 1:
        named = " and ".join(f"--{name}" for name in given)
        raise UsageError(f"{named} ask for different acts", todo="give one of them")
    return "".join(given)


def _alone(*, resume: bool, abort: bool, others: bool) -> None:
    if others or (resume and abort):
        raise UsageError(
            "--resume and --abort stand alone: the journal on the host says what it is about",
            todo="see what was left unfinished: inv status",
        )


def _request(
    what: str, version: str, forced: tuple[str, ...], wait: float, env: Sequence[str] = ()
) -> Request:
    from cyan.rollout.plan import Request, valid_environment

    return Request(what, version, getpass.getuser(), valid_environment(env), forced, wait)


def _forced(wanted: Settings, names: Sequence[str] | None) -> tuple[str, ...]:
    from cyan.rollout.preflight import valid_names

    return valid_names(names or (), wanted)


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
    if not wanted.verify.locustfile.is_relative_to(project):
        raise UsageError(
            f"{wanted.verify.locustfile} is not in this project, so the workers do not have it",
            todo="cyan.verify.locustfile as a path within the project",
        )
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

migrate = Collection("migrate")
for task in (migrate_check, migrate_status, migrate_expand, migrate_backfill, migrate_contract):
    migrate.add_task(task)

proxy = Collection("proxy")
proxy.add_task(proxy_reload)

namespace = Collection(
    deploy,
    rollback,
    status,
    doctor,
    cleanup,
    reset,
    unlock,
    maintenance,
    proxy,
    logs,
    history,
    hammer,
    verify_zero_downtime,
    chaos,
    nightly,
    report,
    lab,
    migrate,
)
