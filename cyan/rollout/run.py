"""Run a plan under the lock: each step journalled before and after, and undone where it fails."""

from __future__ import annotations

import getpass
import socket
import time
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from cyan.errors import CyanError, DeployError, HostError
from cyan.interrupt import ignored
from cyan.journal import Entry, Event
from cyan.rollout import plan as planning
from cyan.rollout.lock import Lock, Owner
from cyan.rollout.observation import look
from cyan.rollout.plan import Kind, Plan, Request, Step
from cyan.rollout.steps import ACTIONS, Done, Job
from cyan.rollout.undo import Undone, undo
from cyan.world.compose import quoted_path
from cyan.world.engine import Engine
from cyan.world.host import Host

if TYPE_CHECKING:
    from cyan.rollout.observation import Observation
    from cyan.settings import HostSettings, Settings


class Reporter(Protocol):
    """Who is told how a run goes on."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def step(self, step: Step) -> None:
        """A step begins."""

    def done(self, step: Step, seconds: float, says: str) -> None:
        """A step ended well."""

    def failed(self, step: Step, seconds: float) -> None:
        """A step failed; the error follows."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run did, and how long it took in seconds."""

    plan: Plan
    seconds: float


def rotate(
    settings: Settings,
    machine: HostSettings,
    request: Request,
    report: Reporter,
    lock_wait: float = 0,
) -> Outcome:
    """Deploy or roll back on one host. Raises CyanError; then its `serving` says what serves.

    A lock that another holds is waited for `lock_wait` seconds.
    """
    began = time.monotonic()
    host = Host(machine)
    engine = Engine(host)
    mine = owner(request.title)
    with host, Lock(host, str(settings.directory), mine, wait=lock_wait, tell=report.note) as lock:
        world = look(host, engine, settings)
        plan = prepare(host, settings, world, request)
        book = Book(lock, plan)
        if lock.taken_over:
            text = f"took over the lock of {lock.taken_over.described}, which ended in the middle"
            report.note(text)
            book.write(Event.NOTE, text=text)
        _execute(Job(host, engine, settings, world, plan), book, report)
        return Outcome(plan, time.monotonic() - began)


def prepare(host: Host, settings: Settings, world: Observation, request: Request) -> Plan:
    """The plan for a request. A rollback that deploys uses the files that its release ran with."""
    current = settings.compose.stateless.read_text()
    if request.what == "deploy":
        return planning.deploy(request, world, settings, current)
    back = planning.rollback_target(world)
    stored = _stored(host, settings, back.id)
    if stored is None:
        return planning.rollback(request, world, settings, current)
    text, environment = stored
    return planning.rollback(replace(request, environment=environment), world, settings, text)


def owner(doing: str) -> Owner:
    """This process as the owner of a lock."""
    return Owner(getpass.getuser(), socket.gethostname(), time.time(), doing)


class Book:
    """Writes one run's lines into the journal."""

    def __init__(self, lock: Lock, plan: Plan) -> None:
        self._lock = lock
        self._plan = plan

    def check(self) -> None:
        """Raise LockLostError where this run may not go on."""
        self._lock.check()

    def write(self, event: Event, step: Step | None = None, **detail: Any) -> None:  # noqa: ANN401
        """Append a line, stamped with the host's time."""
        target = self._plan.target
        self._lock.record(
            Entry(
                at=0.0,
                run=self._plan.run,
                what=self._plan.what,
                event=event,
                step=step.kind if step else "",
                color=step.color if step else target.color,
                version=target.version,
                release=target.id,
                detail=detail,
            )
        )

    def switched_back(self, to: str) -> None:
        """Record that the traffic went back to `to`."""
        back = Step(Kind.SWITCH, self._plan.target.color, "switched back")
        self._lock.record(
            Entry(
                0.0,
                self._plan.run,
                self._plan.what,
                Event.DONE,
                "switch-back",
                to,
                self._plan.old.version if self._plan.old else "",
                self._plan.old.id if self._plan.old else "",
                {"from": back.color, "to": to, "renamed_at": time.time()},
            )
        )


def _execute(job: Job, book: Book, report: Reporter) -> None:
    step, began = job.plan.steps[0], time.monotonic()
    try:
        steps = [{"kind": step.kind, "color": step.color} for step in job.plan.steps]
        book.write(Event.BEGIN, plan=steps)
        for step in job.plan.steps:
            began = time.monotonic()
            report.step(step)
            book.write(Event.STEP, step)
            done: Done = ACTIONS[step.kind](job, step)
            book.write(Event.DONE, step, **done.detail)
            report.done(step, time.monotonic() - began, done.says)
        book.write(Event.END, ok=True)
    except (Exception, KeyboardInterrupt) as error:  # whatever it is, it is undone
        report.failed(step, time.monotonic() - began)
        with ignored(lambda: report.note("it is being undone already; this takes a moment")):
            undone = _undone(job, book, report, step, error)
        raise undone from error


def _undone(
    job: Job, book: Book, report: Reporter, step: Step, error: BaseException
) -> DeployError:
    """Undo what must be undone; the error that tells all of it."""
    interrupted = isinstance(error, KeyboardInterrupt)
    what = "it was interrupted" if interrupted else getattr(error, "what", str(error))
    undone = _tidied(job, book, step)
    try:
        book.write(Event.FAILED, step, error=what, serving=undone.serving)
        book.write(Event.END, ok=False, error=what)
    except HostError:
        report.note("the journal could not be written: the connection is gone")
    return DeployError(
        f"{job.plan.what} of {job.plan.target.version} failed at {step.kind}: {what}",
        where=getattr(error, "where", "") or job.host.name,
        serving=undone.serving,
        todo=getattr(error, "todo", "") or undone.todo,
        evidence=undone.evidence,
    )


def _tidied(job: Job, book: Book, step: Step) -> Undone:
    try:
        book.check()
        return undo(job, step, book.switched_back)
    except CyanError as error:
        return Undone(
            serving=f"{job.world.serving} when this began; what was begun could not be undone "
            f"({error.what})",
            todo="as soon as the host answers: inv status, then deploy again",
        )


def _stored(
    host: Host, settings: Settings, release: str
) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """The Compose file and the extra environment that a release ran with, if still kept."""
    folder = PurePosixPath(settings.directory) / "releases" / release
    files = f"{quoted_path(folder, 'compose.yml')} {quoted_path(folder, '.env')}"
    separator = "--cyan--"
    output = host.run(
        f"for f in {files}; do cat $f && echo {separator} || exit 1; done", check=False
    )
    if output.code != 0:
        return None
    text, env, _ = output.stdout.split(f"{separator}\n")
    return text, planning.extra_environment(env)
