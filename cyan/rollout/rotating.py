"""Run a plan under the lock: each step journalled before and after, and undone where it fails."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.application import partial
from cyan.application.color import files_of
from cyan.application.secrets import collect
from cyan.application.source import source_of
from cyan.errors import CyanError, DeployError, HostError, UsageError
from cyan.hosts.session import Session, session
from cyan.interrupt import ignored
from cyan.journal.entries import Event
from cyan.journal.writer import Writer
from cyan.releases import mounted
from cyan.releases.contents import Contents
from cyan.releases.images import parse
from cyan.rollout import failure, holding, hooks, proving, strategy, unfinished
from cyan.rollout import plan as planning
from cyan.rollout.job import Done, Job
from cyan.rollout.meeting import BehindError, ElsewhereError
from cyan.rollout.probe import probing
from cyan.rollout.release_files import extra_environment
from cyan.rollout.steps import ACTIONS
from cyan.rollout.undo import Undone, abandon, undo
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.application.release import Release
    from cyan.application.secrets import Redaction
    from cyan.hosts.look import Observation
    from cyan.releases.images import ServiceImage
    from cyan.rollout.job import Reporter
    from cyan.rollout.meeting import Member
    from cyan.rollout.planned import Plan, Request, Step
    from cyan.sections import HostSettings
    from cyan.settings import Settings
    from cyan.world.host import Host


class TakeOverError(UsageError):
    """The application's own stack serves, and nobody said that its ports may be moved."""

    def __init__(self, host: str, world: Observation) -> None:
        names = ", ".join(item.name for item in world.own)
        super().__init__(
            f"the first deploy takes the ports of {names} over: they move to the host's proxy once "
            "the new color is healthy, and the containers stop after the bake",
            where=host,
            serving=world.serving,
            todo="--take-over says that it may; inv init --undo gives everything back",
        )


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
    with session(settings, machine, request.title, report.note, request.lock_wait) as mine:
        plan = prepare(mine.host, settings, mine.world, request)
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
            **{**mine.session, "settings": _within(settings, plan.run.hold)},
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


def prepare(host: Host, settings: Settings, world: Observation, request: Request) -> Plan:
    """The plan for a request.

    A rollback that deploys runs what its release ran: the same Compose file, environment, secrets
    and images. Raises DeployError where the host keeps them no more.
    """
    if world.own and request.what == "deploy" and not request.take_over:
        raise TakeOverError(host.name, world)
    request = strategy.decided(host, settings, world, request)
    settings = _within(settings, request.hold)
    if request.what == "deploy":
        request, source = _sourced(host, settings, world, request)
        return planning.deploy(request, world, settings, source)
    if request.what == "resume":
        return _resumed(host, settings, world, request)
    back = planning.rollback_target(world)
    text = ""
    if not planning.is_warm(back, world):
        request, text = _again(host, settings, world, back, request)
    return planning.rollback(request, world, settings, text)


def _within(settings: Settings, hold: bool) -> Settings:  # noqa: FBT001 - the run's own word
    return holding.within(settings) if hold else settings


def _sourced(
    host: Host, settings: Settings, world: Observation, request: Request
) -> tuple[Request, str]:
    """What the color's file is made from, and the request with what goes with it.

    Raises UsageError, and DeployError where the host lacks what a part of it is to fit to.
    """
    given = (*request.environment, *request.contents.secrets.values)
    source = source_of(settings, request.version, given)
    if settings.adopted is None:
        return request, source
    if request.only:
        request, source = _part(host, settings, world, request, source)
    names = files_of(source, settings.adopted, request.only)
    mounted.check(settings.adopted.folder, names)
    return replace(request, contents=replace(request.contents, mounted=names)), source


def _part(
    host: Host, settings: Settings, world: Observation, request: Request, source: str
) -> tuple[Request, str]:
    """The request to replace some services, and those that depend on them, of what is live.

    And what its release is made from. Raises UsageError, and DeployError where that is gone.
    """
    assert settings.adopted is not None  # noqa: S101 - for the type checker: see _sourced
    live = world.release(world.live)
    if world.live is None or not live:
        raise UsageError(
            "--only replaces services of the live color, and none is live",
            where=host.name,
            serving=world.serving,
            todo="leave it out: the first deploy is of the whole application",
        )
    kept = _kept(host, settings, live)
    if kept is None or kept.images is None:
        raise _gone(host, live, request.version)
    found = partial.replaced(source, kept.text, request.only, settings.adopted)
    only = tuple(name for name in settings.stateless if name in found)
    going = {settings.in_compose(name, world.live) for name in only}
    stays = tuple(each for each in kept.images if each.service not in going)
    source = partial.blended(source, kept.text, only)
    rest = {*files_of(source, settings.adopted)} - {*files_of(source, settings.adopted, only)}
    told = partial.Live(live, kept.made, tuple(sorted(rest)))
    contents = replace(request.contents, images=stays, live=told)
    return replace(request, only=only, contents=contents, why=f"only {', '.join(only)}"), source


def _again(
    host: Host, settings: Settings, world: Observation, back: Release, request: Request
) -> tuple[Request, str]:
    """The request that runs what `back` ran, and its Compose file. DeployError where it is gone."""
    kept = _kept(host, settings, back.id)
    if kept is None or kept.images is None:
        raise _gone(host, back.id, back.version)
    names = {
        settings.in_compose(name, back.color): settings.in_compose(name, world.standby)
        for name in settings.stateless
    }
    images = (replace(e, service=names.get(e.service, e.service)) for e in kept.images)
    contents = Contents(again=back.id, images=tuple(images))
    application = world.applications.get(back.id)
    again = replace(
        request, environment=kept.environment, contents=contents, application=application
    )
    return again, kept.text


def _gone(host: Host, release: str, version: str) -> DeployError:
    return DeployError(
        f"what release {release} ran with is not on the host any more",
        where=host.name,
        todo=f"to deploy {version} with the settings of now: inv deploy --version {version}",
    )


def _resumed(host: Host, settings: Settings, world: Observation, request: Request) -> Plan:
    """The plan that goes on with the run that was left unfinished. Raises CyanError.

    What it had fetched stays as it is; what it had not comes from where it came from then, and
    only then are the sources of its secrets asked.
    """
    left = unfinished.resumable(unfinished.find(world.journal), world)
    assert left.target is not None  # noqa: S101 - for the type checker: resumable said so
    request = replace(request, hold=left.hold, only=left.only)
    settings = _within(settings, left.hold)
    kept = _kept(host, settings, left.target.id)
    fetched = kept is not None and kept.images is not None
    if fetched or not left.fresh or left.reached(world):
        request = replace(request, environment=kept.environment if kept else ())
        return planning.resume(left, request, world, settings, None)
    if left.what == "rollback":
        back = planning.rollback_target(world)
        request, text = _again(host, settings, world, back, request)
        return planning.resume(left, request, world, settings, text)
    if left.environment and kept is None:
        raise UsageError(
            f"{left.title} was killed before its settings were on the host",
            where=host.name,
            todo=f"deploy it again, with its --env {' '.join(left.environment)}",
        )
    application = world.applications.get(left.target.id)
    environment = kept.environment if kept else ()
    request = replace(
        request,
        version=left.target.version,
        environment=environment,
        application=application,
    )
    request, source = _sourced(host, settings, world, request.carrying(collect(settings)))
    return planning.resume(left, request, world, settings, kept.text if kept else source)


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


@dataclass(frozen=True)
class Kept:
    """What the host keeps of a release: what its Compose file is, or was made from, and more.

    Its environment, and the images that it ran.

    `images` is None where its images or its secrets were not all there when its deployer ended.
    `made` is its color's Compose file, whatever that was made from.
    """

    text: str
    made: str
    environment: tuple[tuple[str, str], ...]
    images: tuple[ServiceImage, ...] | None


def _kept(host: Host, settings: Settings, release: str) -> Kept | None:
    """What is kept of a release; None where not even its files are."""
    folder = PurePosixPath(settings.directory) / "releases" / release
    names = ("compose.yml", "resolved.json", ".env", "images.json", "secrets.env")
    made, source, env_file, images, secrets = (quoted_path(folder, name) for name in names)
    separator = "--cyan--"
    text = f"if [ -e {source} ]; then cat {source}; else cat {made}; fi"
    reads = (text, f"cat {made}", f"cat {env_file}")
    files = " && ".join(f"{read} && echo && echo {separator}" for read in reads)
    output = host.run(f"{files} && [ -e {secrets} ] && cat {images}; true", check=False)
    parts = output.stdout.split(f"\n{separator}\n")
    if len(parts) < 4:  # noqa: PLR2004 - three files, and what follows
        return None
    text, file, env, record = parts
    return Kept(text, file, extra_environment(env), parse(record) if record else None)
