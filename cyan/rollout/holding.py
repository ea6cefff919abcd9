"""One color takes the other's place while requests wait at the proxy: never are both up.

For a machine that cannot hold two colors, and for applications that must not run twice on one
volume. Between the two renames of the marker users wait, and nobody else would end that: so the
host itself puts the old color back where its deployer is gone.
"""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from cyan.engines import colors
from cyan.engines.containers import lacking
from cyan.hosts import site
from cyan.journal.entries import Entry, Event
from cyan.journal.while_held import TICK
from cyan.journal.writer import PUT_BACK
from cyan.proxies import markers
from cyan.rollout import draining, work
from cyan.rollout.job import Done
from cyan.sections import DrainSettings

if TYPE_CHECKING:
    from cyan.application.release import Release
    from cyan.names import Color
    from cyan.rollout.draining import Drained
    from cyan.rollout.job import Job
    from cyan.rollout.planned import Step
    from cyan.settings import Settings

OFTEN = 0.2  # seconds between two looks at a color for which users wait

GUARD = r"""
export LC_ALL=C
cd "$1" || exit
while held=$(ls traffic | grep -x 'hold.*'); do
  if HELD; then sleep TICK; continue; fi
  exec 8>>busy && flock 8 # nobody begins anything meanwhile
  if grep -q token lock && ! grep -qF "$2" lock; then exit; fi # another deployer is at it
  held=$(ls traffic | grep -x 'hold.*') || exit
  eval "$3"
  end=$((SECONDS + $5))
  until eval "$4" || [ $SECONDS -ge $end ]; do sleep 1; done # the engine may be starting
  of="label=com.docker.compose.project=$6" is='{{if .State.Health}}{{.State.Health.Status}}{{end}}'
  while [ $SECONDS -lt $end ] &&
    docker ps -q --filter "$of" | xargs -r docker inspect -f "$is" | grep -qx starting; do
    case $DOCKER_HOST in # whose checks would be further apart
      *podman*) docker ps -q --filter "$of" | xargs -rn1 podman healthcheck run >/dev/null 2>&1 ;;
    esac
    sleep 0.2
  done
  until eval "$9" || [ $SECONDS -ge $end ]; do sleep 0.2; done # most have no check but this
  mv -T "traffic/$held" "traffic/$7" && sync traffic
  at=$EPOCHREALTIME line=${8//\"at\":0.0/\"at\":$at}
  printf '%s\n' "${line//\"renamed_at\":0.0/\"renamed_at\":$at}" >>journal.jsonl
  exit
done
"""
"""For bash: the folder, the lock's token, what stops the new color and starts the old one, how many
seconds that may take to get healthy, its project and color, a line for the journal, and what asks
it through its door.

It ends with the hold. Where the lock's holder is gone first, as in `cyan.journal.while_held`, or
the lock was taken away, and no other deployer has it, it puts the old color back; under the lock of
what changes the world.
"""


def within(settings: Settings, *, held: bool) -> Settings:
    """The settings by which a run is judged: while users wait, a color has no more than `hold`."""
    if not held:
        return settings
    health = settings.health.model_copy(
        update={
            "timeout": settings.hold.timeout,
            "services": {},
            "interval": min(settings.health.interval, OFTEN),
        }
    )
    return settings.model_copy(update={"health": health})


def hold(job: Job, step: Step) -> Done:
    """Have new requests wait, and let what is in flight to the live color end."""
    old, raised = job.plan.old, step.commands[0]
    if old is None:
        return Done(detail={"held_at": float(job.run(raised).stdout)})
    held_at = float(job.run(f"{raised} && {_guarding(job, old, PUT_BACK)}").stdout)
    drained = _drained(job, old.color)
    cut = f"; {drained.says}" if drained.left else ""
    detail = {"held_at": held_at, "in_flight": drained.readings, "left": drained.left}
    return Done(f"new requests wait{cut}", detail)


def put_back(job: Job, waits: str) -> tuple[float, str]:
    """Have the old color answer what waits under the marker `waits`, as it did before.

    When by the host's clock, in wall seconds, and what is still wrong with it; "" for nothing.
    """
    old, target = job.plan.old, job.plan.target
    assert old is not None  # noqa: S101 - for the type checker: only such can be put back
    job.run(_stops(job, target.color))
    job.run(_starts(job, old))
    lacks = _until_up(job, old)
    end = markers.switch_command(str(job.settings.directory), waits, old.color)
    return float(job.run(end).stdout), lacks


def held_again(job: Job, old: Release) -> str:
    """Have requests wait that went to the new color, and let what it has end; the marker."""
    color = job.plan.target.color
    waits = markers.held(color)
    raised = markers.switch_command(str(job.settings.directory), color, waits)
    job.run(f"{raised} && {_guarding(job, old, 'switch-back')}")
    _drained(job, color)
    return waits


def _drained(job: Job, color: Color) -> Drained:
    settle = job.settings.drain.settle
    drain = DrainSettings(timeout=job.settings.hold.drain, settle=settle)
    settings = job.settings.model_copy(update={"drain": drain})
    return draining.drain(job.host, settings, job.world, color)


def _stops(job: Job, color: Color) -> str:
    """The command that stops a target; that of a part is, where what was there is made again."""
    return ":" if job.plan.run.only else colors.stop(job.settings, color, None)


def _starts(job: Job, old: Release) -> str:
    """The command that starts what was stopped of the old color, but what runs once.

    What took its place within the color is made anew, as it was.
    """
    run = job.plan.run
    names = work.called(job.settings, run.only or run.replaced.lasting, old.color)
    if run.only:
        return colors.project_of(job.settings, old).start(names)
    return colors.again(job.settings, old.color, names)


def _until_up(job: Job, old: Release) -> str:
    """Wait until the old color answers, as long as a new one might take; what it lacks, or ""."""
    application = job.plan.run.replaced
    asks = site.ready_command(job.settings, old.color, application.public)
    end = time.monotonic() + job.settings.hold.timeout
    while True:
        lacks = lacking(job.containers(old.color), application.services)
        if not lacks and job.host.run(asks, check=False).code != 0:
            lacks = (application.public.service,)
        if not lacks or time.monotonic() > end:
            return ", ".join(lacks)
        time.sleep(OFTEN)


def _guarding(job: Job, old: Release, step: str) -> str:
    """The shell command that leaves the guard behind, on the host; what it does is `step`."""
    settings, run = job.settings, job.plan.run
    note = Entry(
        at=0.0,
        run=run.id,
        what=run.what,
        event=Event.NOTE,
        step=step,
        color=old.color,
        version=old.version,
        release=old.id,
        detail={"renamed_at": 0.0, "text": f"its deployer was gone: the host put {old} back"},
    )
    words = (
        str(settings.directory),
        job.lock.token,
        _stops(job, run.target.color),
        _starts(job, old),
        str(int(settings.hold.timeout)),
        settings.project(old.color),
        str(old.color),
        json.dumps(asdict(note), separators=(",", ":")),
        site.ready_command(settings, old.color, run.replaced.public),
    )
    script = GUARD.replace("HELD", job.lock.held).replace("TICK", str(TICK))
    guard = shlex.join(("setsid", "-f", "bash", "-c", script, "cyan-guard", *words))
    return f"{guard} </dev/null >/dev/null 2>&1"
