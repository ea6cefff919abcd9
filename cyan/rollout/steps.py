"""What each step does to the world. Every one may be run again after a crash at any point."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.engines import colors, compose
from cyan.errors import DeployError
from cyan.hosts import joining, sharing, site
from cyan.hosts.session import proxy_lock
from cyan.journal.while_held import WhileHeld
from cyan.migrations import apply
from cyan.names import EngineKind, Kind
from cyan.proxies import front, markers
from cyan.releases.fetch import Fetch
from cyan.releases.fetch import fetch as fetch_release
from cyan.releases.images import told
from cyan.releases.prune import prune as prune_releases
from cyan.rollout import (
    baking,
    draining,
    health,
    holding,
    idle,
    proving,
    replicas,
    smoking,
    verifying,
)
from cyan.rollout.facts import comes, gather
from cyan.rollout.health import Answer, Look, State, Streak
from cyan.rollout.job import Done, Job
from cyan.rollout.moving import moved
from cyan.rollout.plan import expanding, patience
from cyan.rollout.preflight import Level, checks, refusals, unneeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from cyan.engines.containers import Container
    from cyan.rollout.planned import Step

RESTARTS = {EngineKind.SWARM: 3}
"""How often a standby's service may begin again until what it depends on is up, where that is not
once: Swarm orders no starts, and a node has to learn where the others are."""
WARMING = 0.1  # seconds between looks at a color that has just been started
PATIENT = 3.0  # seconds after which the configured interval is often enough
SHOWN = 300  # characters of what Compose said
NOTHING: Mapping[str, str] = MappingProxyType({})


def preflight(job: Job, _step: Step) -> Done:
    """Refuse what cannot go well, before anything is touched."""
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(comes, job.host, job.engine, job.settings, job.plan)
        facts = gather(job.host, job.engine, job.settings, job.world)
    found = checks(job.world, facts, job.settings, fetched.result(), unneeded(job.plan))
    refused = refusals(found, job.plan.run.forced)
    if refused:
        raise DeployError(
            "; ".join(item.says for item in refused),
            where=job.host.name,
            serving=job.world.serving,
            todo=f"{refused[0].todo}; --force {refused[0].name} goes on all the same",
        )
    troubles = tuple(f"{item.name}: {item.says}" for item in found if item.level is not Level.OK)
    memory = next(item.says for item in found if item.name == "memory")
    live = f"live is {job.world.serving}" if job.world.live or job.world.own else job.world.serving
    says = f"{len(found)} checks; {memory}; {live}"
    if job.plan.run.waits:
        says += f"; up to {front.REQUESTS} requests may wait, {front.LONGEST} s at most"
    return Done(says, {"checks": [f"{item.name}: {item.says}" for item in found]}, troubles)


def clear(job: Job, step: Step) -> Done:
    """Let the requests that are still in flight to the standby end before it is replaced."""
    return _drained(draining.drain(job.host, job.settings, job.world, step.color))


def fetch(job: Job, step: Step) -> Done:
    """Bring the release's files, images and secrets to the host."""
    at = Fetch(**job.session, release=job.plan.target, contents=job.plan.contents, bar=job.bar)
    says, found = fetch_release(at, step.files, step.commands[:-1])
    return Done(says, {"images": told(found)})


def prune(job: Job, _step: Step) -> Done:
    """Remove old releases and the images that only they ran; every host has switched by now."""
    if job.settings.site.sticky:
        job.run(markers.unpin_command(str(job.settings.directory)))
    needed = {job.plan.target.id, *([job.plan.old.id] if job.plan.old else [])}
    says, releases, images = prune_releases(job, needed)
    return Done(says, {"releases": releases, "images": images})


def expand(job: Job, step: Step) -> Done:
    """Apply the pending expand migrations, then run the user's command, in the new image."""
    migrator = apply.Migrator(job.host, job.settings, job.world, job.lock)
    applied = apply.expand(migrator, job.plan.target.id)
    if step.commands:
        once = expanding(colors.project_of(job.settings, job.plan.target), job.settings, step.color)
        apply.run_command(migrator, once, job.hide)
    done = (*applied, *((job.settings.migrate.expand,) if step.commands else ()))
    return Done(", ".join(done) or "nothing is pending", {"applied": applied})


def hold(job: Job, step: Step) -> Done:
    """Have new requests wait at the proxy, and what is in flight to the live color end."""
    return holding.hold(job, step)


def stop(job: Job, step: Step) -> Done:
    """What serves makes way: the old color, or the application's own stack."""
    if not step.commands:
        with proxy_lock(job, "retire") as by:
            joining.retire(by, job.host, job.settings, job.world.own)
    return commands(job, step)


def start(job: Job, step: Step) -> Done:
    """Start the standby's containers; whether they get healthy is the next step's question.

    What they depend on may keep Compose waiting: it ends with its deployer, or at its bound.
    """
    for command in step.commands:
        done = WhileHeld(job.lock).run(command, check=False)
        if done.code == compose.TIMED_OUT:
            raise DeployError(
                f"{job.plan.target} did not start within {patience(job.settings):g} s: "
                f"{_last_lines(done.stderr) or 'what a service depends on was not ready'}",
                where=f"{job.host.name}, {step.color}",
            )
        if done.code != 0:
            raise job.host.failed(command, done)
    return Done()


def healthy(job: Job, step: Step) -> Done:
    """Wait for consecutive passes of the engine's and the door's word on the standby."""
    wanted = job.settings.health.passes if job.plan.run.fresh else 1
    before = () if job.plan.run.starts_all else job.world.of(step.color)
    began = time.monotonic()
    streak, count = Streak(), 0
    with site.door(job.host, job.settings, step.color) as door:
        while True:
            interrupt.check()
            seen = _look(job, door, before, restarts=RESTARTS.get(job.settings.engine, 1))
            if seen.state is State.PASSING:
                seen, count = replicas.look(job, step.color)
            streak = streak.after(seen)
            if streak.passes >= wanted:
                each = f"; each of {count} replicas answers" if count else ""
                return Done(f"{wanted} of {wanted} passes{each}", {"broken": streak.broken})
            spent = time.monotonic() - began
            if health.hopeless(streak.last, spent, job.settings.health):
                raise _unhealthy(job, step, streak, spent)
            often = spent < PATIENT and not streak.passes
            time.sleep(WARMING if often else job.settings.health.interval)


def smoke(job: Job, step: Step) -> Done:
    """Try the standby as its users would, before any of them reaches it."""
    count = smoking.run(job, step)
    return Done(f"{count} of {count} passed")


def switch(job: Job, step: Step) -> Done:
    """Rename the marker: the instant at which new requests go to the other color."""
    renamed_at = moved(job, step.commands[0])
    source = "" if job.plan.old is None else job.plan.old.color
    return Done(detail={"from": source, "to": step.color, "renamed_at": renamed_at})


def take_over(job: Job, _step: Step) -> Done:
    """Move the ports of the application's own stack to the proxy, which is up already."""
    grace = compose.grace(job.world.own)
    with proxy_lock(job, "take-over") as by:
        says = joining.take_over(
            by, job.settings, sharing.look(job.host, job.settings), grace, held=job.plan.run.hold
        )
    return Done(says)


def retire(job: Job, _step: Step) -> Done:
    """Stop what of the application's own stack rotates; kept, so that it can be given back."""
    own = job.world.own
    with proxy_lock(job, "retire") as by:
        joining.retire(by, job.host, job.settings, own)
    note = joining.harmless(job.lock, job.settings)
    says = f"{', '.join(item.name for item in own)} stopped"
    return Done(says, warnings=(note,) if note else ())


def verify(job: Job, _step: Step) -> Done:
    """Ask the site itself who answers, on new connections, until the right release does."""
    return verifying.verify(job, lambda client, more: _judged_answer(job, client, more))


def workers(job: Job, step: Step) -> Done:
    """The new consumers begin."""
    return _at_work(job, step, commands(job, step))


def schedulers(job: Job, step: Step) -> Done:
    """The old color's workers end, and its schedulers, or the own stack's, before ours begin."""
    late = job.plan.run.application.late
    if own := [item for item in job.world.own if item.service in late]:
        with proxy_lock(job, "retire") as by:
            joining.retire(by, job.host, job.settings, own)
    return _at_work(job, step, commands(job, step))


def drain(job: Job, step: Step) -> Done:
    """Wait until the proxy counts nothing in flight to the old color.

    Raises DeployError where the target breaks meanwhile: the old color is still whole.
    """
    before = job.containers(job.plan.target.color)

    def watch() -> None:
        seen = _judged(job, before)
        if seen.state is State.BROKEN:
            raise baking.went_bad(job, seen.reason)

    return _drained(draining.drain(job.host, job.settings, job.world, step.color, watch))


def bake(job: Job, step: Step) -> Done:
    """Watch the new live color; the old one is still warm."""
    before = job.containers(step.color)
    asking = ThreadPoolExecutor(1)  # nobody waits for it where the color goes bad meanwhile
    idling = asking.submit(idle.seen, job.host, job.engine, job.settings, before)
    asking.shutdown(wait=False)
    with site.door(job.host, job.settings, step.color) as door:
        done = baking.watch(job, step, lambda: _look(job, door, before, working=True))
    kept = idling.result()
    if kept.wrong:
        raise baking.went_bad(job, kept.wrong)
    if job.settings.bake.prove and (told := proving.seen(job)).failed:
        raise baking.went_bad(job, told.sentence)
    if kept.long:
        name = markers.kept(step.color)
        mark = markers.mark_command(str(job.settings.directory), name, up=True)
        job.run(f"{mark} || true")  # on a full disk none is kept, which is no fault of the release
    return done


def commands(job: Job, step: Step) -> Done:
    """Run the step's commands on the host."""
    for command in step.commands:
        job.run(command)
    return Done()


ACTIONS: dict[Kind, Callable[[Job, Step], Done]] = {
    Kind.PREFLIGHT: preflight,
    Kind.CLEAR: clear,
    Kind.FETCH: fetch,
    Kind.EXPAND: expand,
    Kind.CREATE: commands,
    Kind.HOLD: hold,
    Kind.STOP: stop,
    Kind.START: start,
    Kind.HEALTHY: healthy,
    Kind.SMOKE: smoke,
    Kind.SWITCH: switch,
    Kind.TAKE_OVER: take_over,
    Kind.WORKERS: workers,
    Kind.VERIFY: verify,
    Kind.DRAIN: drain,
    Kind.SCHEDULERS: schedulers,
    Kind.BAKE: bake,
    Kind.RETIRE: retire,
    Kind.RETAIN: commands,
    Kind.PRUNE: prune,
}


def _at_work(job: Job, step: Step, done: Done) -> Done:
    """Wait until what takes work in a color is up. Raises DeployError where it does not come up."""
    mine = step.color is job.plan.target.color
    known = job.world.application(job.world.release(step.color), job.settings)
    application = job.plan.run.application if mine else known
    application = application.of_part(job.plan.run.only)
    names = application.workers if step.kind is Kind.WORKERS else application.late
    before, deadline = job.containers(step.color), time.monotonic() + patience(job.settings)
    while True:
        interrupt.check()
        found = [each for each in job.containers(step.color) if each.service in names]
        look = health.judge_containers(
            found, names, before, restarts=RESTARTS.get(job.settings.engine, 1)
        )
        if look.state is State.PASSING:
            return done
        if look.state is State.BROKEN or time.monotonic() > deadline:
            where = f"{job.host.name}, {step.color}"
            raise DeployError(f"{job.plan.target} does not work: {look.reason}", where=where)
        time.sleep(WARMING)


def _last_lines(text: str) -> str:
    return " ".join(text.split())[-SHOWN:]


def _drained(drained: draining.Drained) -> Done:
    return Done(drained.says, {"in_flight": drained.readings, "left": drained.left})


def _look(
    job: Job,
    door: httpx.Client,
    before: tuple[Container, ...],
    *,
    restarts: int = 0,
    working: bool = False,
) -> Look:
    look = _judged(job, before, restarts=restarts, working=working)
    if look.state is not State.PASSING:
        return look
    return _judged_answer(job, door)


def _judged_answer(job: Job, client: httpx.Client, more: Mapping[str, str] = NOTHING) -> Look:
    """What the public service answers to the ready path, judged; `more` are headers beside."""
    public, told = job.plan.run.application.public, job.settings.adopted is None
    answer, below = _ready(job, client, more), public.below or 0
    return health.judge_answer(answer, job.plan.run.asked, public.service, below=below, told=told)


def _judged(
    job: Job, before: tuple[Container, ...], *, restarts: int = 0, working: bool = False
) -> Look:
    """What the engine says of the target, beside what its containers were before.

    What takes work by itself is judged once it should have begun: `working`.
    """
    application = job.plan.run.application
    services = application.services if working else application.early
    if not job.world.leads:  # what runs once is a container of the host that leads
        services = tuple(name for name in services if name in application.lasting)
    late = () if working else application.late
    found = [each for each in job.containers(job.plan.target.color) if each.service not in late]
    return health.judge_containers(found, services, before, restarts=restarts)


def _ready(job: Job, client: httpx.Client, more: Mapping[str, str]) -> Answer:
    import httpx  # noqa: PLC0415 - slow to import

    public = job.plan.run.application.public
    try:
        answer = client.get(
            public.ready, headers=site.headers(job.settings, {**public.send, **more})
        )
    except httpx.HTTPError as error:
        return Answer(0, error=str(error) or type(error).__name__)
    headers = answer.headers
    return Answer(answer.status_code, headers.get("X-Color", ""), headers.get("X-Version", ""))


def _unhealthy(job: Job, step: Step, streak: Streak, spent: float) -> DeployError:
    kind = "failed" if streak.last.state is State.BROKEN else "did not become healthy"
    return DeployError(
        f"{job.plan.target} {kind} after {spent:.1f} s: {streak.described}",
        where=f"{job.host.name}, {step.color}",
    )
