"""The main job as the command line calls it: verify a host, report on a run again."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cyan.errors import UsageError
from cyan.proof import scenario
from cyan.proof.findings import Verdict
from cyan.proof.run import Order, run
from cyan.proof.swarm import Load

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

    from cyan.proof.scenario import Act
    from cyan.proof.verdict import Judgement
    from cyan.settings import HostSettings, Settings

REQUESTS = {"full": 51_000, "quick": 0}
"""How many requests a scenario makes at least, acts or not."""

PACKAGES = ("cyan", "locust", "geventhttpclient", "gevent", "pandas", "pyarrow")


@dataclass(frozen=True)
class Wish:
    """What the command line asked for; None leaves it to the settings."""

    scenario: str = "full"
    rate: float | None = None
    sessions: int | None = None
    seed: int | None = None
    extra: tuple[str, ...] = ()  # further flags for the swarm


def verify(
    settings: Settings, machine: HostSettings, project: Path, wish: Wish, console: Console
) -> Judgement:
    """Hammer the site while the scenario's acts are performed on it; judge what was seen.

    `project` is the folder that acts are called in and under whose reports/ the run's folder is
    made. Raises ProofError where nothing could be judged.
    """
    from cyan.proof.display import Terminal  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.surroundings import RealSurroundings  # noqa: PLC0415 - as fabric is

    acts = scenario.scenario(wish.scenario)
    with RealSurroundings(settings, machine) as around:
        order = ordered(settings, project, acts, wish, around.about())
        with Terminal(acts, console) as display:
            judgement = run(order, around, display)
    tell(judgement, order.folder, console)
    return judgement


def ordered(
    settings: Settings,
    project: Path,
    acts: tuple[Act, ...],
    wish: Wish,
    about_host: dict[str, str],
) -> Order:
    """The order for a run: the wish where it says, else the settings."""
    wanted = settings.verify
    load = Load(
        url=f"http://{settings.site.host}:{settings.site.port}",
        locustfile=wanted.locustfile,
        rate=wish.rate or wanted.rate,
        sessions=wish.sessions or wanted.sessions,
        seed=wanted.seed if wish.seed is None else wish.seed,
        extra=wish.extra,
    )
    return Order(
        folder=new_folder(project),
        project=project,
        acts=acts,
        load=load,
        steady=wanted.steady,
        gap=wanted.gap,
        requests=REQUESTS.get(wish.scenario, 0),
        measured_on=measured_on(load, wish, about_host),
    )


def new_folder(project: Path) -> Path:
    """A folder for a run that does not exist yet: reports/<time>-verify."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return project / "reports" / f"{stamp}-verify"


def measured_on(load: Load, wish: Wish, about_host: dict[str, str]) -> dict[str, Any]:
    """What a reader must know to judge a run, and to do it again."""
    again = ["inv", "verify-zero-downtime"]
    again += ["--quick"] if wish.scenario == "quick" else []
    again += [f"--rate={load.rate:g}", f"--sessions={load.sessions}", f"--seed={load.seed}"]
    return {
        "run again": " ".join([*again, *load.extra]),
        "load": {"rate": load.rate, "sessions": load.sessions, "seed": load.seed, "url": load.url},
        "client": _machine(),
        "host": about_host,
        "versions": {name: version(name) for name in PACKAGES},
    }


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

    style = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}
    word = f"[bold {style[judgement.verdict]}]{str(judgement.verdict).upper()}[/]"
    console.print(f"\n{word}  {judgement.sentence}")
    if not judgement.drops:
        console.print(f"      [dim]{price(judgement.n)}[/dim]")
    for line in _troubles(judgement):
        console.print(line, markup=False)
    console.print(f"      [dim]report: {folder / 'report.html'}[/dim]")


def _troubles(judgement: Judgement) -> Iterable[str]:
    for finding in judgement.findings:
        if finding.verdict is not Verdict.PASS:
            ids = f" ({', '.join(finding.ids[:3])})" if finding.ids else ""
            yield f"  {finding.verdict}: {finding.check}, {finding.about}: {finding.text}{ids}"


def report(folder: Path, console: Console) -> Judgement:
    """Judge a run's folder again from its raw logs and write its report anew."""
    from cyan.proof.report import write_report  # noqa: PLC0415 - pandas is heavy

    judgement = write_report(folder)
    tell(judgement, folder, console)
    return judgement


def newest(project: Path) -> Path:
    """The newest run's folder. Raises UsageError where there is none."""
    folders = sorted((project / "reports").glob("*-verify"))
    if not folders:
        raise UsageError("there is no run to report on", todo="make one: inv verify-zero-downtime")
    return folders[-1]
