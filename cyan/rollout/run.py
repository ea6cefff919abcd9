"""Run a plan under the lock: each step journalled before and after, and undone where it fails."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.errors import CyanError, DeployError, HostError, UsageError
from cyan.interrupt import ignored
from cyan.journal import Event
from cyan.names import Kind
from cyan.rollout import failure, hooks, unfinished
from cyan.rollout import plan as planning
from cyan.rollout.book import Book
from cyan.rollout.cargo import Cargo, stored_secrets
from cyan.rollout.pins import parse
from cyan.rollout.steps import ACTIONS, Done, Job
from cyan.rollout.turn import turn
from cyan.rollout.undo import Undone, abandon, undo
from cyan.world.compose import quoted_path
from cyan.world.secrets import collect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cyan.rollout.observation import Observation
    from cyan.rollout.pins import Pin
    from cyan.rollout.plan import Plan, Request, Step
    from cyan.rollout.release import Release
    from cyan.rollout.turn import Reporter
    from cyan.settings import HostSettings, Settings
    from cyan.world.host import Host


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
    reports: Path | None = None,
) -> Outcome:
    """Deploy, roll back, or resume on one host. Raises CyanError; its `serving` says what serves.

    A failure leaves a folder in `reports`.
    """
    began = time.monotonic()
    with turn(settings, machine, request.title, report.note, request.lock_wait) as mine:
        plan = prepare(mine.host, settings, mine.world, request)
        book = Book(mine.lock, plan)
        book.catch_up(mine.world)
        job = Job(**vars(mine), plan=plan, bar=report.bar, reports=reports)
        _execute(job, book, report)
        return Outcome(plan, time.monotonic() - began)


def abort(
    settings: Settings, machine: HostSettings, report: Reporter, lock_wait: float = 0
) -> Undone:
    """Undo the run that was left unfinished on a host. Raises CyanError."""
    with turn(settings, machine, "deploy --abort", report.note, lock_wait) as mine:
        left = unfinished.resumable(unfinished.find(mine.world.journal), mine.world)
        plan = planning.undoing(left)
        book = Book(mine.lock, plan)
        book.catch_up(mine.world)
        with ignored(lambda: report.note("it is being undone already; this takes a moment")):
            undone = abandon(Job(**vars(mine), plan=plan), left, book)
            book.write(Event.END, ok=False, error="it was aborted", serving=undone.serving)
        return undone


def prepare(host: Host, settings: Settings, world: Observation, request: Request) -> Plan:
    """The plan for a request.

    A rollback that deploys runs what its release ran: the same Compose file, environment, secrets
    and images. Raises DeployError where the host keeps them no more.
    """
    if request.what == "deploy":
        return planning.deploy(request, world, settings, settings.compose.stateless.read_text())
    if request.what == "resume":
        return _resumed(host, settings, world, request)
    back = planning.rollback_target(world)
    plan = planning.rollback(request, world, settings, "")
    if not any(step.kind is Kind.FETCH for step in plan.steps):
        return plan
    request, text = _again(host, settings, back, request)
    return planning.rollback(request, world, settings, text)


def _again(host: Host, settings: Settings, back: Release, request: Request) -> tuple[Request, str]:
    """The request that runs what `back` ran, and its Compose file. DeployError where it is gone."""
    kept = _kept(host, settings, back.id)
    if kept is None or kept.pins is None:
        raise DeployError(
            f"what release {back.id} ran with is not on the host any more",
            where=host.name,
            todo=f"to deploy {back.version} with the settings of now: "
            f"inv deploy --version {back.version}",
        )
    cargo = Cargo(again=back.id, pins=kept.pins)
    return replace(request, environment=kept.environment, cargo=cargo), kept.text


def _resumed(host: Host, settings: Settings, world: Observation, request: Request) -> Plan:
    """The plan that goes on with the run that was left unfinished. Raises CyanError.

    What it had fetched stays as it is; what it had not comes from where it came from then, and
    only then are the sources of its secrets asked.
    """
    left = unfinished.resumable(unfinished.find(world.journal), world)
    assert left.target is not None  # noqa: S101 - for the type checker: resumable said so
    kept = _kept(host, settings, left.target.id)
    fetched = kept is not None and kept.pins is not None
    if fetched or not left.fresh or left.reached(world):
        request = replace(request, environment=kept.environment if kept else ())
        return planning.resume(left, request, world, settings, None)
    if left.what == "rollback":
        back = planning.rollback_target(world)
        request, text = _again(host, settings, back, request)
        return planning.resume(left, request, world, settings, text)
    if left.environment and kept is None:
        raise UsageError(
            f"{left.title} was killed before its settings were on the host",
            where=host.name,
            todo=f"deploy it again, with its --env {' '.join(left.environment)}",
        )
    kept = kept or Kept(settings.compose.stateless.read_text(), (), None)
    request = replace(request, environment=kept.environment).carrying(collect(settings.secrets))
    return planning.resume(left, request, world, settings, kept.text)


def _execute(job: Job, book: Book, report: Reporter) -> None:
    step, began = job.plan.steps[0], time.monotonic()
    try:
        book.begin()
        for step in job.plan.steps:
            began = time.monotonic()
            report.step(step)
            book.write(Event.STEP, step)
            interrupt.check()
            warnings = hooks.before(job, step)
            done: Done = ACTIONS[step.kind](job, step)
            book.write(Event.DONE, step, **done.detail)
            warnings += done.warnings + hooks.after(job, step)
            report.done(step, time.monotonic() - began, done.says)
            for warning in warnings:
                report.note(warning)
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
    undone = _tidied(job, book, step)
    hide = _hiding(job, error)
    what = "it was interrupted" if interrupted else hide(getattr(error, "what", str(error)))
    try:
        book.write(Event.FAILED, step, error=what, serving=undone.serving)
        book.write(Event.END, ok=False, error=what)
    except HostError as gone:
        report.note(f"the journal does not tell how this ended: {gone.what}")
    told = DeployError(
        f"{job.plan.run.what} of {job.plan.target.version} failed at {step.kind}: {what}",
        where=getattr(error, "where", "") or job.host.name,
        serving=undone.serving,
        todo=getattr(error, "todo", "") or undone.todo,
        evidence=hide(undone.evidence.text),
    )
    if job.reports:
        folder = job.reports / f"{job.plan.run.id}-failed"
        try:
            evidence = undone.evidence if undone.evidence.files else failure.gather(job)
            failure.keep(job, evidence, f"{told}\n", folder, hide)
            report.note(f"logs, events and journal of this: {folder}")
        except OSError as full:
            report.note(f"{folder} could not be written: {full}")
    return told


def _hiding(job: Job, error: BaseException) -> Callable[[str], str]:
    """What takes the release's secrets out of a text; they are out of `error` already.

    A traceback shows that one, too.
    """
    given = job.plan.cargo.secrets
    stored = stored_secrets(job.host, job.settings, job.plan.target.id)

    def hide(text: str) -> str:
        return stored.redacted(given.redacted(text))

    if isinstance(error, CyanError):
        error.what, error.evidence = hide(error.what), hide(error.evidence)
    error.args = tuple(hide(each) if isinstance(each, str) else each for each in error.args)
    return hide


def _tidied(job: Job, book: Book, step: Step) -> Undone:
    try:
        job.lock.check()
        return undo(job, step, book)
    except CyanError as error:
        return Undone(
            serving=f"{job.world.serving} when this began; what was begun could not be undone "
            f"({error.what})",
            todo="as soon as the host answers: inv status, then inv deploy --resume or --abort",
        )


@dataclass(frozen=True)
class Kept:
    """What the host keeps of a release: its Compose file, its environment, the images it ran.

    `pins` is None where its images or its secrets were not all there when its deployer ended.
    """

    text: str
    environment: tuple[tuple[str, str], ...]
    pins: tuple[Pin, ...] | None


def _kept(host: Host, settings: Settings, release: str) -> Kept | None:
    """What is kept of a release; None where not even its files are."""
    folder = PurePosixPath(settings.directory) / "releases" / release
    names = ("compose.yml", ".env", "images.json", "secrets.env")
    compose_file, env_file, images, secrets = (quoted_path(folder, name) for name in names)
    separator = "--cyan--"
    files = " && ".join(
        f"cat {path} && echo && echo {separator}" for path in (compose_file, env_file)
    )
    output = host.run(f"{files} && [ -e {secrets} ] && cat {images}; true", check=False)
    parts = output.stdout.split(f"\n{separator}\n")
    if len(parts) < 3:  # noqa: PLR2004 - two files, and what follows
        return None
    text, env, record = parts
    return Kept(text, planning.extra_environment(env), parse(record) if record else None)
