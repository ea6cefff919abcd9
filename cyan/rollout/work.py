"""The steps of what takes work by itself, workers and schedulers: pure.

Neither runs in a standby. Consumers of the new color start at the switch, before those of the old
one end, which is with the old color's drain; schedulers must never run twice, so that the old one
ends before the new one begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.application.release import Release
from cyan.engines import colors
from cyan.engines.stack import Stack
from cyan.names import Kind

if TYPE_CHECKING:
    from cyan.application.record import Application
    from cyan.hosts.look import Observation
    from cyan.names import Color
    from cyan.settings import Settings

Told = tuple[Kind, "Color", str, tuple[str, ...]]
"""A step: its kind, color, what it says, and its commands."""


def started(
    settings: Settings, application: Application, target: Release, within: float
) -> tuple[str, ...]:
    """The commands that start a standby: all of it but what takes work by itself.

    That is made and not started, so that its containers are of the release, too.
    """
    project = colors.project_of(settings, target)
    if isinstance(project, Stack):
        return (project.up(called(settings, application.once, target.color), within=within),)
    if not application.late:
        return (project.up(within=within),)
    early = called(settings, application.early, target.color)
    late = called(settings, application.late, target.color)
    return (project.up(early, within=within), project.create(late))


def replaced(settings: Settings, application: Application, target: Release) -> tuple[str, ...]:
    """The commands that start a part of the live color anew: of those services, in their place."""
    early = called(settings, application.early, target.color)
    return (colors.project_of(settings, target).start(early),) if early else ()


def started_again(settings: Settings, application: Application, target: Release) -> tuple[str, ...]:
    """The same for a release that was up before: what runs once has run."""
    project, late = colors.project_of(settings, target), application.late
    lasting = tuple(name for name in application.lasting if name not in late)
    commands = (project.start(called(settings, lasting, target.color)),)
    return (*commands, project.create(called(settings, late, target.color))) if late else commands


def left_behind(settings: Settings, world: Observation, live: Release) -> tuple[Told, ...]:
    """Have the live color work where a deployer was killed between the switch and its workers.

    They may run in the standby, which is about to be made anew.
    """
    application = world.application(live.id, settings)
    if not application.late or world.up(live.color, application.late):
        return ()
    standby = Release(world.release(live.color.other), "", live.color.other)
    before = world.application(standby.id, settings)
    return (
        *workers(settings, application, live),
        *schedulers(settings, application, live, standby, before),
    )


def workers(settings: Settings, application: Application, target: Release) -> tuple[Told, ...]:
    """The new consumers begin, before the old ones end."""
    if not application.workers:
        return ()
    project = colors.project_of(settings, target)
    start = project.start(called(settings, application.workers, target.color))
    says = f"{', '.join(application.workers)} of {target} take work"
    return ((Kind.WORKERS, target.color, says, (start,)),)


def schedulers(
    settings: Settings,
    application: Application,
    target: Release,
    old: Release | None,
    replaced: Application,
) -> tuple[Told, ...]:
    """The old color's workers end, and its schedulers, before the new ones begin."""
    commands, says = [], []
    if old and old.id and replaced.late:
        names = called(settings, replaced.late, old.color)
        commands.append(colors.stop(settings, old.color, None, names))
        says.append(f"{', '.join(replaced.late)} of {old.color} end")
    if application.schedulers:
        project = colors.project_of(settings, target)
        commands.append(project.start(called(settings, application.schedulers, target.color)))
        says.append(f"{', '.join(application.schedulers)} of {target.color} begin")
    return ((Kind.SCHEDULERS, target.color, "; ".join(says), tuple(commands)),) if commands else ()


def back(
    settings: Settings, target: Release, application: Application, old: Release, before: Application
) -> tuple[str, ...]:
    """The commands by which the old color works again where its successor is switched away from."""
    commands = []
    project = colors.project_of(settings, old)
    if before.workers:
        commands.append(project.start(called(settings, before.workers, old.color)))
    if application.schedulers:
        names = called(settings, application.schedulers, target.color)
        commands.append(colors.stop(settings, target.color, None, names))
    if before.schedulers:
        commands.append(project.start(called(settings, before.schedulers, old.color)))
    return tuple(commands)


def called(settings: Settings, names: tuple[str, ...], color: Color) -> tuple[str, ...]:
    """What Compose calls services in a color."""
    return tuple(settings.in_compose(name, color) for name in names)
