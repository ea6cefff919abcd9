"""Several hosts that act as one: how each stands, what was left of a run, and what is told: pure.

What is decided of a run is written into the journal of one host, in the name of the run, before
anything follows from it: `commit` before the first host is switched, `back` before the first is
switched back. Whoever comes after a deployer that was killed reads there which way it goes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cyan.errors import CyanError, DeployError, HostError, UsageError
from cyan.hosts.look import previous
from cyan.journal.entries import Event
from cyan.rollout import unfinished
from cyan.rollout.status import observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cyan.application.release import Release
    from cyan.hosts.look import Observation
    from cyan.journal.entries import Entry
    from cyan.rollout.planned import Request
    from cyan.rollout.unfinished import Unfinished
    from cyan.sections import HostSettings
    from cyan.settings import Settings

LINE = "\n           "  # as far in as an error's text begins
COMMIT, BACK = "commit", "back"
"""What the journal calls the decisions of a fleet: its hosts switch, or are switched back."""


@dataclass(frozen=True)
class Standing:
    """How a host stands: `flag` names it to --host.

    `live` is the version that is live and `back` the one that a rollback goes to, "" where there is
    none; `serving` says the first in words, `left` is what was left unfinished. `silent` says why
    nothing of this is known, "" where it is.
    """

    flag: str
    live: str = ""
    back: str = ""
    serving: str = ""
    left: str = ""
    silent: str = ""

    def __str__(self) -> str:
        if self.silent:
            return f"{self.flag}: unknown, {self.silent}"
        back = f"; before it {self.back}" if self.back else ""
        left = f"; {self.left} is unfinished" if self.left else ""
        return f"{self.flag}: {self.serving}{back}{left}"


class Course(StrEnum):
    """Which way a run goes that was left unfinished."""

    OPEN = "open"  # nothing was decided: no user has noticed anything
    FORWARD = "forward"  # its hosts were to switch, and some may have
    BACK = "back"  # they were to be switched back


@dataclass(frozen=True)
class Left:
    """A run of several hosts that was left unfinished.

    Of these hosts it is `unfinished` on some, `lacking` on those that have yet to begin it, or have
    undone it, and through on those that are `done`.
    """

    run: Unfinished
    course: Course
    unfinished: tuple[str, ...]
    lacking: tuple[str, ...]
    done: tuple[str, ...]


def flag(machine: HostSettings, machines: Iterable[HostSettings]) -> str:
    """What --host calls a machine: its address, or its name where another has that address."""
    same = sum(each.address == machine.address for each in machines)
    return machine.address if same == 1 else machine.name


def left(worlds: Mapping[str, Observation], committed: frozenset[str]) -> Left | None:
    """The run of a fleet that was left unfinished on hosts, by their names; None where none was.

    `committed` are runs that are known to be, whatever the journals say. Raises DeployError where
    two runs were left.
    """
    found = {name: unfinished.find(world.journal) for name, world in worlds.items()}
    begun = {name: run for name, run in found.items() if run and run.fleet and run.target}
    if not begun:
        return None
    run = next(iter(begun.values()))
    if len({each.run for each in begun.values()}) > 1:
        raise DeployError(
            "another run was left unfinished on each of the hosts",
            serving=LINE.join(f"{name}: {each.title}" for name, each in begun.items()),
            todo="one host at a time: inv deploy --resume --host HOST, or --abort",
        )
    done = tuple(name for name, world in worlds.items() if _through(world.journal, run.run))
    lacking = tuple(
        name for name in worlds if name in run.fleet and name not in begun and name not in done
    )
    decided = {word for world in worlds.values() for word in _decided(world.journal, run.run)}
    reached = any(each.reached(worlds[name]) for name, each in begun.items())
    forward = COMMIT in decided or run.run in committed or reached or done
    course = Course.BACK if BACK in decided else Course.FORWARD if forward else Course.OPEN
    return Left(run, course, tuple(begun), lacking, done)


def _through(journal: Sequence[Entry], run: str) -> bool:
    """Whether a run has ended well on a host."""
    ends = [each for each in journal if each.run == run and each.event is Event.END]
    return bool(ends and ends[-1].detail.get("ok"))


def _decided(journal: Sequence[Entry], run: str) -> list[str]:
    words = {COMMIT: COMMIT, BACK: BACK, "switch-back": BACK}
    return [words[each.step] for each in journal if each.run == run and each.step in words]


def standing(name: str, world: Observation, *, ours: bool = False) -> Standing:
    """How a host stands by a look at it; `ours` where its lock is."""
    release = world.release(world.live) or (world.switches[-1].release if world.switches else "")
    back = previous(world.switches, release) if world.live else None
    run = unfinished.find(world.journal) if ours or world.owner is None else None
    return Standing(
        name,
        world.version(world.live),
        back.version if back else "",
        world.serving,
        run.title if run else "",
    )


def survey(settings: Settings, machines: Sequence[HostSettings]) -> tuple[Standing, ...]:
    """Look at several hosts at the same time, also past one that does not answer."""
    if len(machines) == 1:
        return ()

    def one(machine: HostSettings) -> Standing:
        name = flag(machine, machines)
        try:
            return standing(name, observe(settings, machine))
        except HostError as error:
            return Standing(name, silent=error.what)

    with ThreadPoolExecutor(len(machines)) as pool:
        return tuple(pool.map(one, machines))


def differ(standings: Sequence[Standing]) -> bool:
    """Whether one rollback would not take them all from one version to one other."""
    silent = any(each.silent for each in standings)
    return silent or len({(each.live, each.back) for each in standings}) > 1


def refuse(request: Request, standings: Sequence[Standing]) -> None:
    """Raise DeployError where a host does not answer, and for a rollback where they differ."""
    silent = [each.flag for each in standings if each.silent]
    if silent:
        without = " ".join(f"--without {name}" for name in silent)
        raise DeployError(
            f"{', '.join(silent)} cannot be reached, so {request.title} was begun on no host",
            serving=LINE.join(map(str, standings)),
            todo=f"mend that; or {_command(request)} {without}: the next deploy takes it along",
        )
    if request.what == "rollback" and differ(standings):
        raise DeployError(
            f"the hosts differ, so {request.title} was begun on none of them",
            serving=LINE.join(map(str, standings)),
            todo=LINE.join(
                [
                    "deploy one version to all: inv deploy --version V; or one host at a time:",
                    *(f"{_command(request)} --host {each.flag}" for each in standings),
                ]
            ),
        )


def refuse_two(targets: Mapping[str, Release]) -> None:
    """Raise DeployError where hosts that share what runs would lead users to different releases."""
    if len(set(targets.values())) > 1:
        raise DeployError(
            "by their journals the hosts would go to different releases: "
            + ", ".join(f"{name} to {each.id}" for name, each in targets.items()),
            where=", ".join(targets),
            todo="deploy one version to all: inv deploy --version V",
        )


def refuse_abort(run: Left, worlds: Mapping[str, Observation]) -> None:
    """Raise UsageError where a run cannot be undone on all of its hosts together."""
    todo = "inv deploy --resume finishes it; then: inv rollback"
    if run.done and run.course is not Course.BACK:
        raise UsageError(
            f"{run.run.title} is through on {', '.join(run.done)}: it can only be finished",
            todo=todo,
        )
    old = run.run.old
    gone = [
        name
        for name in run.unfinished
        if run.run.reached(worlds[name])
        and not (old and any(item.up for item in worlds[name].of(old.color)))
    ]
    if gone:
        raise UsageError(
            f"what was live before {run.run.title} is not up any more on {', '.join(gone)}",
            todo=todo,
        )


def failure(
    title: str,
    behind: Mapping[str, str],
    error: BaseException,
    standings: Sequence[Standing],
    *,
    parts: bool = True,
) -> DeployError:
    """The error of a run that ended on several hosts: how each stands, and what is next.

    `behind` are hosts that did not follow where the others are switched, and why; `parts` says
    whether the others could go on without them.
    """
    serving = LINE.join(map(str, standings))
    if behind:
        names = ", ".join(behind)
        why = "; ".join(dict.fromkeys(behind.values()))
        gone = "--without HOST leaves a host out"
        if not parts:
            gone = f"for good: take {names} from cyan.hosts"
        return DeployError(
            f"{title} is committed, but {names} did not follow: {why}",
            where=names,
            serving=serving,
            todo=f"no old color was stopped; once {names} can go on, any deploy or rollback, or "
            f"inv deploy --resume, finishes this first{LINE}"
            f"inv deploy --abort takes all of them back; {gone}",
        )
    told = error if isinstance(error, CyanError) else CyanError("it was interrupted")
    return DeployError(
        told.what,
        where=told.where,
        serving=serving or told.serving,
        todo=told.todo,
        evidence=told.evidence,
    )


def not_taken_back(
    errors: Mapping[str, BaseException], standings: Sequence[Standing]
) -> DeployError:
    """The error of an abort that did not end well on some hosts."""
    why = "; ".join(f"{name}: {getattr(each, 'what', each)}" for name, each in errors.items())
    return DeployError(
        f"what was begun could not be undone on {', '.join(errors)}: {why}",
        where=", ".join(errors),
        serving=LINE.join(map(str, standings)),
        todo="inv deploy --abort, once that is mended, finishes it; so does any deploy or rollback",
    )


def difference(standings: Sequence[Standing]) -> str:
    """That hosts differ, and how; "" where they do not."""
    if not standings or not differ(standings):
        return ""
    return LINE.join(("the hosts differ:", *map(str, standings)))


def _command(request: Request) -> str:
    if request.what in ("resume", "abort"):
        return f"inv deploy --{request.what}"
    version = f" --version {request.version}" if request.version else ""
    return f"inv {request.what}{version}"
