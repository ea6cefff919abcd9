"""What a chaos run is asked to do: its faults as acts, each with the deploy after it."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cyan.chaos import catalogue, experiment, judging
from cyan.chaos.draw import Drawn, Entry, draw, only
from cyan.chaos.faults.deployer import Nothing
from cyan.proof import verify
from cyan.proof.run import Order, lasting, run
from cyan.proof.scenario import Act, Traffic, deploy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import Console

    from cyan.chaos.fault import Fault
    from cyan.chaos.judging import Controls
    from cyan.proof.verdict import Judgement
    from cyan.settings import HostSettings, Settings

VERSIONS = ("v1", "v2", "v3")
CONVERGING = 25.0  # seconds of the deploy that follows each fault, with the gaps, on two cores
IN_FLIGHT = 10_000  # requests: faults stop the site on purpose, for half a minute at most
STEADY = 10.0
WITHIN = 300.0  # seconds of an act at most: its deployers are given up on before
ENDING = 120.0  # seconds in which an act ends its deployers, heals, and looks at the world
TRIES = 6  # shorter runs that a failure is followed by
PROGRAM = (sys.executable, "-m", "cyan.chaos.perform")


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

    `rtt` is a round trip in seconds that is added between the swarm and the site. `shrink` is how
    many shorter runs a failure may be followed by.
    """

    minutes: float = 20
    seed: int = 1
    names: tuple[str, ...] = ()
    rate: float | None = None
    rtt: float = 0.0
    shrink: int = TRIES


def drawn(wish: Wish) -> tuple[Drawn, ...]:
    """The faults of a run. Raises UsageError for a name that is none's, or that is a control's."""
    if wish.names:
        for name in wish.names:
            catalogue.fault(name.partition(":")[0])
        return only(wish.seed, wish.names, entries(catalogue.BY_NAME.values()))
    able = [each for each in catalogue.FAULTS if not each.alone]
    return draw(wish.seed, wish.minutes * 60, entries(able))


def entries(faults: Iterable[type[Fault]]) -> tuple[Entry, ...]:
    """The faults as the drawing takes them."""
    return tuple(Entry(each.name, each.seconds + CONVERGING, each.choices) for each in faults)


def again(wish: Wish, faults: Sequence[Drawn]) -> str:
    """The command line that draws these faults again."""
    names = ",".join(f"{each.name}:{each.round}" for each in faults)
    more = f" --rate {wish.rate:g}" if wish.rate else ""
    more += f" --rtt {wish.rtt * 1000:.0f}ms" if wish.rtt else ""
    return f"inv chaos --seed {wish.seed}{more} --only {names}"


def ordered(ground: Ground, folder: Path, wish: Wish) -> Order:
    """The order of a run without acts."""
    asked = verify.Wish(scenario="chaos", rate=wish.rate, seed=wish.seed, rtt=wish.rtt)
    order = verify.ordered(ground.settings, folder, ground.project, (), asked)
    load = replace(order.load, in_flight=IN_FLIGHT)
    return replace(order, load=load, steady=min(order.steady, STEADY), checks=judging.checks)


def with_faults(
    order: Order, settings: Settings, faults: Sequence[Drawn], controls: Controls | None = None
) -> Order:
    """The order with an act for each fault and one for the deploy after it.

    What they are judged by is kept in the run's folder, with how the `controls` came out.
    """
    acts, told = [deploy(VERSIONS[0], name="deploy before")], {}
    plan = [each for drawn_ in faults for each in (drawn_, Drawn(Nothing.name))]
    for number, each in enumerate(plan, 1):
        act, kept = act_of(order, number, each, VERSIONS[number % len(VERSIONS)])
        acts.append(act)
        told[str(number)] = kept
    kept = {"services": settings.stateless, "shared": settings.stateful, "acts": told}
    kept |= {"controls": controls.kept} if controls else {}
    (order.folder / judging.DRAWN).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return lasting(replace(order, acts=tuple(acts)))


def act_of(order: Order, number: int, each: Drawn, version: str) -> tuple[Act, dict[str, Any]]:
    """The act of one experiment, and how its record is found again."""
    made = catalogue.fault(each.name, dict(each.values))
    name = f"{number:02d}-{each.name}"
    path = order.folder / judging.EXPERIMENTS / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(experiment.write(made, each, version), encoding="utf-8")
    expects = made.expects
    outage = math.ceil(expects.outage * order.load.rate)
    act = Act(
        name=each.title if each.name != Nothing.name else "the deploy after it",
        arguments=(str(path), str(path.with_suffix(".json"))),
        traffic=expects.traffic,
        version=version if expects.traffic is Traffic.SWITCH else "",
        program=PROGRAM,
        allowed_drops=outage + order.load.sessions if outage else 0,
        loses_lines=bool(outage),
        timeout=WITHIN,
        ending=ENDING,
        heal=(*PROGRAM, "--heal", str(path)),
    )
    return act, {"name": each.name, "round": each.round, "values": each.values, "file": name}


def carried_out(ground: Ground, order: Order) -> Judgement:
    """The judgement of an order's run. Raises ProofError where nothing could be judged."""
    from cyan.proof.display import Terminal  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.surroundings import RealSurroundings  # noqa: PLC0415 - as fabric is

    with RealSurroundings(ground.settings, ground.machine) as around:
        rtt = order.between.rtt if order.between else 0.0
        asked = verify.Wish(scenario="chaos", rtt=rtt)
        order = verify.measured(order, asked, around.about(), **order.measured_on)
        with Terminal(order.acts, ground.console) as display:
            return run(order, around, display)
