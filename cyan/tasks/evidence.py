"""Commands that prove: load, verification, chaos and their reports."""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports; flags are arguments
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.cli import command, settings
from cyan.errors import UsageError
from cyan.names import Server, seconds
from cyan.tasks.common import HOST, confirmed, hosts, strategy_of

if TYPE_CHECKING:
    from invoke import Context

    from cyan.proof.checks import Further
    from cyan.proof.remote_workers import RemoteWorkers
    from cyan.sections import HostSettings
    from cyan.settings import Settings

TWO = 2  # versions
MOST_PLANTS = 200  # in the time of three acts
RUN = "a folder of reports/ (the newest one unless given)"


@command(
    needs="proof",
    help={
        "url": "the site to load (the lab's unless given)",
        "rate": "requests a second",
        "users": "connections that are kept open",
        "seconds": "how long",
        "path": "load only GET of this path, for a site that is not the demo",
        "seed": "of the choice of journeys",
    },
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
    from cyan.proof.hammer import HammerOptions
    from cyan.proof.hammer import hammer as run
    from cyan.terminal import console

    wanted = settings(c)
    where = url or wanted.site.url
    asked = HammerOptions(
        where, rate or wanted.rate, users or wanted.verify.sessions, seconds, path, seed
    )
    run(wanted, project_folder(), asked, console)


@command(
    needs="proof",
    help={
        "rate": "requests a second",
        "users": "connections that are kept open",
        "quick": "four acts in place of all eight",
        "migrations": "the phases of a migration as acts instead: expand, backfill, contract",
        "reload": "changes of the proxy's configuration as acts instead, which may drop a few",
        "calibrate": "plant one drop of every kind instead, and show that each is found",
        "plants": "with --calibrate: so many of drawn kinds, on drawn requests, at switches too",
        "rtt": "a round trip that a relay adds before the site, such as 40ms",
        "fresh_connections": "a new connection for every request",
        "http2": "add users over TLS and HTTP/2",
        "processes": "how many processes of this machine share the load",
        "workers": "machines that share the load, as user@host:port,... over SSH",
        "seed": "of the choice of journeys",
        "versions": "what to rotate through, as A,B; the demo's v1,v2,v3 unless given or set",
        "strategy": "colors: both are up; hold: one at a time, while requests wait",
        "watch": "a page on 127.0.0.1 draws it while it happens",
        "host": HOST,
        "yes_on": "the name of a host that is no lab, where nobody can be asked: user@address:port",
    },
)
def verify_zero_downtime(
    c: Context,
    rate: float = 0.0,
    users: int = 0,
    quick: bool = False,
    migrations: bool = False,
    reload: bool = False,
    calibrate: bool = False,
    plants: int = 0,
    rtt: str = "0",
    fresh_connections: bool = False,
    http2: bool = False,
    processes: int = 1,
    workers: str = "",
    seed: int = 0,
    versions: str = "",
    strategy: str = "",
    watch: bool = False,
    host: str = "",
    yes_on: str = "",
) -> None:
    """Deploy, roll back and fail under load, and prove that no request was dropped."""
    from cyan.cli import project_folder
    from cyan.lab import lab
    from cyan.proof import asking, several, verify
    from cyan.terminal import console

    wanted = _versioned(settings(c), versions)
    if given := strategy_of(strategy):
        wanted = wanted.model_copy(update={"strategy": given})
    if migrations or calibrate:
        _demos(wanted)
    machines = hosts(wanted, host)
    machine = machines[0]
    options = asking.Options(
        scenario=_one_of(quick=quick, migrations=migrations, reload=reload) or "full",
        rate=rate or None,
        sessions=users or None,
        seed=seed or None,
        rtt=seconds(rtt),
        fresh_connections=fresh_connections,
        http2=http2,
        processes=processes,
        remote=_remote(wanted, workers),
        calibrate=calibrate,
        plants=_plants(plants, calibrate=calibrate),
        watch=watch,
    )
    if lab.is_lab(wanted, machine) and not lab.is_up(wanted):
        lab.up(wanted, console.print)
    if len(wanted.hosts) > 1 and (host or calibrate):
        console.print(
            f"the load goes to {machine.name}, which is judged; the acts are of all "
            f"{len(wanted.hosts)} hosts"
        )
    real = next((each for each in wanted.hosts if not lab.is_lab(wanted, each)), machine)
    if not lab.is_throwaway(wanted, real):
        _agreed(wanted, real, options.scenario, yes_on)
    if calibrate:
        verdict = verify.calibrate(wanted, machine, project_folder(), options, console)
    elif len(machines) > 1:
        verdict = several.run(wanted, machines, project_folder(), options, console).verdict
    else:
        verdict = verify.verify(wanted, machine, project_folder(), options, console).verdict
    sys.exit(verdict.exit_code)


@command(
    needs="proof",
    help={
        "minutes": "how long, about, besides the controls",
        "seed": "of the drawing: the same seed draws the same faults",
        "only": "these faults, in this order: NAME,NAME:ROUND,… as a failed run prints them",
        "rate": "requests a second",
        "rtt": "a round trip to add between swarm and site, such as 40ms",
        "shrink": "how many shorter runs may follow one that fails, for what still does; 0: none",
        "watch": "a page on 127.0.0.1 draws it while it happens",
        "list": "show the catalogue and what would be drawn, and do nothing",
    },
)
def chaos(
    c: Context,
    minutes: float = 20.0,
    seed: int = 1,
    only: str = "",
    rate: float = 0.0,
    rtt: str = "0",
    shrink: int = 6,
    watch: bool = False,
    list: bool = False,  # noqa: A002 - the flag's name
) -> None:
    """Rotate with drawn faults under load, and prove that each leaves what it should."""
    from cyan.chaos import chaos as run
    from cyan.chaos import specification
    from cyan.chaos.listing import show_catalogue
    from cyan.cli import project_folder
    from cyan.lab import lab
    from cyan.terminal import console

    wanted = _demos(settings(c))
    names = tuple(name for name in only.split(",") if name)
    options = specification.Options(minutes, seed, names, rate or None, seconds(rtt), shrink)
    drawn = specification.drawn(options)
    if list:
        show_catalogue(console, drawn)
        return
    machine = wanted.hosts[0]
    if not lab.is_lab(wanted, machine):
        raise UsageError(
            f"{machine.name} is not the lab, and chaos breaks things",
            todo="give cyan.hosts the lab's address and port, as cyan's own invoke.yaml does",
        )
    if wanted.server is not Server.CADDY:
        raise UsageError(
            f"chaos breaks Caddy, and the proxy of this lab is {wanted.server}",
            where="cyan.proxy",
            todo="proxy: proxy, and compose.stateful: compose/stateful.yml",
        )
    lab.up(wanted, console.print)
    context = specification.Context(wanted, machine, project_folder(), console, watch)
    sys.exit(run.chaos(context, options).exit_code)


@command(needs="proof", help={"minutes": "of chaos", "seed": "of the drawing and of the load"})
def nightly(c: Context, minutes: float = 20.0, seed: int = 1) -> None:
    """Chaos, verification and calibration: the worst verdict, and reports/summary.md."""
    from cyan.chaos import night
    from cyan.cli import project_folder

    _demos(settings(c))
    found = night.night(project_folder(), night.parts(minutes, seed), night.called)
    sys.exit(found.exit_code)


@command(needs="proof", help={"run": RUN, "against": "another run, to compare this one with"})
def report(c: Context, run: str = "", against: str = "") -> None:  # noqa: ARG001 - Invoke's own
    """Judge a run again from its stored logs and write its report anew, or compare two runs."""
    from cyan.cli import project_folder
    from cyan.proof import verify
    from cyan.terminal import console

    reports = project_folder() / "reports"
    # The page's own command names the folder with reports/ before it.
    folder = reports / Path(run).name if run else verify.newest(project_folder())
    against = Path(against).name
    for each in (folder, reports / against):
        if not each.is_dir():
            raise UsageError(f"{each} is no run", todo="see the folders of reports/")
    if against:
        verify.against(folder, reports / against, console)
        return
    more: tuple[Further, ...] = ()
    if folder.name.endswith(("-chaos", "-shrink")):
        from cyan.chaos import judging

        more = judging.checks(folder)
    sys.exit(verify.report(folder, console, more).verdict.exit_code)


def _versioned(wanted: Settings, versions: str) -> Settings:
    """The settings with the versions that were given. Raises UsageError where two are missing."""
    from cyan.names import valid_version

    given = tuple(valid_version(each) for each in versions.split(",") if each)
    if given:
        changed = wanted.verify.model_copy(update={"versions": given})
        wanted = wanted.model_copy(update={"verify": changed})
    if len(set(wanted.verify.versions)) < TWO and (given or wanted.adopted):
        raise UsageError(
            "a verification rotates between two versions, which differ",
            where="cyan.verify.versions",
            todo="inv verify-zero-downtime --versions A,B: tags that your images have",
        )
    return wanted


def _demos(wanted: Settings) -> Settings:
    """The settings. Raises UsageError for an application whose journeys nobody has told."""
    if wanted.adopted:
        raise UsageError(
            "this needs the demo, whose releases misbehave when they are told to",
            where="cyan.adopted",
            todo="inv verify-zero-downtime --versions A,B proves this application's own deploys",
        )
    return wanted


def _agreed(wanted: Settings, machine: HostSettings, scenario: str, yes_on: str) -> None:
    """Have the verification of a host that is no lab agreed to. Raises UsageError else."""
    from cyan.proof.scenario import DEMO

    versions = ", ".join(wanted.verify.versions or DEMO)
    does = (
        f"this deploys {versions} of {wanted.app} to {machine.name}, some of them "
        f"broken on purpose, rolls back, and loads {wanted.site.url} all the while ({scenario})"
    )
    if yes_on == machine.name or (not yes_on and confirmed(f"{does}.")):
        return
    raise UsageError(
        f"{machine.name} is not the lab: {does}; nothing was touched",
        todo=f"if that is wanted: --yes-on {machine.name}",
    )


def _plants(count: int, *, calibrate: bool) -> int:
    """How many plants are drawn. Raises UsageError where that means nothing."""
    if count and not calibrate:
        raise UsageError("--plants says how many a calibration draws", todo="--calibrate with it")
    if not 0 <= count <= MOST_PLANTS:
        raise UsageError(f"{count} plants cannot be drawn", todo=f"at most {MOST_PLANTS}")
    return count


def _one_of(**flags: bool) -> str:
    """The name of the flag that was given, "" where none was. Raises UsageError for two."""
    given = [name for name, was in flags.items() if was]
    if len(given) > 1:
        named = " and ".join(f"--{name}" for name in given)
        raise UsageError(f"{named} ask for different acts", todo="give one of them")
    return "".join(given)


def _remote(wanted: Settings, names: str) -> RemoteWorkers | None:
    """The machines that share the load, with what cyan.hosts says of those that it names."""
    from cyan.cli import project_folder
    from cyan.configured import machine_of
    from cyan.proof.remote_workers import RemoteWorkers

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
    return RemoteWorkers(machines, str(directory), str(locustfile))
