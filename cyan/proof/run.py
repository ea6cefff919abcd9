"""A run: the swarm, the acts while it hammers, the logs, the verdict, the report."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from cyan.errors import HostError, ProofError
from cyan.proof import collected, history
from cyan.proof.history import Clock, History, Observation, Performed
from cyan.proof.load import Load, Swarm
from cyan.proof.perform import Stage, perform
from cyan.proof.relay.process import RelayOptions, relayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cyan.proof.checks import Check
    from cyan.proof.display import Display
    from cyan.proof.scenario import Act
    from cyan.proof.verdict import Judgement

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
    checks: Callable[[Path], tuple[Check, ...]] = lambda _folder: ()


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


def run(spec: RunSpec, system: SystemUnderTest, display: Display) -> Judgement:
    """Perform the acts under load and judge what was seen.

    Everything that was found out lies in `spec.folder` afterwards. The swarm is ended whatever
    happens. Raises ProofError where nothing can be judged.
    """
    (spec.folder / "acts").mkdir(parents=True)
    _keep(spec.folder / "settings.json", spec.measured_on)
    told = _under_load(spec, system, display)
    display.says("collecting the logs")
    history.save(told, spec.folder / "acts.json")
    system.collect(spec.folder)
    collected.write(spec.folder)
    display.says("reconciling")
    from cyan.proof.report import write_report  # noqa: PLC0415 - pandas is heavy

    return write_report(spec.folder, spec.checks(spec.folder))


def _keep(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def _under_load(spec: RunSpec, system: SystemUnderTest, display: Display) -> History:
    stage = Stage(spec.project, spec.folder / "acts", system.observe, spec.command)
    clock = system.clock()
    opening = _opening(spec, stage, display)
    with _load(spec) as load, Swarm(load, spec.folder / "client") as swarm:
        display.says("waiting for the swarm")
        swarm.wait_ready()
        begun = time.time_ns()
        performed = (*opening, *_acts(spec, stage, swarm, display, len(opening)))
        ended = time.time_ns()
        display.says("letting what is in flight end")
        with suppress(ProofError):  # then its exit code makes the verdict unknown
            swarm.finish()
    held = False
    with suppress(HostError):  # then the verdict is unknown
        clock, held = clock.until(system.clock()), True
    return History(
        performed,
        planned=tuple(act.name for act in spec.acts),
        swarm_exit=swarm.exit_code,
        load_begun_ns=begun,
        load_ended_ns=ended,
        clock=clock,
        clock_held=held,
    )


@contextmanager
def _load(spec: RunSpec) -> Iterator[Load]:
    """The load, through its relay where it has one; TLS has its own, which never plants."""
    load, relay = spec.load, spec.relay
    with ExitStack() as relays:
        if relay:
            way = relays.enter_context(relayed(load.url, relay, load.connect))
            there = urlsplit(way).netloc
            secure = load.url.startswith("https:")
            load = replace(load, connect=there) if secure else replace(load, url=way)
        if relay and load.secure:
            only = replace(relay, planted=None)
            way = relays.enter_context(relayed(load.secure, only, spec.load.connect))
            load = replace(load, through=way)
        elif load.secure and load.connect:
            load = replace(load, through=f"https://{load.connect}")
        yield load


def _opening(spec: RunSpec, stage: Stage, display: Display) -> tuple[Performed, ...]:
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
    return (done,)


def _acts(
    spec: RunSpec, stage: Stage, swarm: Swarm, display: Display, first: int
) -> tuple[Performed, ...]:
    """The steady state, each act with its gap, and the rest of the requests."""

    def tick() -> None:
        display.tick(swarm.pace())

    display.says("steady state")
    _let_pass(spec.steady, swarm, tick)
    performed = []
    for number, act in enumerate(spec.acts[first:], first):
        if not swarm.alive:
            break
        display.begins(number)
        performed.append(perform(act, number, stage, tick))
        display.ended(number, performed[-1])
        _let_pass(spec.gap, swarm, tick)
    display.says("steady state again")
    _wait(lambda: swarm.pace().sent >= spec.requests, spec.load.limit, swarm, tick)
    return tuple(performed)


def _let_pass(seconds: float, swarm: Swarm, tick: Callable[[], None]) -> None:
    """Wait until `seconds` of load have passed."""
    until = time.monotonic() + seconds
    _wait(lambda: time.monotonic() >= until, seconds + RECOVERY, swarm, tick)


def _wait(
    reached: Callable[[], bool], within: float, swarm: Swarm, tick: Callable[[], None]
) -> None:
    """Wait for a condition, at most `within` seconds and while the swarm lives."""
    deadline = time.monotonic() + within
    while swarm.alive and not reached() and time.monotonic() < deadline:
        tick()
        time.sleep(POLL)
