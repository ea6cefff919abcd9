"""`inv chaos`: draw, rotate with faults under load, heal, judge, and shorten what failed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cyan.chaos import catalogue, experiment, judging, record
from cyan.chaos.draw import Drawn, Entry, draw, only
from cyan.chaos.faults.deployer import Nothing
from cyan.chaos.shrink import shrink
from cyan.proof import verify
from cyan.proof.findings import Verdict
from cyan.proof.run import Order, lasting, run
from cyan.proof.scenario import Act, Traffic, control, deploy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from cyan.proof.verdict import Judgement
    from cyan.settings import HostSettings, Settings

VERSIONS = ("v1", "v2", "v3")
CONVERGING = 12.0  # seconds of the deploy that follows each fault, with its gaps
STEADY = 10.0
RTT = 0.04  # between clients and site in the controls: a reload then drops for certain
QUIET = 12  # seconds of the control in which nothing is done
TRIES = 6  # runs that shortening a failure may take


@dataclass(frozen=True)
class Ground:
    """Where it happens, and who is told."""

    settings: Settings
    machine: HostSettings
    project: Path
    console: Console


@dataclass(frozen=True)
class Wish:
    """What the command line asked for. `names` draws these, in this order, and no others.

    `rtt` is a round trip in seconds that is added between the swarm and the site.
    """

    minutes: float = 20
    seed: int = 1
    names: tuple[str, ...] = ()
    rate: float | None = None
    rtt: float = 0.0
    shrink: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a chaos run ended: its verdict with the controls', and the faults of acts that failed."""

    verdict: Verdict
    failed: tuple[Drawn, ...] = ()


def drawn(wish: Wish) -> tuple[Drawn, ...]:
    """The faults of a run. Raises UsageError for a name that is none's."""
    if wish.names:
        for name in wish.names:
            catalogue.fault(name.partition(":")[0])
        return only(wish.seed, wish.names, entries(catalogue.BY_NAME.values()))
    able = [each for each in catalogue.FAULTS if not each.alone]
    return draw(wish.seed, wish.minutes * 60, entries(able))


def entries(faults: Any) -> tuple[Entry, ...]:  # noqa: ANN401 - any of fault classes
    """The faults as the drawing takes them."""
    return tuple(Entry(each.name, each.seconds + CONVERGING, each.choices) for each in faults)


def chaos(ground: Ground, wish: Wish) -> Outcome:
    """Controls, then the drawn faults under load; the report of both. Raises ProofError."""
    faults = drawn(wish)
    for left in sorted((ground.project / "reports").glob("*-chaos"))[-1:]:
        _heal_all(left, ground.project)  # that run may have been killed
    controls = controlled(ground, wish)
    outcome = faulted(ground, wish, faults)
    if outcome.verdict is Verdict.FAIL:
        ground.console.print(f"      again: {again(wish, faults)}", markup=False)
        if wish.shrink:
            shorten(ground, wish, outcome, faults)
    return replace(outcome, verdict=together(controls, outcome.verdict))


def together(controls: Verdict, found: Verdict) -> Verdict:
    """Where the controls did not come out as they must, nothing is known."""
    return found if controls is Verdict.PASS else Verdict.UNKNOWN


def again(wish: Wish, faults: Sequence[Drawn]) -> str:
    """The command line that draws these faults again."""
    names = ",".join(f"{each.name}:{each.round}" for each in faults)
    more = f" --rate {wish.rate:g}" if wish.rate else ""
    more += f" --rtt {wish.rtt * 1000:.0f}ms" if wish.rtt else ""
    return f"inv chaos --seed {wish.seed}{more} --only {names}"


def faulted(
    ground: Ground,
    wish: Wish,
    faults: Sequence[Drawn],
) -> Outcome:
    """One run with these faults; what is left of any of them is healed, however it ends."""
    folder = verify.new_folder(ground.project, "chaos")
    order = _order(ground, folder, wish)
    order = _with_faults(order, ground.settings, faults)
    order = replace(order, measured_on={"run again": again(wish, faults)})
    try:
        judgement = _run(ground, order)
    finally:
        _heal_all(folder, ground.project)
    verify.finish(judgement, folder, ground.console)
    bad = {f.act for f in judgement.findings if f.verdict is Verdict.FAIL}
    failed = (each for place, each in enumerate(faults) if {2 * place + 1, 2 * place + 2} & bad)
    return Outcome(judgement.verdict, tuple(failed))


def _run(ground: Ground, order: Order) -> Judgement:
    from cyan.proof.display import Terminal  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.surroundings import RealSurroundings  # noqa: PLC0415 - as fabric is

    with RealSurroundings(ground.settings, ground.machine) as around:
        rtt = order.between.rtt if order.between else 0.0
        asked = verify.Wish(scenario="chaos", rtt=rtt)
        order = verify.measured(order, asked, around.about(), **order.measured_on)
        with Terminal(order.acts, ground.console) as display:
            return run(order, around, display)


def _order(ground: Ground, folder: Path, wish: Wish) -> Order:
    asked = verify.Wish(scenario="chaos", rate=wish.rate, seed=wish.seed, rtt=wish.rtt)
    order = verify.ordered(ground.settings, folder, ground.project, (), asked)
    return replace(order, steady=min(order.steady, STEADY), checks=judging.checks)


def _with_faults(order: Order, settings: Settings, faults: Sequence[Drawn]) -> Order:
    """The order with an act for each fault and one for the deploy after it."""
    acts, told = [deploy(VERSIONS[0], name="deploy before")], {}
    plan = [each for drawn_ in faults for each in (drawn_, Drawn(Nothing.name))]
    for number, each in enumerate(plan, 1):
        act, kept = _act(order, number, each, VERSIONS[number % len(VERSIONS)])
        acts.append(act)
        told[str(number)] = kept
    kept = {"services": settings.stateless, "acts": told}
    (order.folder / judging.DRAWN).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return lasting(replace(order, acts=tuple(acts)))


def _act(order: Order, number: int, each: Drawn, version: str) -> tuple[Act, dict[str, Any]]:
    """The act of one experiment, and how its record is found again."""
    made = catalogue.fault(each.name, dict(each.values))
    name = f"{number:02d}-{each.name}"
    path = order.folder / judging.EXPERIMENTS / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(experiment.write(made, each, version), encoding="utf-8")
    expects = made.expects
    program = (sys.executable, "-m", "cyan.chaos.perform")
    outage = math.ceil(expects.outage * order.load.rate)
    act = Act(
        name=each.title if each.name != Nothing.name else "the deploy after it",
        arguments=(str(path), str(path.with_suffix(".json"))),
        traffic=expects.traffic,
        version=version if expects.traffic is Traffic.SWITCH else "",
        program=program,
        allowed_drops=outage + order.load.sessions if outage else 0,
        loses_lines=bool(outage),
    )
    return act, {"name": each.name, "round": each.round, "values": each.values, "file": name}


def shorten(
    ground: Ground,
    wish: Wish,
    outcome: Outcome,
    faults: Sequence[Drawn],
) -> tuple[Drawn, ...]:
    """Run parts of a failed run again, those that failed first; the shortest that still fails."""

    def fails(part: tuple[Drawn, ...]) -> bool:
        ground.console.print(f"      shortening: {again(wish, part)}", markup=False)
        return faulted(ground, wish, part).verdict is Verdict.FAIL

    tries = TRIES
    if outcome.failed and len(outcome.failed) < len(faults):
        tries -= 1
        if fails(outcome.failed):
            faults = outcome.failed
    shortest = shrink(faults, fails, tries)
    ground.console.print(f"      still fails: {again(wish, shortest)}", markup=False)
    return shortest


def _heal_all(folder: Path, project: Path) -> None:
    """Heal what an experiment that was itself killed could not."""
    for path in sorted((folder / judging.EXPERIMENTS).glob("*.yaml")):
        seen = record.load(path.with_suffix(".json"))
        begun = path.with_suffix("").is_dir()
        if begun and seen.unhealed:
            words = (sys.executable, "-m", "cyan.chaos.perform", "--heal", str(path))
            subprocess.run(words, cwd=project, check=False)  # noqa: S603 - our own command line


def controlled(ground: Ground, wish: Wish) -> Verdict:
    """A time without a deploy, in which nothing may drop, and two ways of deploying that must."""
    from cyan.proof.between import Between  # noqa: PLC0415 - only here

    folder = verify.new_folder(ground.project, "controls")
    folder.mkdir(parents=True)
    order = replace(_order(ground, folder, wish), between=Between(RTT), steady=3)
    order = _with_faults(order, ground.settings, ())
    acts = [*order.acts, replace(control(QUIET), name="no deploy")]
    for each in catalogue.CONTROLS[1:]:
        act, _kept = _act(order, len(acts), Drawn(each.name), "")
        acts.append(act)
    quiet = lasting(replace(order, acts=tuple(acts), checks=lambda _folder: ()))
    judgement = _run(ground, quiet)
    return judged(ground, judgement)


def judged(ground: Ground, judgement: Judgement) -> Verdict:
    """Whether the controls came out as they must.

    Only the quiet act is judged to be quiet, and it comes first: seconds after a reload the proxy
    still closes connections, when their streams end.
    """
    *acts, _steady = judgement.measures
    quiet, *known = acts[1:]
    lines = []
    if quiet.drops or not quiet.n:
        lines.append(f"without any deploy {quiet.drops} of {quiet.n} requests were dropped")
    lines += [
        f"“{each.name}” is known to drop and was not seen to" for each in known if not each.drops
    ]
    lines += ["a control was not carried out"] if len(known) < len(catalogue.CONTROLS) - 1 else []
    for line in lines:
        ground.console.print(f"[yellow]unknown[/]  controls: {line}")
    if not lines:
        seen = ", ".join(f"{each.name} dropped {each.drops}" for each in known)
        ground.console.print(f"controls: no drop without a deploy; {seen}")
    return Verdict.UNKNOWN if lines else Verdict.PASS
