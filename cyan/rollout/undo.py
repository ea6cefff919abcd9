"""What is undone when a step fails, so that users keep being served and nothing is left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.rollout import draining
from cyan.rollout.plan import Kind
from cyan.world import compose, proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.names import Color
    from cyan.rollout.plan import Step
    from cyan.rollout.steps import Job

GRACE = 10  # seconds for containers that no user was ever sent to
LOG_LINES = 15
ORDER = list(Kind)


@dataclass(frozen=True)
class Undone:
    """How things stand after a failure."""

    serving: str
    todo: str = ""
    evidence: str = ""


def undo(job: Job, failed: Step, switched_back: Callable[[str], None]) -> Undone:
    """Undo a run whose step `failed`. Raises HostError where the host cannot be reached.

    Before the switch, what was started is removed. After it, a target that does not answer or
    goes bad is switched away from while the old color is up; a fault in the steps after those
    leaves the switch as it is.
    """
    if not _switched(job, failed):
        return _before_switch(job, failed)
    if failed.kind in (Kind.SWITCH, Kind.VERIFY, Kind.BAKE) and _old_is_up(job):
        return _switch_back(job, switched_back)
    return Undone(
        serving=f"{job.plan.target}: the switch had been done and holds",
        todo="see what is left to tidy: inv status",
    )


def _switched(job: Job, failed: Step) -> bool:
    """Whether the target has the traffic, by the marker itself where the switch is in question."""
    if ORDER.index(failed.kind) < ORDER.index(Kind.SWITCH):
        return False
    markers = job.host.run(proxy.markers_command(str(job.settings.directory))).stdout.split()
    return proxy.live_color(frozenset(markers)) is job.plan.target.color


def _before_switch(job: Job, failed: Step) -> Undone:
    serving = f"{job.world.serving}, untouched" if job.world.live else job.world.serving
    if ORDER.index(failed.kind) < ORDER.index(Kind.START) or not job.plan.fresh:
        return Undone(serving=serving)
    evidence = _evidence(job)
    _remove(job, job.plan.target.color)
    return Undone(
        serving=serving,
        todo=f"mend {job.plan.target.version} and deploy it again; what was started is removed",
        evidence=evidence,
    )


def _switch_back(job: Job, switched_back: Callable[[str], None]) -> Undone:
    old, target = job.plan.old, job.plan.target
    assert old is not None  # noqa: S101 - for the type checker: _old_is_up said so
    evidence = _evidence(job)
    job.host.run(proxy.switch_command(str(job.settings.directory), target.color, old.color))
    switched_back(old.color)
    left = draining.drain(job.host, job.settings, job.world, target.color).left
    if job.plan.fresh:
        _remove(job, target.color)
    return Undone(
        serving=f"{old} again: the traffic was switched back"
        + (f"; {left} requests were cut" if left > 0 else ""),
        todo=f"find out why {target.version} went bad before it is deployed again",
        evidence=evidence,
    )


def _old_is_up(job: Job) -> bool:
    old = job.plan.old
    if old is None:
        return False
    up = {item.service for item in job.containers(old.color) if item.up}
    return job.settings.public.service in up


def _remove(job: Job, color: Color) -> None:
    job.host.run(compose.down(job.settings.project(color), GRACE))


def _evidence(job: Job) -> str:
    """The last log lines of the target's containers that are not up, or of the public one."""
    try:
        containers = job.containers(job.plan.target.color)
        failing = [item for item in containers if not item.up] or [
            item for item in containers if item.service == job.settings.public.service
        ]
        logs = [(item, job.engine.logs(item.id, LOG_LINES).rstrip()) for item in failing]
    except HostError as error:
        return f"(no logs: {error.what})"
    return "\n".join(
        f"--- {item.name} ({item.health or item.state}), "
        + (f"last {LOG_LINES} lines\n{text}" if text else "printed nothing")
        for item, text in logs
    )
