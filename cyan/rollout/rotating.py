"""Run a plan under the lock: each step journalled before and after, and undone where it fails."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.errors import CyanError, DeployError, HostError
from cyan.hosts.session import Session, session
from cyan.interrupt import ignored
from cyan.journal.entries import Event
from cyan.journal.writer import Writer
from cyan.rollout import apart, failure, holding, hooks, proving, unfinished
from cyan.rollout import plan as planning
from cyan.rollout.job import Done, Job
from cyan.rollout.meeting import BehindError, ElsewhereError
from cyan.rollout.preparing import prepare
from cyan.rollout.probe import probing
from cyan.rollout.steps import ACTIONS
from cyan.rollout.undo import Undone, abandon, undo

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.application.secrets import Redaction
    from cyan.rollout.job import Reporter
    from cyan.rollout.meeting import Member
    from cyan.rollout.planned import Plan, Request, Step
    from cyan.sections import HostSettings
    from cyan.settings import Settings


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
    began, settings = time.monotonic(), apart.keeping(settings, (machine,))
    with session(settings, machine, request.title, report.note, request.lock_wait) as mine:
        apart.refuse(settings, (machine,), mine.world.journal)
        plan = prepare(mine.host, mine.settings, mine.world, request)
        carry_out(mine, plan, report, reports)
        return Outcome(plan, time.monotonic() - began)


def carry_out(
    mine: Session, plan: Plan, report: Reporter, reports: Path | None, fleet: Member | None = None
) -> None:
    """Run a plan, and tell what its users saw; `fleet` where other hosts run it, too. CyanError."""
    journal, settings = _writer(mine, plan), mine.settings
    if plan.run.why:
        report.note(plan.run.why)
    with probing(mine, settings.prove.rate) as probe:
        job = Job(
            **{**mine.session, "settings": holding.within(settings, held=plan.run.hold)},
            plan=plan,
            bar=report.bar,
            reports=reports,
            begun=mine.world.clock(),
            probe=probe,
            fleet=fleet,
        )
        try:
            _execute(job, journal, report)
        except ElsewhereError:
            raise
        except CyanError:
            if not probe.lost:  # else the host would be asked in vain
                _prove(job, report, ok=False)
            raise
    _prove(job, report, ok=True)


def _prove(job: Job, report: Reporter, *, ok: bool) -> None:
    """Tell what users saw, and keep it; nothing is undone for what cannot be told."""
    try:
        with ignored(lambda: report.note("what users saw is being read; this takes a moment")):
            told = proving.seen(job)
        report.note(f"users: {told.sentence}")
        if job.reports:
            proving.keep(job, told, job.reports, ok=ok)
    except (CyanError, OSError) as error:
        report.note(f"users: what they saw is not known: {getattr(error, 'what', error)}")


def abort(
    settings: Settings, machine: HostSettings, report: Reporter, lock_wait: float = 0
) -> Undone:
    """Undo the run that was left unfinished on a host. Raises CyanError."""
    with session(settings, machine, "deploy --abort", report.note, lock_wait) as mine:
        apart.refuse(settings, (machine,), mine.world.journal)
        return called_off(mine, report)


def called_off(mine: Session, report: Reporter, fleet: Member | None = None) -> Undone:
    """Undo the run that was left unfinished; `fleet` where other hosts do, too. CyanError."""
    left = unfinished.resumable(unfinished.find(mine.world.journal), mine.world)
    plan = planning.undoing(left, mine.world, mine.settings)
    journal = _writer(mine, plan)
    with ignored(lambda: report.note("it is being undone already; this takes a moment")):
        undone = abandon(Job(**mine.session, plan=plan, fleet=fleet), left, journal)
        journal.write(Event.END, ok=False, error="it was aborted", serving=undone.serving)
    return undone


def _writer(mine: Session, plan: Plan) -> Writer:
    """The journal for a plan's lines, caught up with what the world shows.

    A deployer that was killed just after a rename could not write that line.
    """
    if missing := unfinished.caught_up(mine.world):
        mine.lock.record(missing)
    return Writer(mine.lock, plan.run.id, plan.run.what, plan.target)


def _begin(journal: Writer, plan: Plan, fleet: Member | None) -> None:
    """Write what is to be done, and where, so that another can go on with it or undo it."""
    journal.write(
        Event.BEGIN,
        plan=[{"kind": step.kind, "color": step.color} for step in plan.steps],
        old=asdict(plan.old) if plan.old else None,
        fresh=plan.run.fresh,
        environment=plan.run.environment,
        hold=plan.run.hold,
        only=plan.run.only,
        fleet=[*fleet.meeting.hosts] if fleet else [],
    )


def _execute(job: Job, journal: Writer, report: Reporter) -> None:
    step, began = job.plan.steps[0], time.monotonic()
    try:
        _begin(journal, job.plan, job.fleet)
        for each in job.plan.steps:
            if job.fleet:
                job.fleet.before(each.kind)
            step, began = each, time.monotonic()
            _do(job, step, journal, report)
        journal.write(Event.END, ok=True)
    except BehindError:
        raise  # the next command goes on
    except (Exception, KeyboardInterrupt) as error:  # whatever it is, it is undone
        if isinstance(error, ElsewhereError):
            report.note(f"called off: {error.what}")
        else:
            report.failed(step, time.monotonic() - began)
        if job.fleet:
            job.fleet.meeting.failed(job.fleet.name, step.kind, error, lost=_is_lost(job))
        with ignored(lambda: report.note("it is being undone already; this takes a moment")):
            undone = _undone(job, journal, report, step, error)
        raise undone from error


def _do(job: Job, step: Step, journal: Writer, report: Reporter) -> None:
    began = time.monotonic()
    report.step(step)
    journal.write(Event.STEP, step.kind, step.color)
    with interrupt.asked(job.fleet.meeting.check) if job.fleet else nullcontext():
        interrupt.check()
        warnings = hooks.before(job, step)
        done: Done = ACTIONS[step.kind](job, step)
        journal.write(Event.DONE, step.kind, step.color, **done.detail)
        warnings += done.warnings + hooks.after(job, step)
    report.done(step, time.monotonic() - began, done.says)
    for warning in warnings:
        report.note(warning)


def _is_lost(job: Job) -> bool:
    """Whether nothing more can be done on the host: it does not answer, or is another's now."""
    try:
        job.lock.check()
    except HostError:
        return True
    return False


def _undone(
    job: Job, journal: Writer, report: Reporter, step: Step, error: BaseException
) -> DeployError:
    """Undo what must be undone; the error that tells all of it."""
    interrupted = isinstance(error, KeyboardInterrupt)
    undone = _tidied(job, journal, step)
    hide = _hiding(job, error)
    what = "it was interrupted" if interrupted else hide.message(getattr(error, "what", str(error)))
    try:
        journal.write(Event.FAILED, step.kind, step.color, error=what, serving=undone.serving)
        journal.write(Event.END, ok=False, error=what)
    except HostError as gone:
        report.note(f"the journal does not tell how this ended: {gone.what}")
    told = DeployError(
        f"{job.plan.run.what} of {job.plan.target.version} failed at {step.kind}: {what}",
        where=getattr(error, "where", "") or job.host.name,
        serving=undone.serving,
        todo=getattr(error, "todo", "") or undone.todo,
        evidence=hide(undone.evidence.text),
    )
    if job.reports and not isinstance(error, ElsewhereError):
        folder = job.reports / f"{job.called}-failed"
        try:
            evidence = undone.evidence if undone.evidence.files else failure.gather(job)
            failure.keep(job, evidence, f"{told}\n", folder, hide)
            report.note(f"logs, events and journal of this: {folder}")
        except OSError as full:
            report.note(f"{folder} could not be written: {full}")
    return told


def _hiding(job: Job, error: BaseException) -> Redaction:
    """What takes the release's secrets out of a text; they are out of `error` already.

    A traceback shows that one, too.
    """
    hide = job.hide
    if isinstance(error, CyanError):
        error.what, error.evidence = hide.message(error.what), hide(error.evidence)
    error.args = tuple(hide.message(each) if isinstance(each, str) else each for each in error.args)
    return hide


def _tidied(job: Job, journal: Writer, step: Step) -> Undone:
    try:
        job.lock.check()
        return undo(job, step, journal)
    except CyanError as error:
        return Undone(
            serving=f"{job.world.serving} when this began; what was begun could not be undone "
            f"({error.what})",
            todo="as soon as the host answers: inv status, then inv deploy --resume or --abort",
        )
