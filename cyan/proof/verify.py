"""The main job as the command line calls it: verify a host, report on a run again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from cyan.errors import UsageError
from cyan.proof import asking, calibration, scenario
from cyan.proof.findings import Verdict
from cyan.proof.relay.plants import PLANTS
from cyan.proof.relay.process import nobody
from cyan.proof.run import run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

    from cyan.proof.asking import Options
    from cyan.proof.checks import Further
    from cyan.proof.verdict import Judgement
    from cyan.sections import HostSettings
    from cyan.settings import Settings

STYLE = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


def verify(
    settings: Settings, machine: HostSettings, project: Path, options: Options, console: Console
) -> Judgement:
    """Hammer the site while the scenario's acts are performed on it; judge what was seen.

    `project` is the folder that acts are called in and under whose reports/ the run's folder is
    made. Raises ProofError where nothing could be judged.
    """
    from cyan.proof import live  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.host_under_test import HostUnderTest  # noqa: PLC0415 - as fabric is

    asking.possible(settings, options)
    folder = asking.new_folder(project, "verify")
    acts = asking.acts_of(settings, options, folder)
    with HostUnderTest(settings, machine) as system, nobody() as url:
        spec = asking.prepared(settings, folder, project, acts, options, system, url, machine)
        with live.shown(acts, console, folder, watch=options.watch) as display:
            judgement = run(spec, system, display)
    finish(judgement, spec.folder, console)
    return judgement


def calibrate(
    settings: Settings, machine: HostSettings, project: Path, options: Options, console: Console
) -> Verdict:
    """Plant one drop of every kind under load, and show which of them were found.

    Where the run ended before, the verdict on the instrument is unknown. Raises ProofError where
    nothing could be judged.
    """
    from cyan.proof import live  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.host_under_test import HostUnderTest  # noqa: PLC0415 - as fabric is

    folder = asking.new_folder(project, "calibration")
    options = replace(options, rate=options.rate or min(settings.rate, asking.THROUGH_PLANTER))
    acts = scenario.calibration(
        str(folder / calibration.PLANTED), len(PLANTS), drawn=options.plants
    )
    with HostUnderTest(settings, machine) as system, nobody() as url:
        spec = asking.planting(
            asking.spec_of(settings, folder, project, acts, options), options, url
        )
        more = asking.kept_of(settings, planted=False)
        if spec.relay and spec.relay.drawn:
            more["drawn"] = asdict(spec.relay.drawn)
        spec = asking.measured(spec, options, system.about(), refused=asking.REFUSED, **more)
        with live.shown(acts, console, folder, watch=options.watch) as display:
            judgement = run(spec, system, display)
    if not (folder / calibration.NAME).exists():
        tell(judgement, folder, console)
        console.print("      [dim]it ended before anything was planted: nothing is known[/dim]")
        return Verdict.UNKNOWN
    return tell_calibration(folder, console)


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


def report(folder: Path, console: Console, more: tuple[Further, ...] = ()) -> Judgement:
    """Judge a run's folder again from its raw logs, also by `more`; write its report anew."""
    from cyan.proof.report import write_report  # noqa: PLC0415 - pandas is heavy

    judgement = write_report(folder, more)
    finish(judgement, folder, console)
    return judgement


def finish(judgement: Judgement, folder: Path, console: Console) -> None:
    """Tell the verdict, and take the run up into the index of all."""
    tell(judgement, folder, console)
    tell_of_all(folder, console)


def tell_of_all(folder: Path, console: Console) -> None:
    """Make the index of all runs anew; tell what they say together."""
    from cyan.proof import stored, trend  # noqa: PLC0415 - pandas is heavy

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
