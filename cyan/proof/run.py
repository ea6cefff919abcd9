"""A run: the swarm, the acts while it hammers, the logs, the verdict, the report."""

from __future__ import annotations

import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from cyan.errors import HostError, ProofError
from cyan.proof import collected, history
from cyan.proof.history import Clock, History, Observation, Performed
from cyan.proof.load import Load, Pace, Swarm, together
from cyan.proof.perform import Stage, perform
from cyan.proof.relay.process import RelayOptions, led

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cyan.proof.checks import Further
    from cyan.proof.display import Display
    from cyan.proof.scenario import Act
    from cyan.proof.verdict import Judgement

NOTHING = nullcontext()
POLL = 0.1
RECOVERY = 2.0
ENDING = 60.0
"""Seconds within which the world was looked at, once an act has ended."""


class SystemUnderTest(Protocol):
    """What a run needs to know of what it judges; `cyan.proof.host_under_test` has the real one."""

    def observe(self) -> Observation:
        """The application as it is now."""

    def clock(self) -> Clock:
        """How the host's clock stands to ours."""

    def collect(self, folder: Path) -> None:
        """Write the other witnesses' logs of this run into its folder."""


@dataclass(frozen=True)
class RunSpec:
    """What a run is asked to do.

    `steady` seconds without an act come first, `gap` seconds follow each act, and after the last
    the load goes on until `requests` were sent. `command` is the command line that acts call.
    `measured_on` is kept as settings.json. `relay` is one that the load goes through.
    `checks` finds what this kind of run is judged by besides, in the run's folder.
    """

    folder: Path
    project: Path
    acts: tuple[Act, ...]
    load: Load
    steady: float = 15
    gap: float = 5
    requests: int = 0
    command: tuple[str, ...] = (sys.executable, "-m", "cyan")
    measured_on: dict[str, Any] = field(default_factory=dict)
    relay: RelayOptions | None = None
    checks: Callable[[Path], tuple[Further, ...]] = lambda _folder: ()


def lasting(spec: RunSpec) -> RunSpec:
    """The run with a load that outlives its acts, should each take all the time it may.

    The load's own limit is there for a swarm that nobody ends; a run must never come to it.
    """
    acts = sum(
        (1 + len(act.prepare)) * (act.timeout + act.ending + ENDING) + spec.gap for act in spec.acts
    )
    rest = spec.requests / spec.load.rate
    limit = spec.steady + acts + 2 * rest + ENDING
    return replace(spec, load=replace(spec.load, limit=limit))


@dataclass(frozen=True)
class Part:
    """One host's part of a run: what is sent to it and where it is judged, and the host."""

    spec: RunSpec
    system: SystemUnderTest


def run(spec: RunSpec, system: SystemUnderTest, display: Display) -> Judgement:
    """Perform the acts under load and judge what was seen.

    Everything that was found out lies in `spec.folder` afterwards. The swarm is ended whatever
    happens. Raises ProofError where nothing can be judged.
    """
    return run_on_all((Part(spec, system),), display)[0]


def run_on_all(
    parts: Sequence[Part], display: Display, beside: AbstractContextManager[object] = NOTHING
) -> tuple[Judgement, ...]:
    """The same on several hosts at once: each act is one command, which is for all of them.

    Each has a load and witnesses of its own, and is judged by itself; what goes on `beside` all of
    them is over before the logs are collected. Raises ProofError.
    """
    for each in parts:
        (each.spec.folder / "acts").mkdir(parents=True)
        _keep(each.spec.folder / "settings.json", each.spec.measured_on)
    told = _under_load(parts, display, beside)
    display.says("collecting the logs")
    for each in parts[1:]:
        acts = parts[0].spec.folder / "acts"
        shutil.copytree(acts, each.spec.folder / "acts", dirs_exist_ok=True)
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(_collected, parts, told))
    display.says("reconciling")
    from cyan.proof.report import write_report  # noqa: PLC0415 - pandas is heavy

    folders = ((each.spec.folder, each.spec.checks) for each in parts)
    return tuple(write_report(folder, checks(folder)) for folder, checks in folders)


def _collected(part: Part, told: History) -> None:
    folder = part.spec.folder
    history.save(told, folder / "acts.json")
    part.system.collect(folder)
    collected.write(folder)


def _keep(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


class _Swarms:
    """The swarms of all hosts as one."""

    def __init__(self, each: Sequence[Swarm]) -> None:
        self._each = each

    @property
    def alive(self) -> bool:
        return all(swarm.alive for swarm in self._each)

    def pace(self) -> Pace:
        return together([swarm.pace() for swarm in self._each])


class _Hosts:
    """Looks at all hosts as one; keeps what each was like every time."""

    def __init__(self, systems: Sequence[SystemUnderTest]) -> None:
        self._systems = systems
        self.seen: list[tuple[Observation, ...]] = []

    def observe(self) -> Observation:
        """The first one, as an act is told of; of one without a live color, if there is any."""
        with ThreadPoolExecutor(len(self._systems)) as pool:
            self.seen.append(tuple(pool.map(lambda each: each.observe(), self._systems)))
        return next((each for each in self.seen[-1] if not each.live), self.seen[-1][0])

    def each(self, done: Performed) -> tuple[Performed, ...]:
        """The act that was performed last, as each host saw it."""
        pairs = zip(*self.seen[-2:], strict=True)
        return tuple(replace(done, before=before, after=after) for before, after in pairs)


def _under_load(
    parts: Sequence[Part], display: Display, beside: AbstractContextManager[object]
) -> tuple[History, ...]:
    spec, hosts = parts[0].spec, _Hosts([each.system for each in parts])
    stage = Stage(spec.project, spec.folder / "acts", hosts.observe, spec.command)
    clocks = [each.system.clock() for each in parts]
    opening = _opening(spec, stage, hosts, display)
    with ExitStack() as stack:
        swarms = [stack.enter_context(_swarm(each.spec)) for each in parts]
        display.says("waiting for the swarm")
        for swarm in swarms:
            swarm.wait_ready()
        begun = time.time_ns()
        stack.enter_context(beside)
        all_of_them = _Swarms(swarms)
        performed = (*opening, *_acts(parts, stage, hosts, all_of_them, display, len(opening)))
        ended = time.time_ns()
        display.says("letting what is in flight end")
        with ThreadPoolExecutor(len(swarms)) as pool:
            list(pool.map(_finished, swarms))
    told = []
    for number, (part, swarm, clock) in enumerate(zip(parts, swarms, clocks, strict=True)):
        now, held = clock, False
        with suppress(HostError):  # then the verdict is unknown
            now, held = clock.until(part.system.clock()), True
        told.append(
            History(
                tuple(each[number] for each in performed),
                planned=tuple(act.name for act in spec.acts),
                swarm_exit=swarm.exit_code,
                load_begun_ns=begun,
                load_ended_ns=ended,
                clock=now,
                clock_held=held,
            )
        )
    return tuple(told)


def _finished(swarm: Swarm) -> None:
    with suppress(ProofError):  # then its exit code makes the verdict unknown
        swarm.finish()


@contextmanager
def _swarm(spec: RunSpec) -> Iterator[Swarm]:
    with led(spec.load, spec.relay) as load, Swarm(load, spec.folder / "client") as swarm:
        yield swarm


def _opening(
    spec: RunSpec, stage: Stage, hosts: _Hosts, display: Display
) -> tuple[tuple[Performed, ...], ...]:
    """The first act, done before the load where nothing is live that could answer it."""
    if not spec.acts or stage.observe().live:
        return ()
    display.begins(0)
    done = perform(spec.acts[0], 0, stage, lambda: None, loaded=False)
    display.ended(0, done)
    if not done.after.live:
        raise ProofError(
            f"nothing is live, and the first act, “{done.act.name}”, did not change that",
            where=str(stage.output),
            todo="read its output there",
        )
    return (hosts.each(done),)


def _acts(  # noqa: PLR0913, PLR0917 - a run's parts
    parts: Sequence[Part],
    stage: Stage,
    hosts: _Hosts,
    swarm: _Swarms,
    display: Display,
    first: int,
) -> tuple[tuple[Performed, ...], ...]:
    """The steady state, each act with its gap, and the rest of the requests.

    Each act as each host saw it.
    """
    spec = parts[0].spec
    enough = sum(each.spec.requests for each in parts)

    def tick() -> None:
        display.tick(swarm.pace())

    display.says("steady state")
    _let_pass(spec.steady, swarm, tick)
    performed = []
    for number, act in enumerate(spec.acts[first:], first):
        if not swarm.alive:
            break
        display.begins(number)
        performed.append(hosts.each(done := perform(act, number, stage, tick)))
        display.ended(number, done)
        _let_pass(spec.gap, swarm, tick)
    display.says("steady state again")
    _wait(lambda: swarm.pace().sent >= enough, spec.load.limit, swarm, tick)
    return tuple(performed)


def _let_pass(seconds: float, swarm: _Swarms, tick: Callable[[], None]) -> None:
    """Wait until `seconds` of load have passed."""
    until = time.monotonic() + seconds
    _wait(lambda: time.monotonic() >= until, seconds + RECOVERY, swarm, tick)


def _wait(
    reached: Callable[[], bool], within: float, swarm: _Swarms, tick: Callable[[], None]
) -> None:
    """Wait for a condition, at most `within` seconds and while the swarm lives."""
    deadline = time.monotonic() + within
    while swarm.alive and not reached() and time.monotonic() < deadline:
        tick()
        time.sleep(POLL)
