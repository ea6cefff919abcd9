"""What a verification is asked to do: its options, and the run that follows from them."""

from __future__ import annotations

import math
import os
import platform
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from cyan.errors import UsageError
from cyan.names import Server, Strategy
from cyan.proof import calibration, demo_migration, scenario, theirs
from cyan.proof.load import Load
from cyan.proof.relay.plants import Draw
from cyan.proof.relay.process import RelayOptions
from cyan.proof.run import RunSpec, lasting

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.proof.host_under_test import HostUnderTest
    from cyan.proof.remote_workers import RemoteWorkers
    from cyan.proof.scenario import Act
    from cyan.sections import HostSettings, VerifySettings
    from cyan.settings import Settings

SECONDS = {"full": 170.0}
"""How long a scenario's load lasts at least, acts or not: at 300 a second for 51,000 requests."""

THROUGH_PLANTER = 150.0
"""Requests a second through the relay that plants, unless given: it reads every one, and shares
two cores with the clients, the proxy and the application."""

PLANTED_WITHIN = 45.0
"""Seconds over which drawn plants are spread: two deploys and a rollback."""

REFUSED = 600
"""Which of a calibration's requests is sent where nobody listens: one of the steady state."""

ACT = 10.0
"""Seconds that an act takes, about."""

LOGS = 5 * 512 << 20
"""Bytes of its log that the proxy keeps: the Caddyfile's `roll_keep`, and the one it writes."""

LINE = 900
"""Bytes of a line of it, about."""

FLAGS = ("quick", "migrations", "reload")
"""Scenarios that a flag of their own asks for."""

APART = (
    ("--rtt", "--workers", "the relay that adds the round trip is on this machine"),
    ("--http2", "--workers", "the lab's HTTPS is for localhost, and the workers are elsewhere"),
    ("--processes", "--workers", "each machine has one worker"),
    ("--calibrate", "--workers", "the relay that plants is on this machine"),
    ("--calibrate", "--http2", "the relay cannot plant inside TLS"),
    *(("--calibrate", f"--{name}", "a calibration has acts of its own") for name in FLAGS),
)
"""Flags that one run cannot have together, and why."""

PACKAGES = ("cyan", "locust", "geventhttpclient", "gevent", "pandas", "pyarrow")


@dataclass(frozen=True)
class Options:
    """What the command line asked for; None leaves it to the settings.

    Raises UsageError where one of the flags would silently do nothing beside another.
    """

    scenario: str = "full"
    rate: float | None = None
    sessions: int | None = None
    seed: int | None = None
    rtt: float = 0.0  # seconds, added by a relay between swarm and proxy
    fresh_connections: bool = False
    http2: bool = False
    processes: int = 1
    remote: RemoteWorkers | None = None
    calibrate: bool = False
    plants: int = 0  # that are drawn, in the place of one of each kind
    hosts: int = 1  # that share the load, each by its own address
    watch: bool = False  # whether a page shows it while it happens

    def __post_init__(self) -> None:
        given = {
            "--rtt": self.rtt,
            "--http2": self.http2,
            "--processes": self.processes > 1,
            "--workers": self.remote,
            "--calibrate": self.calibrate,
            f"--{self.scenario}": self.scenario in FLAGS,
        }
        for one, other, why in APART:
            if given.get(one) and given.get(other):
                raise UsageError(f"{one} does nothing with {other}: {why}", todo="leave one out")

    @property
    def workers(self) -> int:
        """How many processes share the load."""
        return len(self.remote.machines) if self.remote else self.processes

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that asked for it, beyond figures."""
        fresh = ("--fresh-connections",) if self.fresh_connections else ()
        return (*fresh, "--http2") if self.http2 else fresh

    @property
    def connections(self) -> list[str]:
        """The sorts of connection that this load has."""
        return ["new"] if self.fresh_connections else ["new", "reused"]


def possible(settings: Settings, options: Options) -> None:
    """Raise UsageError for what a verification of this application cannot do."""
    if settings.strategy is Strategy.AUTO:
        raise UsageError(
            "a verification must know beforehand whether requests wait",
            where="cyan.strategy",
            todo="inv verify-zero-downtime --strategy colors, or hold",
        )
    if options.http2 and settings.server is Server.NGINX and not settings.site.certificate:
        raise UsageError(
            "--http2 needs HTTPS, and nginx has no certificate",
            where="cyan.site.certificate, cyan.site.key",
            todo="give both, or leave --http2 out",
        )
    if settings.adopted:
        theirs.possible(http2=options.http2, elsewhere=bool(options.remote))


def prepared(  # noqa: PLR0913, PLR0917 - what a run is made of
    settings: Settings,
    folder: Path,
    project: Path,
    acts: tuple[Act, ...],
    options: Options,
    system: HostUnderTest,
    url: str,
    at: HostSettings,
) -> RunSpec:
    """What a run shall do on one host; at `url` nobody listens.

    Of several hosts each is asked by its own address, whoever the site's name leads to.
    """
    spec = with_plant(spec_of(settings, folder, project, acts, options), url, options)
    site, several = settings.site, options.hosts > 1
    if several:
        where = f"{at.address}:{site.tls_port if site.domain else site.port}"
        spec = replace(spec, load=replace(spec.load, connect=where))
    if options.http2 and (several or not site.domain):  # whose HTTPS is for localhost
        through = f"https://{at.address}:{site.tls_port}"
        spec = replace(spec, load=replace(spec.load, through=through))
    spec = secured(spec, settings, options, system)
    if settings.adopted:
        theirs.live(system.observe())
        spec = theirs.loaded(spec, settings)
    more = {**kept_of(settings, planted=True), **theirs.kept(spec, settings)}
    return measured(spec, options, system.about(), **more)


def acts_of(settings: Settings, options: Options, folder: Path) -> tuple[Act, ...]:
    """The acts of the scenario that was asked for, with the files that they need."""
    if options.scenario != "migrations":
        acts = scenario.scenario(options.scenario, settings.verify.versions or scenario.DEMO)
        return scenario.held(acts) if settings.strategy is Strategy.HOLD else acts
    return scenario.migrations(str(demo_migration.write(folder, folder.name)))


def spec_of(
    settings: Settings, folder: Path, project: Path, acts: tuple[Act, ...], options: Options
) -> RunSpec:
    """What a run shall do: as the options say, else the settings."""
    wanted = settings.verify
    load = Load(
        url=settings.site.url,
        connect=f"127.0.0.1:{settings.site.tls_port}" if settings.site.is_here else "",
        locustfile=wanted.locustfile,
        rate=(options.rate or settings.rate) / options.hosts,
        sessions=math.ceil((options.sessions or wanted.sessions) / options.hosts),
        seed=wanted.seed if options.seed is None else options.seed,
        extra=("--fresh-connections",) if options.fresh_connections else (),
        workers=options.workers,
        in_flight=wanted.in_flight,
        remote=options.remote,
    )
    _can_be_collected(load.rate, wanted, len(acts), options)
    return lasting(
        RunSpec(
            folder=folder,
            project=project,
            acts=acts,
            load=load,
            steady=wanted.steady,
            gap=wanted.gap,
            requests=round(SECONDS.get(options.scenario, 0) * load.rate),
            relay=RelayOptions(options.rtt) if options.rtt else None,
        )
    )


def _can_be_collected(rate: float, wanted: VerifySettings, acts: int, options: Options) -> None:
    """Raise UsageError for a run of which the proxy would delete its log before it is fetched."""
    least = max(SECONDS.get(options.scenario, 0), wanted.steady + acts * (ACT + wanted.gap))
    if rate * least * LINE > LOGS:
        raise UsageError(
            f"the proxy keeps {LOGS >> 20:,} MiB of its log, some {LOGS // LINE:,} requests: of "
            f"the {rate * least:,.0f} that {rate:g} a second are here, it would delete the first",
            todo="a lower --rate",
        )


def with_plant(spec: RunSpec, url: str, options: Options) -> RunSpec:
    """The run with one request that goes to `url`, where nobody listens: it must be found."""
    where = "http://127.0.0.1:1" if options.remote else url  # tcpmux: nobody has that
    return replace(spec, load=replace(spec.load, extra=(*spec.load.extra, "--plant", where)))


def kept_of(settings: Settings, *, planted: bool) -> dict[str, object]:
    """What the judgement must know of the settings, as settings.json keeps it."""
    return {
        "planted": int(planted),
        "public": settings.public.service,
        "stall": settings.verify.stall.model_dump(),
    }


def planting(spec: RunSpec, options: Options, url: str) -> RunSpec:
    """The run through a relay that plants; one request goes to `url`, where nobody listens.

    Plants that are drawn are spread over the time of its acts.
    """
    load = replace(spec.load, extra=(*spec.load.extra, "--refuse", f"{REFUSED}={url}"))
    drawn = None
    if options.plants:
        drawn = Draw(options.plants, round(PLANTED_WITHIN * load.rate), load.seed)
    relay = RelayOptions(options.rtt, spec.folder / calibration.PLANTED, drawn=drawn)
    return replace(spec, load=load, relay=relay, requests=0)


def secured(spec: RunSpec, settings: Settings, options: Options, system: HostUnderTest) -> RunSpec:
    """The run with whom its load may trust, and the site's HTTPS where HTTP/2 is asked for."""
    site = settings.site
    if not (options.http2 or site.is_local):
        return spec
    authority = system.authority() if site.is_local or not site.domain else ""
    secure = (site.url if site.domain else f"https://localhost:{site.tls_port}") * options.http2
    return replace(spec, load=replace(spec.load, secure=secure, authority=authority))


def new_folder(project: Path, kind: str) -> Path:
    """A folder for a run that does not exist yet: reports/<time>-<kind>."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return project / "reports" / f"{stamp}-{kind}"


def measured(
    spec: RunSpec, options: Options, about_host: dict[str, str], **more: object
) -> RunSpec:
    """The run with what a reader must know to judge the run, and to do it again."""
    load = spec.load
    again = ["inv", "verify-zero-downtime"]
    again += [f"--{options.scenario}"] if options.scenario in FLAGS else []
    again += ["--calibrate"] if options.calibrate else []
    again += [f"--plants={options.plants}"] if options.plants else []
    rate, users = load.rate * options.hosts, options.sessions or load.sessions * options.hosts
    again += [f"--rate={rate:g}", f"--users={users}", f"--seed={load.seed}"]
    again += [f"--processes={options.processes}"] if options.processes > 1 else []
    names = ",".join(machine.name for machine in options.remote.machines) if options.remote else ""
    again += [f"--workers={names}"] if names else []
    again += [f"--rtt={options.rtt * 1000:.0f}ms"] if options.rtt else []
    about = {
        "run again": " ".join([*again, *options.flags]),
        "load": {"rate": load.rate, "sessions": load.sessions, "seed": load.seed, "url": load.url},
        "round trip added": f"{options.rtt * 1000:.0f} ms" if options.rtt else "none",
        "client": _machine(),
        "host": about_host,
        "versions": {name: version(name) for name in PACKAGES},
        "calibration": calibration.newest(spec.project),
        "connections": options.connections,
        "workers": options.workers,
        "http2": "yes" if options.http2 else "no",
    }
    return replace(spec, measured_on=about | more)


def _machine() -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
    }
