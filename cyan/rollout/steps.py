"""What each step does to the world. Every one may be run again after a crash at any point."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cyan.errors import DeployError
from cyan.rollout import draining, health
from cyan.rollout.health import Answer, Look, State, Streak
from cyan.rollout.plan import Kind, Plan, Step
from cyan.world import compose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from cyan.names import Color
    from cyan.rollout.observation import Observation
    from cyan.settings import Settings, SmokeCheck
    from cyan.world.engine import Container, Engine
    from cyan.world.host import Host

WARMING = 0.1  # seconds between looks at a color that has just been started
PATIENT = 3.0  # seconds after which the configured interval is often enough
ANSWERS = 3  # answers of the right color that verify a switch
BAD = 3  # failing looks in a row that end a bake; one may be a hiccup of a busy host
SITE_PATIENCE = 5.0  # seconds that the site may take to answer as the new color


@dataclass(frozen=True)
class Job:
    """What a step works with."""

    host: Host
    engine: Engine
    settings: Settings
    world: Observation
    plan: Plan

    def containers(self, color: Color) -> tuple[Container, ...]:
        """The containers of one color, as they are now."""
        return self.engine.containers(self.settings.app, color)


@dataclass(frozen=True)
class Done:
    """How a step ended: a few words for the operator, figures for the journal."""

    says: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


def preflight(job: Job, _step: Step) -> Done:
    """Refuse what cannot go well, before anything is touched."""
    for name in job.settings.stateful:
        container = job.world.service(name)
        if container is None or container.state != "running":
            raise DeployError(
                f"the shared service {name} does not run",
                where=job.host.name,
                serving=job.world.serving,
                todo="start it: inv lab.up for the lab, else fab -H USER@HOST provision",
            )
        if not container.up:
            raise DeployError(
                f"the shared service {name} is {container.health}",
                where=job.host.name,
                serving=job.world.serving,
                todo=f"look at it first: docker logs {container.name}",
            )
    return Done(f"{', '.join(job.settings.stateful)} run; live is {job.world.serving}")


def clear(job: Job, step: Step) -> Done:
    """Let the requests that are still in flight to the standby end before it is replaced."""
    return drain(job, step)


def fetch(job: Job, step: Step) -> Done:
    """Write the release's files; pull its images where the host lacks one."""
    images_of, pull = step.commands
    write = compose.write_files(step.files)
    images = sorted(set(job.host.run(f"{write} && {images_of}").stdout.split()))
    missing = [image for image in images if not job.engine.has_image(image)]
    if not missing:
        return Done(f"{len(images)} on the host already", {"images": images})
    pulled = job.host.run(pull, check=False)
    if pulled.code != 0:
        raise DeployError(
            f"{', '.join(missing)} is not on the host and cannot be pulled: "
            f"{pulled.stderr.strip()[-600:]}",
            where=job.host.name,
            serving=job.world.serving,
            todo="is the version spelt right, was it pushed, and may the host pull it?",
        )
    return Done(f"pulled {', '.join(missing)}", {"images": images, "pulled": missing})


def start(job: Job, step: Step) -> Done:
    """Start the standby's containers; whether they get healthy is the next step's question."""
    job.host.run(step.commands[0])
    return Done()


def healthy(job: Job, step: Step) -> Done:
    """Wait for consecutive passes of the engine's and the door's word on the standby."""
    wanted = job.settings.health.passes if job.plan.fresh else 1
    began = time.monotonic()
    streak = Streak()
    with job.host.http(job.settings.doors.of(step.color)) as door:
        while True:
            streak = streak.after(_look(job, step.color, door))
            if streak.passes >= wanted:
                return Done(f"{wanted} of {wanted} passes", {"broken": streak.broken})
            spent = time.monotonic() - began
            if streak.last.state is State.BROKEN or spent >= job.settings.health.timeout:
                raise _unhealthy(job, step, streak, spent)
            often = spent < PATIENT and not streak.passes
            time.sleep(WARMING if often else job.settings.health.interval)


def smoke(job: Job, step: Step) -> Done:
    """Send the configured requests through the standby's door, in their order."""
    with job.host.http(job.settings.doors.of(step.color)) as door:
        for check in job.settings.smoke:
            fault = smoke_fault(check, _smoked(job, door, check))
            if fault:
                raise DeployError(
                    f"{job.plan.target} is healthy but fails smoke: "
                    f"{check.method} {check.path}: {fault}",
                    where=f"{job.host.name}, {step.color}",
                )
    return Done(f"{len(job.settings.smoke)} of {len(job.settings.smoke)} passed")


def switch(job: Job, step: Step) -> Done:
    """Rename the marker: the instant at which new requests go to the other color."""
    renamed_at = float(job.host.run(step.commands[0]).stdout)
    source = job.world.live or ""
    return Done(detail={"from": source, "to": step.color, "renamed_at": renamed_at})


def verify(job: Job, _step: Step) -> Done:
    """Ask the site itself who answers, on new connections, until the right release does."""
    if "maintenance" in job.world.markers:
        return Done("skipped: the site is in maintenance")
    good, last, deadline = 0, Look(State.WAITING), time.monotonic() + SITE_PATIENCE
    while good < ANSWERS:
        with job.host.http(job.settings.site.port) as site:
            last = health.judge_answer(_ready(job, site), job.plan.target)
        good = good + 1 if last.state is State.PASSING else 0
        if good == 0 and time.monotonic() > deadline:
            raise DeployError(
                f"the traffic was switched, but the site does not answer as {job.plan.target}: "
                f"{last.reason}",
                where=f"{job.host.name}, port {job.settings.site.port}",
            )
    return Done(f"{good} of {good} answers are {job.plan.target}")


def drain(job: Job, step: Step) -> Done:
    """Wait until the proxy counts nothing in flight to a color."""
    drained = draining.drain(job.host, job.settings, job.world, step.color)
    return Done(drained.says, {"in_flight": drained.readings, "left": drained.left})


def bake(job: Job, step: Step) -> Done:
    """Watch the new live color; the old one is still warm."""
    deadline = time.monotonic() + job.settings.bake.seconds
    failed = 0
    with job.host.http(job.settings.doors.of(step.color)) as door:
        while failed or time.monotonic() < deadline:
            look = _look(job, step.color, door)
            failed = 0 if look.state is State.PASSING else failed + 1
            if look.state is State.BROKEN or failed >= BAD:
                raise DeployError(
                    f"{job.plan.target} went bad after the switch: {look.reason}",
                    where=f"{job.host.name}, {step.color}",
                )
            time.sleep(min(job.settings.health.interval, job.settings.bake.seconds / 4))
    return Done(f"{job.settings.bake.seconds:g} s without a fault")


def commands(job: Job, step: Step) -> Done:
    """Run the step's commands on the host."""
    for command in step.commands:
        job.host.run(command)
    return Done()


ACTIONS: dict[Kind, Callable[[Job, Step], Done]] = {
    Kind.PREFLIGHT: preflight,
    Kind.CLEAR: clear,
    Kind.FETCH: fetch,
    Kind.START: start,
    Kind.HEALTHY: healthy,
    Kind.SMOKE: smoke,
    Kind.SWITCH: switch,
    Kind.VERIFY: verify,
    Kind.DRAIN: drain,
    Kind.BAKE: bake,
    Kind.RETAIN: commands,
    Kind.PRUNE: commands,
}


def smoke_fault(check: SmokeCheck, answer: tuple[int, str] | str) -> str:
    """What is wrong with an answer (status, body), or with an error's text; "" where nothing is."""
    if isinstance(answer, str):
        return answer
    status, body = answer
    if status != check.status:
        return f"answered {status}, wanted {check.status}: {body[:200]}"
    if check.contains not in body:
        return f"the answer does not contain {check.contains!r}"
    return ""


def _look(job: Job, color: Color, door: httpx.Client) -> Look:
    look = health.judge_containers(job.containers(color), job.settings.stateless)
    if look.state is not State.PASSING:
        return look
    return health.judge_answer(_ready(job, door), job.plan.target)


def _ready(job: Job, client: httpx.Client) -> Answer:
    import httpx  # noqa: PLC0415 - slow to import

    try:
        answer = client.get(job.settings.public.ready, headers={"Host": job.settings.site.host})
    except httpx.HTTPError as error:
        return Answer(0, error=str(error) or type(error).__name__)
    headers = answer.headers
    return Answer(answer.status_code, headers.get("X-Color", ""), headers.get("X-Version", ""))


def _smoked(job: Job, door: httpx.Client, check: SmokeCheck) -> tuple[int, str] | str:
    import httpx  # noqa: PLC0415 - slow to import

    headers = {"Host": job.settings.site.host}
    if check.body:
        headers["Content-Type"] = "application/json"
    try:
        answer = door.request(
            check.method,
            check.path,
            headers=headers,
            content=check.body or None,
            timeout=check.within,
        )
    except httpx.HTTPError as error:
        return f"no answer within {check.within:g} s ({str(error) or type(error).__name__})"
    return answer.status_code, answer.text


def _unhealthy(job: Job, step: Step, streak: Streak, spent: float) -> DeployError:
    kind = "failed" if streak.last.state is State.BROKEN else "did not become healthy"
    return DeployError(
        f"{job.plan.target} {kind} after {spent:.1f} s: {streak.described}",
        where=f"{job.host.name}, {step.color}",
    )
