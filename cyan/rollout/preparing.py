"""What a request comes to on a host: its plan, from what is there and what the host keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.application import partial
from cyan.application.mounts import files_of
from cyan.application.secrets import collect
from cyan.application.source import source_of
from cyan.errors import DeployError, UsageError
from cyan.releases import mounted
from cyan.releases.contents import Contents
from cyan.releases.images import parse
from cyan.rollout import holding, strategy, unfinished
from cyan.rollout import plan as planning
from cyan.rollout.release_files import extra_environment
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from cyan.application.release import Release
    from cyan.hosts.look import Observation
    from cyan.releases.images import ServiceImage
    from cyan.rollout.planned import Plan, Request
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


def prepare(host: Host, settings: Settings, world: Observation, request: Request) -> Plan:
    """The plan for a request.

    A rollback that deploys runs what its release ran: the same Compose file, environment, secrets
    and images. Raises DeployError where the host keeps them no more.
    """
    if world.own and request.what == "deploy" and not request.take_over:
        raise TakeOverError(host.name, world)
    request = strategy.decided(host, settings, world, request)
    settings = holding.within(settings, held=request.hold)
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
    settings = holding.within(settings, held=left.hold)
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
