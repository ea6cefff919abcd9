"""What a release's folder on the host is to hold, and the step that brings it there: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cyan.application import record, stack_file
from cyan.application.color import Mould, color_file, external_names
from cyan.application.partial import staying
from cyan.application.record import Application
from cyan.engines import colors, compose
from cyan.engines.stack import Stack
from cyan.engines.versions import START_INTERVAL, newer
from cyan.errors import UsageError
from cyan.names import REHEARSED, EngineKind, Kind
from cyan.rollout import work
from cyan.rollout.planned import Request, Step
from cyan.world.envfile import env_file, parse_env_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.adopted import AdoptedSettings
    from cyan.application.release import Release
    from cyan.hosts.look import Observation
    from cyan.settings import Settings

RESERVED = ("APP", "COLOR", "VERSION", "RELEASE", "DEPLOYED_BY", "DIRECTORY")
"""What cyan itself tells the Compose file of a color; nobody else may set these."""


def brought(
    request: Request,
    world: Observation,
    settings: Settings,
    target: Release,
    compose_text: str | None,
) -> tuple[Step, ...]:
    """The step that brings a target's files, images and secrets; none without a Compose file.

    `compose_text` is the color's, or what Compose resolved of an adopted application's. Raises
    UsageError for what a swarm does not know.
    """
    if compose_text is None:
        return ()
    project = colors.project_of(settings, target)
    made = request.application or Application.of(settings)
    application = made.model_copy(update={"only": request.only})
    files: tuple[tuple[str, str], ...] = (
        (str(project.env), _environment(request, target, settings)),
        (str(project.folder / record.FILE), record.dump(application)),
    )
    says = _fetch_says(request, settings)
    adopted = application.adopted
    if adopted is None:
        files = ((str(project.file), compose_text), *files)
        return (Step(Kind.FETCH, target.color, says, (project.config(),), files),)
    mould = _mould(request, target, settings, adopted)
    quick = newer(world.engine, START_INTERVAL)
    text = color_file(compose_text, replace(mould, quick=quick))
    if live := request.contents.live:
        names = work.called(settings, request.only, target.color)
        text = staying(text, live.file, names, project.folder.parent / live.release)
    files = ((str(project.file), text), (str(project.source), compose_text), *files)
    if over := isinstance(project, Stack):
        files = (*files, *_stack_files(project, text, target, application, settings))
    externals = external_names(compose_text, adopted)
    joined = tuple(compose.made(each, adopted.project, spread=over) for each in externals)
    return (Step(Kind.FETCH, target.color, says, (*joined, project.config()), files),)


def _stack_files(
    project: Stack, text: str, target: Release, application: Application, settings: Settings
) -> tuple[tuple[str, str], ...]:
    """The files of a color's stack, from the text of its Compose file. Raises UsageError."""
    assert application.adopted is not None  # noqa: S101 - for the type checker: see Settings
    names = work.called(settings, application.lasting, target.color)
    resting = work.called(settings, application.late, target.color)
    made = stack_file.stack_file(
        stack_file.only(text, names),
        settings.app,
        target.id,
        without=application.adopted.without,
        node=settings.colors.host_of(target.color),
    )
    return ((str(project.stack), made), (str(project.resting), stack_file.resting(resting)))


def _mould(
    request: Request, target: Release, settings: Settings, adopted: AdoptedSettings
) -> Mould:
    grace = settings.drain.timeout
    color, version, release = target.color, target.version, target.id
    sick = settings.public.service if request.rehearse == REHEARSED[0] else ""
    made = Mould(settings.app, color, version, release, request.by, adopted, grace, sick=sick)
    return replace(made, linked=settings.engine is not EngineKind.SWARM, held=request.hold)


def _fetch_says(request: Request, settings: Settings) -> str:
    """Which images come to the host and how, and how many secrets."""
    source = settings.images.source
    says = f"the images of {request.version} are on the host ({source})"
    if request.contents.again:
        return f"the images and secrets that {request.contents.again} ran with are on the host"
    names = request.contents.secrets.names
    return says + (f", and {len(names)} secrets" if names else "")


def valid_environment(pairs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`KEY=VALUE` texts as pairs. Raises UsageError for what is none, or is cyan's own."""
    split = [pair.partition("=") for pair in pairs]
    for key, equals, _ in split:
        if not equals:
            raise UsageError(f"{key!r} is not KEY=VALUE", todo="for example: --env FEATURE=on")
        if key in RESERVED:
            raise UsageError(f"{key} is set by cyan itself", todo="choose another name")
    environment = {key: value for key, _, value in split}
    env_file(environment)
    return tuple(environment.items())


def extra_environment(env_file: str) -> tuple[tuple[str, str], ...]:
    """What a release's env file holds beyond what every release's does."""
    values = parse_env_file(env_file)
    return tuple((key, value) for key, value in values.items() if key not in RESERVED)


def _environment(request: Request, target: Release, settings: Settings) -> str:
    own = (settings.app, target.color, target.version, target.id, request.by, settings.directory)
    values = dict(zip(RESERVED, map(str, own), strict=True))
    return env_file(values | dict(request.environment))
