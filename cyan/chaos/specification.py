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
from cyan.proof import asking
from cyan.proof.run import RunSpec, lasting, run
from cyan.proof.scenario import Act, Traffic, deploy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import Console

    from cyan.chaos.fault import Fault
    from cyan.chaos.judging import Controls
    from cyan.proof.verdict import Judgement
    from cyan.sections import HostSettings
    from cyan.settings import Settings

VERSIONS = ("v1", "v2", "v3")
CONVERGING = 25.0  # seconds of the deploy that follows each fault, with the gaps, on two cores
IN_FLIGHT = 10_000  # requests: faults stop the site on purpose, for half a minute at most
STEADY = 10.0
WITHIN = 300.0  # seconds of an act at most: its deployers are given up on before
ENDING = 120.0  # seconds in which an act ends its deployers, heals, and looks at the world
TRIES = 6  # shorter runs that a failure is followed by
PROGRAM = (sys.executable, "-m", "cyan.chaos.run_experiment")


@dataclass(frozen=True)
class Context:
    """Where it happens, and who is told; with `watch` also whoever looks at a page."""

    settings: Settings
    machine: HostSettings
    project: Path
    console: Console
    watch: bool = False


@dataclass(frozen=True)
class Options:
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


def drawn(options: Options) -> tuple[Drawn, ...]:
    """The faults of a run. Raises UsageError for a name that is none's, or that is a control's."""
    if options.names:
        for name in options.names:
            catalogue.fault(name.partition(":")[0])
        return only(options.seed, options.names, entries(catalogue.BY_NAME.values()))
    able = [each for each in catalogue.FAULTS if not each.alone]
    return draw(options.seed, options.minutes * 60, entries(able))


def entries(faults: Iterable[type[Fault]]) -> tuple[Entry, ...]:
    """The faults as the drawing takes them."""
    return tuple(Entry(each.name, each.seconds + CONVERGING, each.choices) for each in faults)


def again(options: Options, faults: Sequence[Drawn]) -> str:
    """The command line that draws these faults again."""
    names = ",".join(f"{each.name}:{each.round}" for each in faults)
    more = f" --rate {options.rate:g}" if options.rate else ""
    more += f" --rtt {options.rtt * 1000:.0f}ms" if options.rtt else ""
    return f"inv chaos --seed {options.seed}{more} --only {names}"


def spec_of(context: Context, folder: Path, options: Options) -> RunSpec:
    """A run without acts."""
    asked = asking.Options(scenario="chaos", rate=options.rate, seed=options.seed, rtt=options.rtt)
    spec = asking.spec_of(context.settings, folder, context.project, (), asked)
    load = replace(spec.load, in_flight=IN_FLIGHT)
    return replace(spec, load=load, steady=min(spec.steady, STEADY), checks=judging.checks)


def with_faults(
    spec: RunSpec, settings: Settings, faults: Sequence[Drawn], controls: Controls | None = None
) -> RunSpec:
    """The run with an act for each fault and one for the deploy after it.

    What they are judged by is kept in the run's folder, with how the `controls` came out.
    """
    acts, told = [deploy(VERSIONS[0], name="deploy before")], {}
    plan = [each for drawn_ in faults for each in (drawn_, Drawn(Nothing.name))]
    for number, each in enumerate(plan, 1):
        act, kept = act_of(spec, number, each, VERSIONS[number % len(VERSIONS)])
        acts.append(act)
        told[str(number)] = kept
    kept = {"services": settings.stateless, "shared": settings.stateful, "acts": told}
    kept |= {"controls": controls.kept} if controls else {}
    (spec.folder / judging.DRAWN).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return lasting(replace(spec, acts=tuple(acts)))


def act_of(spec: RunSpec, number: int, each: Drawn, version: str) -> tuple[Act, dict[str, Any]]:
    """The act of one experiment, and how its record is found again."""
    made = catalogue.fault(each.name, dict(each.values))
    name = f"{number:02d}-{each.name}"
    path = spec.folder / judging.EXPERIMENTS / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(experiment.write(made, each, version), encoding="utf-8")
    expects = made.expects
    outage = math.ceil(expects.outage * spec.load.rate)
    act = Act(
        name=each.title if each.name != Nothing.name else "the deploy after it",
        arguments=(str(path), str(path.with_suffix(".json"))),
        traffic=expects.traffic,
        version=version if expects.traffic is Traffic.SWITCH else "",
        program=PROGRAM,
        allowed_drops=outage + spec.load.sessions if outage else 0,
        loses_lines=bool(outage),
        timeout=WITHIN,
        ending=ENDING,
        heal=(*PROGRAM, "--heal", str(path)),
    )
    return act, {"name": each.name, "round": each.round, "values": each.values, "file": name}


def carried_out(context: Context, spec: RunSpec) -> Judgement:
    """The judgement of a run. Raises ProofError where nothing could be judged."""
    from cyan.proof import live  # noqa: PLC0415 - rich is slow to import
    from cyan.proof.host_under_test import HostUnderTest  # noqa: PLC0415 - as fabric is

    with HostUnderTest(context.settings, context.machine) as system:
        rtt = spec.relay.rtt if spec.relay else 0.0
        asked = asking.Options(scenario="chaos", rtt=rtt)
        spec = asking.measured(spec, asked, system.about(), **spec.measured_on)
        with live.shown(spec.acts, context.console, spec.folder, watch=context.watch) as display:
            return run(spec, system, display)
