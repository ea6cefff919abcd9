"""What is undone when a step fails, so that users keep being served and nothing is left over."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cyan.engines import colors, compose
from cyan.errors import DeployError
from cyan.hosts import joining, sharing
from cyan.hosts.session import proxy_lock
from cyan.journal.lock import JournalError
from cyan.names import Color, Phase
from cyan.proxies import markers
from cyan.rollout import draining, failure, holding, work
from cyan.rollout.failure import Evidence
from cyan.rollout.meeting import TOGETHER
from cyan.rollout.moving import moved

if TYPE_CHECKING:
    from cyan.journal.writer import Writer
    from cyan.rollout.draining import Drained
    from cyan.rollout.job import Job
    from cyan.rollout.planned import Step
    from cyan.rollout.unfinished import Unfinished


@dataclass(frozen=True)
class Undone:
    """How things stand after a failure."""

    serving: str
    todo: str = ""
    evidence: Evidence = field(default_factory=Evidence)


def undo(job: Job, failed: Step, journal: Writer) -> Undone:
    """Undo a run whose step `failed`. Raises HostError where the host cannot be reached.

    Before the switch, what was started is removed, also by an earlier try of the run. After it, a
    target that does not answer or goes bad is switched away from while the old color is up; a
    fault in the steps after those leaves the switch as it is. A target that was there before the
    run is never removed: it is left as it was found.
    """
    _unpin(job)
    if job.plan.run.hold and (waits := _waits(job)):
        return _put_back(job, journal, waits)
    if not _switched(job) or (job.plan.run.only and failed.kind.phase is Phase.PREPARE):
        return _before_switch(job)
    goes_back = failed.kind.phase is not Phase.PREPARE and failed.kind.reversible
    if goes_back and job.plan.run.hold and job.plan.old:
        return _put_back(job, journal, "")
    if goes_back and _old_is_up(job):
        left, evidence = _switch_back(job, journal)
        return Undone(
            serving=f"{job.plan.old} again: the traffic was switched back"
            + (f"; {left} requests were cut" if left > 0 else ""),
            todo=f"find out why {job.plan.target.version} went bad before it is deployed again",
            evidence=evidence,
        )
    if goes_back and job.world.own:
        return _given_back(job)
    return Undone(
        serving=f"{job.plan.target}: the switch had been done and holds",
        todo="see what is left to tidy: inv status",
    )


def abandon(job: Job, left: Unfinished, journal: Writer) -> Undone:
    """Undo a run that its deployer left in the middle. Raises CyanError.

    Its containers may have been live for a moment: they are drained before they are removed.
    """
    _unpin(job)
    if job.plan.run.hold and (waits := _waits(job)):
        return _put_back(job, journal, waits)
    if left.reached(job.world):
        if not _old_is_up(job) and job.settings.adopted and job.plan.old is None:
            return _given_back(job)
        if job.plan.run.hold and job.plan.old and job.containers(job.plan.old.color):
            return _put_back(job, journal, "")
        if not _old_is_up(job):
            raise DeployError(
                f"{job.plan.target} is live and {job.plan.old or 'nothing before it'} is gone: "
                "there is nothing to go back to at once",
                where=job.host.name,
                serving=job.world.serving,
                todo="inv deploy --resume finishes it; inv rollback deploys the release before it",
            )
        _switch_back(job, journal)
        return Undone(serving=f"{job.plan.old} again: the traffic was switched back")
    if job.plan.run.starts_all and left.left(job.world):
        _drain(job)
        _leave(job)
    return Undone(serving=f"{job.world.serving}, untouched")


def _unpin(job: Job) -> None:
    """Have no session stay with what is about to be removed."""
    if job.settings.site.sticky:
        job.run(f"{markers.unpin_command(str(job.settings.directory))} || true")  # users first


def _markers(job: Job) -> frozenset[str]:
    command = markers.list_command(str(job.settings.directory))
    return frozenset(job.host.run(command).stdout.split())


def _switched(job: Job) -> bool:
    """Whether the target has the traffic, by the marker itself."""
    return markers.live_color(_markers(job)) is job.plan.target.color


def _waits(job: Job) -> str:
    """The marker under which requests wait; "" where they do not."""
    raised = _markers(job)
    waiting = (name for name in map(markers.held, (None, *Color)) if name in raised)
    return next(waiting, "") if not raised & {*Color} else ""


def _put_back(job: Job, journal: Writer, waits: str) -> Undone:
    """Have the old color, or the application's own stack, answer again what waits.

    Under the marker `waits`; "" where the target has the traffic.
    """
    old, target = job.plan.old, job.plan.target
    if old is None:
        return _given_back(job)
    waited = not job.plan.run.only and waits == markers.held(target.color)
    told = job.world.switches
    switched = not waits or waited or bool(told and told[-1].release == target.id)
    if switched:
        with suppress(JournalError):
            journal.switches_back(old)
    if not waits:
        waits = holding.held_again(job, old) if job.plan.run.waits else str(target.color)
    # of a part nothing is left once what was there has its place again
    early = failure.gather(job) if job.plan.run.only else None
    renamed_at, lacks = holding.put_back(job, waits)
    with suppress(JournalError):
        if switched:
            journal.switched_back(old, renamed_at)
        else:
            journal.put_back(old, renamed_at)
    evidence = early or failure.gather(job)
    return Undone(
        serving=f"{old} again: what waited went to it"
        + (f"; but {lacks} of it is not well: inv status" if lacks else ""),
        todo=f"mend {target.version} and deploy it again; {_leave(job)}",
        evidence=evidence,
    )


def _before_switch(job: Job) -> Undone:
    serving = f"{job.world.serving}, untouched" if job.world.live else job.world.serving
    if not job.plan.run.fresh or not _is_there(job):
        return Undone(serving=serving)
    evidence = failure.gather(job)
    _drain(job)  # an earlier try of the run may have sent users there
    left = _leave(job)
    return Undone(
        serving=serving,
        todo=f"mend {job.plan.target.version} and deploy it again; {left}",
        evidence=evidence,
    )


def _switch_back(job: Job, journal: Writer) -> tuple[int, Evidence]:
    """Give the traffic back to the old color, first of all, and remove the target.

    How many requests to the target were cut, and what its containers left.
    """
    old, target = job.plan.old, job.plan.target
    assert old is not None  # noqa: S101 - for the type checker: _old_is_up said so
    back = markers.switch_command(str(job.settings.directory), target.color, old.color)
    with suppress(JournalError):  # users first: the next run catches up what a full disk left out
        journal.switches_back(old)
    renamed_at = moved(job, back, back=True)
    with suppress(JournalError):
        journal.switched_back(old, renamed_at)
    run, leads = job.plan.run, job.world.leads
    works = work.back(job.settings, target, run.application, old, run.replaced) if leads else ()
    for command in works:
        job.run(command)
    left = _drain(job).left
    evidence = failure.gather(job)
    _leave(job, job.settings.drain.timeout, worked=True)
    return left, evidence


def _given_back(job: Job) -> Undone:
    """Give the ports back to the application's own stack, which had them, and remove the target."""
    job.run(joining.rest(job.settings))
    with proxy_lock(job, "give back") as by:
        joining.give_back(by, job.settings, sharing.look(job.host, job.settings))
    for marker in (job.plan.target.color, markers.held(None)):
        job.run(markers.mark_command(str(job.settings.directory), marker, up=False))
    _drain(job)
    evidence = failure.gather(job)
    _leave(job, job.settings.drain.timeout)
    return Undone(
        serving="its own stack again: the ports were given back",
        todo=f"find out why {job.plan.target.version} went bad before it is deployed again",
        evidence=evidence,
    )


def _old_is_up(job: Job) -> bool:
    old = job.plan.old
    if old is None:
        return False
    up = {item.service for item in job.containers(old.color) if item.up}
    return job.plan.run.replaced.public.service in up


def _is_there(job: Job) -> bool:
    """Whether the target has containers: by this run, or by an earlier try that was killed."""
    target = job.plan.target
    return any(item.release == target.id for item in job.containers(target.color))


def _drain(job: Job) -> Drained:
    return draining.drain(job.host, job.settings, job.world, job.plan.target.color)


def _leave(job: Job, least: float = 0, *, worked: bool = False) -> str:
    """Remove the target, or leave it as it was found where this run did not make it; in words.

    Its containers have the time to end that they ask for, or `least` seconds. Where it `worked`, as
    what is live does, that ends too, also what an earlier try had begun: the old color works again.
    """
    target = job.plan.target
    there = job.containers(target.color)
    grace = compose.grace(there, least)
    if job.plan.run.only:
        return "what was replaced is what it was"
    if job.settings.shares_colors and job.fleet:
        meeting = job.fleet.meeting
        meeting.emptied(job.fleet.name, job.settings.drain.timeout + TOGETHER)
        if meeting.behind:
            return f"{target} stays: {', '.join(meeting.behind)} may lead users to it"
    if not job.world.leads:
        return "what was started is removed by the first host"
    if job.plan.run.starts_all:
        job.run(colors.down(job.settings, target.color, grace))
        return "what was started is removed"
    late = {*job.plan.run.application.late} if worked else set[str]()
    ran = {item.service for item in job.world.of(target.color) if item.state == "running"} - late
    runs = {item.service for item in there if item.state == "running"}
    if started := tuple(sorted(runs - ran)):
        names = tuple(job.settings.in_compose(name, target.color) for name in started)
        job.run(colors.stop(job.settings, target.color, grace, names))
    return f"{target} is left as it was found"
