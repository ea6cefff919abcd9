"""The main job as the command line calls it: verify a host, report on a run again."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from cyan.errors import UsageError
from cyan.proof import calibration, rehearsal, scenario
from cyan.proof.between import Between, nobody
from cyan.proof.findings import Verdict
from cyan.proof.run import Order, lasting, run
from cyan.proof.swarm import Load

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

    from cyan.proof.checks import Check
    from cyan.proof.crew import Crew
    from cyan.proof.scenario import Act
    from cyan.proof.surroundings import RealSurroundings
    from cyan.proof.verdict import Judgement
    from cyan.settings import HostSettings, Settings

REQUESTS = {"full": 51_000, "quick": 0}
"""How many requests a scenario makes at least, acts or not."""

REFUSED = 600
"""Which of a calibration's requests is sent where nobody listens: one of the steady state."""

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

STYLE = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}
PACKAGES = ("cyan", "locust", "geventhttpclient", "gevent", "pandas", "pyarrow")


@dataclass(frozen=True)
class Wish:
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
    crew: Crew | None = None
    calibrate: bool = False

    def __post_init__(self) -> None:
        given = {
            "--rtt": self.rtt,
            "--http2": self.http2,
            "--processes": self.processes > 1,
            "--workers": self.crew,
            "--calibrate": self.calibrate,
            f"--{self.scenario}": self.scenario in FLAGS,
        }
        for one, other, why in APART:
            if given.get(one) and given.get(other):
                raise UsageError(f"{one} does nothing with {other}: {why}", todo="leave one out")

    @property
    def workers(self) -> int:
        """How many processes share the load."""
        return len(self.crew.machines) if self.crew else self.processes

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that asked for it, beyond figures."""
        fresh = ("--fresh-connections",) if self.fresh_connections else ()
        return (*fresh, "--http2") if self.http2 else fresh

    @property
    def connections(self) -> list[str]:
        """The sorts of connection that this load has."""
        return ["new"] if self.fresh_connections else ["new", "reused"]


def verify(
    settings: Settings, machine: HostSettings, project: Path, wish: Wish, console: Console
) -> Judgement:
    """Hammer the site while the scenario's acts are performed on it; judge what was seen.

    `project` is the folder that acts are called in and under whose reports/ the run's folder is
    made. Raises ProofError where nothing could be judged.
    """
    from cyan.proof.display import Terminal  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.surroundings import RealSurroundings  # noqa: PLC0415 - as fabric is

    folder = new_folder(project, "verify")
    acts = _acts(wish, folder)
    with RealSurroundings(settings, machine) as around:
        order = ordered(settings, folder, project, acts, wish)
        order = measured(secured(order, settings, wish, around), wish, around.about())
        with Terminal(acts, console) as display:
            judgement = run(order, around, display)
    finish(judgement, order.folder, console)
    return judgement


def _acts(wish: Wish, folder: Path) -> tuple[Act, ...]:
    """The acts of the scenario that is wished for, with the files that they need."""
    if wish.scenario != "migrations":
        return scenario.scenario(wish.scenario)
    return scenario.migrations(str(rehearsal.write(folder, folder.name)))


def calibrate(
    settings: Settings, machine: HostSettings, project: Path, wish: Wish, console: Console
) -> Verdict:
    """Plant one drop of every kind under load, and show which of them were found.

    Raises ProofError where nothing could be judged.
    """
    from cyan.proof.display import Terminal  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.surroundings import RealSurroundings  # noqa: PLC0415 - as fabric is

    folder = new_folder(project, "calibration")
    acts = scenario.calibration(str(folder / calibration.PLANTED))
    with RealSurroundings(settings, machine) as around, nobody() as url:
        order = planting(ordered(settings, folder, project, acts, wish), wish, url)
        order = measured(order, wish, around.about(), refused=REFUSED)
        with Terminal(acts, console) as display:
            run(order, around, display)
    return tell_calibration(folder, console)


def ordered(
    settings: Settings, folder: Path, project: Path, acts: tuple[Act, ...], wish: Wish
) -> Order:
    """The order for a run: the wish where it says, else the settings."""
    wanted = settings.verify
    load = Load(
        url=settings.site.url,
        connect=f"127.0.0.1:{settings.site.tls_port}" if settings.site.is_here else "",
        locustfile=wanted.locustfile,
        rate=wish.rate or wanted.rate,
        sessions=wish.sessions or wanted.sessions,
        seed=wanted.seed if wish.seed is None else wish.seed,
        extra=("--fresh-connections",) if wish.fresh_connections else (),
        workers=wish.workers,
        in_flight=wanted.in_flight,
        crew=wish.crew,
    )
    return lasting(
        Order(
            folder=folder,
            project=project,
            acts=acts,
            load=load,
            steady=wanted.steady,
            gap=wanted.gap,
            requests=REQUESTS.get(wish.scenario, 0),
            between=Between(wish.rtt) if wish.rtt else None,
        )
    )


def planting(order: Order, wish: Wish, url: str) -> Order:
    """The order through a relay that plants; one request goes to `url`, where nobody listens."""
    load = replace(order.load, extra=(*order.load.extra, "--refuse", f"{REFUSED}={url}"))
    between = Between(wish.rtt, order.folder / calibration.PLANTED)
    return replace(order, load=load, between=between, requests=0)


def secured(order: Order, settings: Settings, wish: Wish, around: RealSurroundings) -> Order:
    """The order with whom its load may trust, and the site's HTTPS where HTTP/2 is wished for."""
    site = settings.site
    if not (wish.http2 or site.is_local):
        return order
    authority = around.authority() if site.is_local or not site.domain else ""
    secure = (site.url if site.domain else f"https://localhost:{site.tls_port}") * wish.http2
    return replace(order, load=replace(order.load, secure=secure, authority=authority))


def new_folder(project: Path, kind: str) -> Path:
    """A folder for a run that does not exist yet: reports/<time>-<kind>."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return project / "reports" / f"{stamp}-{kind}"


def measured(order: Order, wish: Wish, about_host: dict[str, str], **more: object) -> Order:
    """The order with what a reader must know to judge the run, and to do it again."""
    load = order.load
    again = ["inv", "verify-zero-downtime"]
    again += [f"--{wish.scenario}"] if wish.scenario in FLAGS else []
    again += ["--calibrate"] if wish.calibrate else []
    again += [f"--rate={load.rate:g}", f"--users={load.sessions}", f"--seed={load.seed}"]
    again += [f"--processes={wish.processes}"] if wish.processes > 1 else []
    names = ",".join(machine.name for machine in wish.crew.machines) if wish.crew else ""
    again += [f"--workers={names}"] if names else []
    again += [f"--rtt={wish.rtt * 1000:.0f}ms"] if wish.rtt else []
    about = {
        "run again": " ".join([*again, *wish.flags]),
        "load": {"rate": load.rate, "sessions": load.sessions, "seed": load.seed, "url": load.url},
        "round trip added": f"{wish.rtt * 1000:.0f} ms" if wish.rtt else "none",
        "client": _machine(),
        "host": about_host,
        "versions": {name: version(name) for name in PACKAGES},
        "calibration": calibration.newest(order.project),
        "connections": wish.connections,
        "workers": wish.workers,
        "http2": "yes" if wish.http2 else "no",
    }
    return replace(order, measured_on=about | more)


def _machine() -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
    }


def tell(judgement: Judgement, folder: Path, console: Console) -> None:
    """Print the verdict, what was found, and where the report is."""
    from cyan.proof.measures import price  # noqa: PLC0415 - pandas is heavy

    word = f"[bold {STYLE[judgement.verdict]}]{str(judgement.verdict).upper()}[/]"
    console.print(f"\n{word}  {judgement.sentence}")
    if not judgement.drops:
        console.print(f"      [dim]{price(judgement.n)}[/dim]")
    for line in _troubles(judgement):
        console.print(line, markup=False)
    console.print(f"      [dim]report: {folder / 'report.html'}[/dim]")


def tell_calibration(folder: Path, console: Console) -> Verdict:
    """Print what became of every plant; the verdict on the instrument."""
    from rich.table import Table  # noqa: PLC0415 - rich is slow to import

    made = json.loads((folder / calibration.NAME).read_text(encoding="utf-8"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("planted", "found by", "request", ""):
        table.add_column(heading)
    for each in made["planted"]:
        word = "[green]found[/]" if each["found"] else "[red]missed[/]"
        table.add_row(each["plant"], each["check"], each["id"] or each["why_not"], word)
    for each in made["extra"]:
        table.add_row("[red]by nobody[/]", each["check"], each["id"], "[red]found[/]")
    verdict = Verdict(made["verdict"])
    console.print(table)
    console.print(f"\n[bold {STYLE[verdict]}]{str(verdict).upper()}[/]  {made['sentence']}")
    console.print(f"      [dim]report: {folder / 'report.html'}[/dim]")
    return verdict


def _troubles(judgement: Judgement) -> Iterable[str]:
    for finding in judgement.findings:
        if finding.verdict is not Verdict.PASS:
            ids = f" ({', '.join(finding.ids[:3])})" if finding.ids else ""
            yield f"  {finding.verdict}: {finding.check}, {finding.about}: {finding.text}{ids}"


def report(folder: Path, console: Console, more: tuple[Check, ...] = ()) -> Judgement:
    """Judge a run's folder again from its raw logs, also by `more`; write its report anew."""
    from cyan.proof.report import write_report  # noqa: PLC0415 - pandas is heavy

    judgement = write_report(folder, more)
    finish(judgement, folder, console)
    return judgement


def finish(judgement: Judgement, folder: Path, console: Console) -> None:
    """Tell the verdict, and take the run up into the index of all."""
    from cyan.proof import stored, trend  # noqa: PLC0415 - pandas is heavy

    tell(judgement, folder, console)
    index = trend.write(folder.parent)
    together = stored.rotations(stored.read(folder.parent)[0])
    console.print(f"      [dim]{together.sentence} All runs: {index}[/dim]")


def against(one: Path, other: Path, console: Console) -> Path:
    """Compare two stored runs; the page about it, in the folder of the first.

    Raises UsageError where one of them has no verdict that can be read.
    """
    from cyan.proof import compare, stored  # noqa: PLC0415 - pandas is heavy

    runs = {run.name: run for run in stored.read(one.parent)[0]}
    for folder in (one, other):
        if folder.name not in runs:
            raise UsageError(
                f"{folder.name} has no verdict that can be read",
                where=str(folder),
                todo=f"inv report --run {folder.name}",
            )
    found = compare.compare(runs[one.name], runs[other.name])
    console.print(compare.table(found))
    path = compare.write(found, one / f"against-{other.name}.html")
    console.print(f"      [dim]page: {path}[/dim]")
    return path


def newest(project: Path) -> Path:
    """The newest run's folder. Raises UsageError where there is none."""
    folders = sorted((project / "reports").glob("*-verify"))
    if not folders:
        raise UsageError("there is no run to report on", todo="make one: inv verify-zero-downtime")
    return folders[-1]
