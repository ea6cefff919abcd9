"""From a look at the world to the steps of a deploy or a rollback: pure, and printable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cyan.application.record import Application
from cyan.application.release import Release, release_id
from cyan.engines import colors, compose
from cyan.errors import DeployError
from cyan.hosts.look import previous
from cyan.names import Kind
from cyan.proxies import markers
from cyan.rollout import work
from cyan.rollout.planned import Plan, Request, Run, Step
from cyan.rollout.release_files import brought

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.hosts.look import Observation
    from cyan.names import Color
    from cyan.rollout.unfinished import Unfinished
    from cyan.settings import Settings


def deploy(request: Request, world: Observation, settings: Settings, compose_text: str) -> Plan:
    """The plan that starts `request.version` in the standby color and makes it live."""
    name = request.run or release_id(request.version, world.now)
    color = world.live if request.only and world.live else world.standby
    target = Release(name, request.version, color)
    start = _start(request, world, settings, target, compose_text)
    run = _run(request, target, world, settings, fresh=True)
    return _rotation(run, world, settings, start)


def resume(
    left: Unfinished,
    request: Request,
    world: Observation,
    settings: Settings,
    compose_text: str | None,
) -> Plan:
    """The plan that goes on with a run: what stays to be done of it, and what is cheap to repeat.

    `left` must hold in this world, and have a target. `compose_text` is None where the release's
    files, images and secrets are on the host already.
    """
    target = left.target
    assert target is not None  # noqa: S101 - for the type checker: see above
    begun = undoing(left, world, settings).run
    run = replace(
        begun,
        application=request.application or begun.application,
        environment=request.names,
        forced=request.forced,
        contents=request.contents,
        hold=request.hold,
    )
    request = replace(request, only=left.only)
    if left.reached(world) and not world.held:
        return Plan(run, (preflight(target), *_after_switch(run, settings, world)))
    if left.fresh:
        request = replace(request, what=left.what, version=target.version)
        start = _start(request, world, settings, target, compose_text)
    else:
        start = _start_again(world, settings, target)
    return _rotation(run, world, settings, start)


def undoing(left: Unfinished, world: Observation, settings: Settings) -> Plan:
    """The plan of a run that is only to be undone: it has no steps."""
    assert left.target is not None  # noqa: S101 - for the type checker: only such can be undone
    deployed = world.application(left.target.id, settings)
    replaced = world.application(left.old.id if left.old else "", settings)
    grace = _grace(world, left.old, settings)
    run = Run(left.what, left.run, left.target, left.old, left.fresh, deployed, replaced, grace)
    answers = _answers(left.only, deployed, world)
    return Plan(replace(run, hold=left.hold, only=left.only, answers=answers), ())


def _start(
    request: Request,
    world: Observation,
    settings: Settings,
    target: Release,
    compose_text: str | None,
) -> tuple[Step, ...]:
    """The steps that start a target's containers, from its files in its folder on the host."""
    project = colors.project_of(settings, target)
    known = world.application(target.id, settings)
    application = request.application or (Application.of(settings) if compose_text else known)
    live, within = _live(world), patience(settings)
    left = work.left_behind(settings, world, live) if live and world.leads else ()
    what = f"{', '.join(request.only)} of {target}" if request.only else f"{target}"
    beside = f" beside {world.serving}" if world.live or world.own else ""
    says = f"{what} starts{' in its place' if request.hold else beside}"
    if request.only:
        commands = work.replaced(settings, application.of_part(request.only), target)
    elif not world.leads:
        says, commands = f"{target} starts on all nodes, by the first host", (":",)
    else:
        commands = work.started(settings, application, target, within)
    if settings.adopted:  # its idle connections are its own: seen anew when it bakes
        kept = markers.kept(target.color)
        lower = markers.mark_command(str(settings.directory), kept, up=False)
        if settings.site.sticky:
            lower = f"{lower} && {markers.unpin_command(str(settings.directory))}"
        commands = (f"{lower} && {commands[0]}", *commands[1:]) if commands else ()
    return (
        *(Step(*each) for each in left),
        *(() if request.only else _clear(world, target.color)),
        *brought(request, world, settings, target, compose_text),
        *_expand(request, settings, project, target),
        Step(Kind.START, target.color, says, commands),
    )


def is_warm(back: Release, world: Observation) -> bool:
    """Whether the containers of the release to go back to are still the standby's."""
    return world.release(world.standby) == back.id and back.color is world.standby


def rollback(request: Request, world: Observation, settings: Settings, compose_text: str) -> Plan:
    """The plan that makes the previous release live: at once while warm, else by deploying it.

    Raises DeployError where there is no previous release.
    """
    back = rollback_target(world)
    request = replace(request, version=back.version)
    if not is_warm(back, world):
        return deploy(request, world, settings, compose_text)
    start = _start_again(world, settings, back)
    request = replace(request, hold=request.hold and bool(start))
    run = _run(request, back, world, settings, fresh=bool(start))
    return _rotation(run, world, settings, start)


def _run(
    request: Request, target: Release, world: Observation, settings: Settings, *, fresh: bool
) -> Run:
    old = _live(world)
    application = request.application or world.application(target.id, settings)
    return Run(
        what=request.what,
        id=request.run or release_id(target.version, world.now),
        target=target,
        old=old,
        fresh=fresh,
        application=application,
        replaced=world.application(old.id if old else "", settings),
        grace=_grace(world, old, settings),
        environment=request.names,
        forced=request.forced,
        contents=request.contents,
        hold=request.hold,
        why=request.why,
        only=request.only,
        answers=_answers(request.only, application, world),
    )


def _answers(only: tuple[str, ...], application: Application, world: Observation) -> str:
    """The version of the public service, where it is none of those that are replaced."""
    public = application.public.service
    if not only or public in only:
        return ""
    return next((each.version for each in world.of(world.live) if each.service == public), "")


def _grace(world: Observation, old: Release | None, settings: Settings) -> int:
    """The user's own grace wins, but is never less than the drain."""
    return compose.grace(world.of(old.color) if old else (), settings.drain.timeout)


def _start_again(world: Observation, settings: Settings, back: Release) -> tuple[Step, ...]:
    """What a warm release needs: nothing where it is whole, else its containers started again."""
    application = world.application(back.id, settings)
    if not world.leads or world.up(back.color, application.early):
        return ()
    says = f"{back} is stopped, or partly, and starts again"
    commands = work.started_again(settings, application, back)
    return (Step(Kind.START, back.color, says, commands),)


def patience(settings: Settings) -> float:
    """How many seconds a standby may take: as long as the most patient of its services."""
    return max((settings.health.timeout, *settings.health.services.values()))


def following(lead: Observation, world: Observation, settings: Settings) -> Plan:
    """The plan by which a host of a swarm leads to what the first one has live: that is up.

    Both must have been looked at in this order, and `lead` have a live color.
    """
    live = _live(lead)
    assert live is not None  # noqa: S101 - for the type checker: see above
    request = Request("deploy", live.version, "", run=release_id(live.version, world.now))
    request = replace(request, application=lead.application(live.id, settings))
    return _rotation(_run(request, live, world, settings, fresh=False), world, settings, ())


def rollback_target(world: Observation) -> Release:
    """The release that a rollback goes to. Raises DeployError where there is none."""
    back = previous(world.switches, _live_release(world))
    if back is None or world.live is None:
        raise DeployError(
            "there is nothing to roll back to: no other release has ever been live here",
            serving=world.serving,
            todo="deploy the version you want: inv deploy --version V",
        )
    return back


def preflight(target: Release) -> Step:
    """The first step of every plan."""
    return Step(
        Kind.PREFLIGHT, target.color, "the shared services run and nothing stands in the way"
    )


def _rotation(run: Run, world: Observation, settings: Settings, start: tuple[Step, ...]) -> Plan:
    """What every rotation shares: `start` may be empty, for a color that is warm already."""
    color = run.target.color
    steps = [
        preflight(run.target),
        *(_in_its_place(run, world, settings, start) if run.hold else start),
        Step(Kind.HEALTHY, color, _healthy_says(run.target, settings, fresh=run.fresh)),
    ]
    smoke = run.application.smoke
    if run.fresh and smoke:
        says = f"{len(smoke)} requests through {color}'s door"
        steps.append(Step(Kind.SMOKE, color, says))
    source = markers.held(world.live) if run.waits else world.marker
    switch = markers.switch_command(str(settings.directory), source, color)
    says = "what waits, and what is new, goes" if run.waits else "new requests go"
    stays = run.only and not run.waits
    says = "requests go where they went" if stays else f"{says} to {run.target}"
    steps.append(Step(Kind.SWITCH, color, says, (switch,)))
    return Plan(run, (*steps, *_after_switch(run, settings, world)))


def _in_its_place(
    run: Run, world: Observation, settings: Settings, start: tuple[Step, ...]
) -> Iterator[Step]:
    """What a hold does in the place of a start beside the live color.

    Whatever can be done beforehand is; then requests wait, from here until the switch. A container
    that is to take the place of another cannot be made beforehand.
    """
    color, live = run.target.color, run.old
    yield from (step for step in start if step.kind is not Kind.START)
    if not run.waits:
        return
    if run.starts_all:
        names = work.called(settings, run.application.services, color)
        made = colors.project_of(settings, run.target).create(names)
        yield Step(Kind.CREATE, color, f"the containers of {run.target} are made", (made,))
    wait = markers.switch_command(str(settings.directory), world.marker, markers.held(world.live))
    ends = f"; what is in flight to {live} ends, for at most {settings.hold.drain:g} s"
    says = f"new requests wait{ends if live else ''}"
    yield Step(Kind.HOLD, live.color if live else color, says, (wait,))
    yield from _taking_over(color, world)
    if live:
        part = run.replaced.of_part(run.only).early if run.only else ()
        stop = colors.stop(settings, live.color, None, work.called(settings, part, live.color))
        what = f"{', '.join(part)} of {live}" if part else f"{live}"
        going = [item for item in world.of(live.color) if not part or item.service in part]
        says = f"{what} makes way, within {compose.grace(going)} s"
        yield Step(Kind.STOP, live.color, says, (stop,))
    else:
        yield Step(Kind.STOP, color, f"{_names(world)} make way")
    yield from (step for step in start if step.kind is Kind.START)


def _names(world: Observation) -> str:
    """What serves of the application's own stack; "" for nothing."""
    return ", ".join(item.name for item in world.own)


def _taking_over(color: Color, world: Observation) -> Iterator[Step]:
    if world.own:
        yield Step(Kind.TAKE_OVER, color, f"the ports of {_names(world)} become the proxy's")


def _after_switch(run: Run, settings: Settings, world: Observation) -> tuple[Step, ...]:
    color, old, own = run.target.color, run.old, _names(world)
    mine = run.application.of_part(run.only)
    steps = [] if run.hold else list(_taking_over(color, world))
    if world.leads:
        steps += [Step(*each) for each in work.workers(settings, mine, run.target)]
    steps.append(Step(Kind.VERIFY, color, f"the site answers as {run.target}"))
    if old and not run.hold:
        says = f"no request in flight to {old.color}, for at most {settings.drain.timeout:g} s"
        steps.append(Step(Kind.DRAIN, old.color, says))
    before = None if run.only else old  # whose containers are gone by now
    if world.leads:
        late = work.schedulers(settings, mine, run.target, before, run.replaced)
        steps += [Step(*each) for each in late]
    if run.fresh and settings.bake.seconds and (old or own):
        says = f"{run.target} is watched for {settings.bake.seconds:g} s"
        steps.append(Step(Kind.BAKE, color, says))
    if own:
        says = f"{own} stop, and are kept until inv cleanup"
        steps.append(Step(Kind.RETIRE, color, says))
    if run.only:
        pass  # nothing of the old release is left but what belongs to the new one as well
    elif old and run.hold and settings.warm.services != "none":
        says = f"{old} is stopped, and kept for a rollback"
        steps.append(Step(Kind.RETAIN, old.color, says))
    elif old and world.leads:
        steps.append(retain(settings, old.color, run.replaced, run.grace))
    says = f"the newest {settings.keep_releases} releases are kept"
    return (*steps, Step(Kind.PRUNE, color, says))


def retain(settings: Settings, color: Color, application: Application, grace: int) -> Step:
    """What becomes of the old color: warm as a whole, in part, or removed."""
    warm = settings.warm.services
    if warm == "all":
        return Step(Kind.RETAIN, color, f"{color} stays warm for a rollback")
    if warm == "none":
        gone = colors.down(settings, color, grace)
        return Step(Kind.RETAIN, color, f"{color} is removed", (gone,))
    stopped = tuple(name for name in application.services if name not in warm)
    if not stopped:
        return Step(Kind.RETAIN, color, f"{color} stays warm for a rollback")
    names = tuple(settings.in_compose(name, color) for name in stopped)
    says = f"{color} keeps {', '.join(warm)} warm; {', '.join(stopped)} stop"
    return Step(Kind.RETAIN, color, says, (colors.stop(settings, color, grace, names),))


def _expand(
    request: Request, settings: Settings, project: compose.Project, target: Release
) -> tuple[Step, ...]:
    """Expand the database for a new release; an old one that comes back has what it needs."""
    wanted = settings.migrate
    if request.what != "deploy" or not (wanted.directory or wanted.expand):
        return ()
    once = (expanding(project, settings, target.color).command,) if wanted.expand else ()
    says = f"the database has what {target.version} needs"
    return (Step(Kind.EXPAND, target.color, says, once),)


def expanding(project: compose.Project, settings: Settings, color: Color) -> compose.Once:
    """How `migrate.expand` is run for the release of a project, in its color."""
    service = settings.in_compose(settings.migrate.service, color)
    return project.once("expand", service, settings.migrate.expand)


def _clear(world: Observation, color: Color) -> tuple[Step, ...]:
    """Drain the standby before it is replaced, where the proxy may still have requests to it."""
    if not any(item.state == "running" for item in world.of(color)):
        return ()
    if world.in_flight is not None and world.in_flight.of(color) == 0 and not _just_switched(world):
        return ()
    return (Step(Kind.CLEAR, color, f"requests in flight to the warm {color} end first"),)


def _just_switched(world: Observation) -> bool:
    """Whether a request may have looked at the marker before the last switch and not be counted."""
    last = max((entry.at for entry in world.journal if entry.step.startswith("switch")), default=0)
    return world.now - last < 2  # noqa: PLR2004 - seconds; many times the settle of DESIGN


def _live(world: Observation) -> Release | None:
    if world.live is None:
        return None
    return Release(_live_release(world), world.version(world.live) or "unknown", world.live)


def _live_release(world: Observation) -> str:
    """The live release by its containers, or by the journal where they are gone."""
    last = world.switches[-1].release if world.switches else ""
    return world.release(world.live) or last


def _healthy_says(target: Release, settings: Settings, *, fresh: bool) -> str:
    passes = settings.health.passes if fresh else 1
    return f"{target}: {passes} consecutive passes within {settings.health.timeout:g} s"
