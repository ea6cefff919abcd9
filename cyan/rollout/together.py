"""One run on several hosts: prepared everywhere, committed, and switched at the same instant."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cyan.application.release import release_id
from cyan.application.secrets import collect
from cyan.errors import CyanError, DeployError, HostError, LockedError, UsageError
from cyan.hosts.session import Session, looked_again, sessions
from cyan.interrupt import ignored
from cyan.journal.entries import Event
from cyan.journal.writer import Writer
from cyan.names import Color, Kind
from cyan.rollout import apart, fleet, unfinished
from cyan.rollout import plan as planning
from cyan.rollout.fleet import Course, Left, Standing
from cyan.rollout.meeting import BehindError, Meeting, Member
from cyan.rollout.planned import Run
from cyan.rollout.preparing import prepare
from cyan.rollout.rotating import called_off, carry_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cyan.rollout.job import Reporter
    from cyan.rollout.planned import Plan, Request
    from cyan.rollout.unfinished import Unfinished
    from cyan.sections import HostSettings
    from cyan.settings import Settings

RECORD = "-commit.json"
"""How the deployer's own record of a commit ends, in reports/."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run made live, on how many hosts, how long it took, and from first to last.

    In seconds; `spread` is None where fewer than two were switched.
    """

    version: str
    hosts: int
    seconds: float
    spread: float | None


@dataclass(frozen=True)
class Fleet:
    """Hosts that act as one, by what --host calls each: their locks are ours.

    `report` gives who is told how it goes on there; of "" for all of them.
    """

    sessions: dict[str, Session]
    report: Callable[[str], Reporter]
    reports: Path | None

    @property
    def first(self) -> Session:
        """The host that keeps the record of a commit."""
        return next(iter(self.sessions.values()))

    def looked_again(self) -> Fleet:
        """The same after another look at each."""
        with ThreadPoolExecutor(len(self.sessions)) as pool:
            new = pool.map(looked_again, self.sessions.values())
            found = dict(zip(self.sessions, new, strict=True))
            return replace(self, sessions=_alike(found))

    def standings(self) -> tuple[Standing, ...]:
        """How each stands now, also where one does not answer any more."""

        def one(name: str) -> Standing:
            try:
                return fleet.standing(name, looked_again(self.sessions[name]).world, ours=True)
            except HostError as error:
                return Standing(name, silent=error.what)

        with ThreadPoolExecutor(len(self.sessions)) as pool:
            return tuple(pool.map(one, self.sessions))

    def left(self) -> Left | None:
        """The run that was left unfinished on them."""
        worlds = {name: each.world for name, each in self.sessions.items()}
        files = self.reports.glob(f"*{RECORD}") if self.reports else ()
        return fleet.left(worlds, frozenset(path.name.removesuffix(RECORD) for path in files))

    def each(
        self, names: Sequence[str], act: Callable[[str], object], meeting: Meeting
    ) -> dict[str, BaseException]:
        """Act on hosts at the same time; with which error it ended on which."""

        def one(name: str) -> None:
            try:
                act(name)
            except BaseException as error:
                meeting.failed(name, Kind.PREFLIGHT, error, lost=False)
                raise
            finally:
                meeting.ends(name)

        with ThreadPoolExecutor(max(1, len(names))) as pool:
            running = {name: pool.submit(one, name) for name in names}
            try:
                wait(running.values())
            except KeyboardInterrupt as interrupted:
                tell = self.report("").note
                with ignored(lambda: tell("it is being undone already; this takes a moment")):
                    meeting.stop(interrupted)
                    for name in names:
                        with suppress(HostError):
                            self.sessions[name].lock.let_go()
                    wait(running.values())
        ended = {name: future.exception() for name, future in running.items()}
        return {name: error for name, error in ended.items() if error}


def rotate(
    settings: Settings,
    machines: Sequence[HostSettings],
    request: Request,
    report: Callable[[str], Reporter],
    reports: Path | None,
) -> Outcome:
    """Deploy, roll back, or resume on several hosts. Raises CyanError.

    What an earlier deployer had decided and not done on all of them is done first.
    """
    began, settings = time.monotonic(), apart.keeping(settings, machines)
    with _joined(settings, machines, request, report, reports) as locked:
        joined = locked
        apart.refuse(settings, machines, joined.first.world.journal)
        left = joined.left()
        if request.what == "resume":
            return _resume(joined, request, left, began)
        if left and left.course is not Course.OPEN:
            _first(joined, request, left)
            joined = joined.looked_again()
        joined = _followed(joined)
        worlds = {name: each.world for name, each in joined.sessions.items()}
        fleet.refuse(request, [fleet.standing(*each, ours=True) for each in worlds.items()])
        request = replace(request, run=_name(joined.first, request))
        plans = _plans(joined, dict.fromkeys(joined.sessions, request))
        if settings.shares_colors:
            fleet.refuse_two({name: each.target for name, each in plans.items()})
        meeting = _run(joined, plans, request.title)
        version = next(iter(plans.values())).target.version
        return Outcome(version, len(plans), time.monotonic() - began, meeting.spread)


def abort(
    settings: Settings,
    machines: Sequence[HostSettings],
    request: Request,
    report: Callable[[str], Reporter],
    reports: Path | None,
) -> tuple[str, ...]:
    """Undo on all hosts the run that was left unfinished; on which it was. Raises CyanError."""
    with _joined(settings, machines, request, report, reports) as joined:
        apart.refuse(settings, machines, joined.first.world.journal)
        return _abort(joined, joined.left())


@contextmanager
def _joined(
    settings: Settings,
    machines: Sequence[HostSettings],
    request: Request,
    report: Callable[[str], Reporter],
    reports: Path | None,
) -> Iterator[Fleet]:
    """Lock all of them, in an order that does not depend on whose settings these are.

    Raises DeployError that names each host that does not answer.
    """
    names = {fleet.flag(each, machines): each for each in machines}
    ordered = sorted(machines, key=lambda each: (each.address, each.port))
    with ExitStack() as stack:
        tell = report("").note
        try:
            mine = stack.enter_context(
                sessions(settings, ordered, request.title, tell, request.lock_wait)
            )
        except LockedError:
            raise
        except HostError:
            fleet.refuse(request, fleet.survey(settings, machines))
            raise
        by = {each.host.settings: each for each in mine}
        yield Fleet(_alike({name: by[each] for name, each in names.items()}), report, reports)


def _alike(sessions: dict[str, Session]) -> dict[str, Session]:
    """The same, of hosts of a swarm with the containers that the first one saw: they are its, too.

    Between two looks a deployer that was killed may have left it to Swarm to begin something.
    """
    first, *_ = sessions.values()

    def one(mine: Session) -> Session:
        if mine.world.leads:
            return mine
        shared = (each for color in Color for each in first.world.of(color))
        return replace(mine, world=replace(mine.world, containers=(*shared, *mine.world.of(None))))

    return {name: one(each) for name, each in sessions.items()}


def _name(first: Session, request: Request) -> str:
    """What the run is called in every journal, by the clock of the first host."""
    back = request.what == "rollback"
    version = planning.rollback_target(first.world).version if back else request.version
    return release_id(version, first.world.now)


def _plans(joined: Fleet, requests: dict[str, Request]) -> dict[str, Plan]:
    def one(name: str) -> Plan:
        mine = joined.sessions[name]
        return prepare(mine.host, mine.settings, mine.world, requests[name])

    with ThreadPoolExecutor(len(requests)) as pool:
        return dict(zip(requests, pool.map(one, requests), strict=True))


def _first(joined: Fleet, request: Request, left: Left) -> None:
    """Do what was decided of an earlier run."""
    tell = joined.report("").note
    if left.course is Course.BACK:
        tell(f"{left.run.title} was being taken back, which is finished first")
        _abort(joined, left)
        return
    tell(f"{left.run.title} was committed, and is finished first")
    _resume(joined, replace(request, what="resume", version="", rehearse=""), left, 0)


def _followed(joined: Fleet) -> Fleet:
    """Have each host of a swarm lead to what the first one has live. Raises CyanError.

    One that was left out, or is new, would lead to what is about to be replaced.
    """
    lead = joined.first.world
    behind = {
        name: each
        for name, each in joined.sessions.items()
        if not each.world.leads and each.world.live is not lead.live
    }
    for name, each in behind.items():
        if lead.live is None:
            raise DeployError(
                f"{name} leads to {each.world.live}, and the first host to none",
                where=name,
                todo=f"inv reset --host {name}; then deploy",
            )
        joined.report("").note(f"{name} first leads to {lead.serving}, as the others do")
        plan = planning.following(lead, each.world, each.settings)
        carry_out(each, plan, joined.report(name), joined.reports)
    return joined.looked_again() if behind else joined


def _resume(joined: Fleet, request: Request, left: Left | None, began: float) -> Outcome:
    if left and left.course is Course.BACK:
        raise UsageError(
            f"{left.run.title} was being taken back: it cannot go on",
            todo="inv deploy --abort finishes that",
        )
    requests = {
        name: request
        for name, each in joined.sessions.items()
        if unfinished.find(each.world.journal)
    }
    if not requests:
        unfinished.resumable(None, joined.first.world)
    if left:
        again = _again(left, request, joined.first.settings) if left.lacking else request
        requests |= dict.fromkeys(left.lacking, again)
    plans = _plans(joined, requests)
    committed = left is not None and left.course is Course.FORWARD
    title = left.run.title if left else request.title
    meeting = _run(joined, plans, title, committed=committed)
    version = next(iter(plans.values())).target.version
    return Outcome(version, len(plans), time.monotonic() - began, meeting.spread)


def _again(left: Left, request: Request, settings: Settings) -> Request:
    """The request by which a run is begun where it never was. UsageError where that is unknown."""
    run = left.run
    assert run.target is not None  # noqa: S101 - for the type checker: fleet.left said so
    if run.environment:
        raise UsageError(
            f"{run.title} has yet to begin on {', '.join(left.lacking)}, with settings that are "
            "not known here",
            todo=f"deploy it again, with its --env {' '.join(run.environment)}",
        )
    version = run.target.version if run.what == "deploy" else ""
    made = replace(request, what=run.what, version=version, run=run.run, take_over=True)
    return made.carrying(collect(settings)) if run.what == "deploy" else made


def _abort(joined: Fleet, left: Left | None) -> tuple[str, ...]:
    worlds = {name: each.world for name, each in joined.sessions.items()}
    if left:
        fleet.refuse_abort(left, worlds)
    found = {name: unfinished.find(world.journal) for name, world in worlds.items()}
    names = tuple(name for name, run in found.items() if run)
    if not names:
        unfinished.resumable(None, joined.first.world)
    here = {name: run for name, run in found.items() if run}
    reached = [name for name, run in here.items() if run.reached(worlds[name])]
    record = _Record(joined, left.run, names) if left else None
    if record:
        record(fleet.BACK)
    meeting = Meeting(
        names, [each for each in names if each not in reached], lambda _: None, committed=True
    )

    def one(name: str) -> None:
        undone = called_off(joined.sessions[name], joined.report(name), Member(meeting, name))
        joined.report(name).note(f"aborted; serving: {undone.serving}")

    errors = joined.each(names, one, meeting)
    if errors:
        raise fleet.not_taken_back(errors, joined.standings())
    if record:
        record.forget()
    return names


def _run(joined: Fleet, plans: dict[str, Plan], title: str, *, committed: bool = False) -> Meeting:
    """Run plans on their hosts at the same time. Raises CyanError."""
    switching = [
        name for name, plan in plans.items() if any(step.kind is Kind.SWITCH for step in plan.steps)
    ]
    run = next(iter(plans.values())).run
    record = _Record(joined, run, [*plans])
    meeting = Meeting(tuple(plans), switching, record, committed=committed)

    def one(name: str) -> None:
        mine, report = joined.sessions[name], joined.report(name)
        carry_out(mine, plans[name], report, joined.reports, Member(meeting, name))

    errors = joined.each(tuple(plans), one, meeting)
    if errors:
        if not meeting.behind:
            record.forget()
        _raise(title, joined, meeting, errors)
    record.forget()
    return meeting


def _raise(title: str, joined: Fleet, meeting: Meeting, errors: dict[str, BaseException]) -> None:
    why = meeting.why
    told = [each for each in errors.values() if why in (each, each.__cause__)]
    own = [each for each in errors.values() if not isinstance(each, BehindError)]
    first = next(iter((*told, *own, *errors.values())))
    behind = {} if meeting.off else meeting.behind
    parts = not joined.first.settings.shares_colors
    raise fleet.failure(title, behind, first, joined.standings(), parts=parts) from first


class _Record:
    """Writes down what is decided of a run, where whoever comes next finds it."""

    def __init__(self, joined: Fleet, run: Unfinished | Run, names: Sequence[str]) -> None:
        self._locks = {name: joined.sessions[name].lock for name in names}
        self._run = run
        name = run.id if isinstance(run, Run) else run.run
        self._id = name
        self._file = joined.reports / f"{name}{RECORD}" if joined.reports else None

    def __call__(self, word: str) -> None:
        """Write it into the journal of the first host; where users wait, of the first that can.

        Raises CyanError where it could not be written.
        """
        for name, lock in self._locks.items():
            try:
                assert self._run.target is not None  # noqa: S101 - for the type checker
                writer = Writer(lock, self._id, self._run.what, self._run.target)
                writer.write(Event.NOTE, word, text=f"{word}: {', '.join(self._locks)}")
                break
            except CyanError:
                if word == fleet.COMMIT or name == [*self._locks][-1]:
                    raise
        if self._file and word == fleet.COMMIT:
            with suppress(OSError):  # the first host's is the one that counts
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.write_text(json.dumps({"hosts": [*self._locks]}) + "\n")

    def forget(self) -> None:
        """Remove the deployer's own record: the run is through, or was taken back."""
        if self._file:
            self._file.unlink(missing_ok=True)
