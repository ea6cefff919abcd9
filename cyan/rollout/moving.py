"""The rename that moves the traffic: on one host, or on all of a fleet at the same instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.journal.armed import Armed
from cyan.proxies import markers

if TYPE_CHECKING:
    from cyan.rollout.job import Job

READINGS = 3  # of the host's clock


def moved(job: Job, command: str, *, back: bool = False) -> float:
    """Rename the marker by `command`, or `back`; when, in wall seconds of the host's clock.

    In a fleet the commands of all hosts have begun before one of them is told to go on. Raises
    HostError, and ElsewhereError where nobody is switched.
    """
    if job.fleet is None:
        return float(job.run(command).stdout)
    meeting, name = job.fleet.meeting, job.fleet.name
    if not back:
        meeting.offsets[name] = job.host.clock(readings=READINGS).offset
    armed = Armed(job.host, job.lock, command, _first(job, back=back))
    try:
        output = meeting.back(name, armed) if back else meeting.commit(name, armed)
    finally:
        armed.close()
    return float(output.stdout)


def _first(job: Job, *, back: bool) -> str:
    """What is done on every host before any of them is switched, as a shell command.

    Who is answered by the target on one host stays with it on all: `site.sticky`. Not where
    requests wait: nobody gets the old version meanwhile, and of a deployer that is gone the host
    puts that one back, and stops the target.
    """
    directory, plan = str(job.settings.directory), job.plan
    if not job.settings.site.sticky or plan.old is None:
        return ":"
    if back:
        return f"{markers.unpin_command(directory)} || true"  # users are served badly: go on
    if plan.run.hold:
        return ":"
    return markers.pin_command(directory, plan.run.id, plan.target.color)
