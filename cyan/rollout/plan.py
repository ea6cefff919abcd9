"""From a look at the world to the steps of a deploy or a rollback: pure, and printable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.errors import DeployError, UsageError
from cyan.rollout.release import Release, previous, release_id
from cyan.world import compose, proxy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.names import Color
    from cyan.rollout.observation import Observation
    from cyan.settings import Settings


RESERVED = ("APP", "COLOR", "VERSION", "RELEASE", "DEPLOYED_BY", "DIRECTORY")
"""What cyan itself tells the Compose file of a color; nobody else may set these."""


class Kind(StrEnum):
    """The steps, in the order in which a deploy takes them."""

    PREFLIGHT = "preflight"
    CLEAR = "clear"
    FETCH = "fetch"
    START = "start"
    HEALTHY = "healthy"
    SMOKE = "smoke"
    SWITCH = "switch"
    VERIFY = "verify"
    DRAIN = "drain"
    BAKE = "bake"
    RETAIN = "retain"
    PRUNE = "prune"


@dataclass(frozen=True)
class Step:
    """One thing to do: what for, to which color, and the commands that it runs on the host.

    A step without commands asks the engine, the doors or the proxy; `says` tells what it wants.
    """

    kind: Kind
    color: Color
    says: str
    commands: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # (path on the host, text) that it writes first


@dataclass(frozen=True)
class Plan:
    """The steps that make `target` live; `old` is what is live now."""

    what: str
    run: str
    target: Release
    old: Release | None
    steps: tuple[Step, ...]
    fresh: bool  # whether containers are started, and not only the traffic moved


@dataclass(frozen=True)
class Request:
    """What the operator asked for. `environment` goes to the release's containers."""

    what: str
    version: str
    by: str
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """What is done, in two words."""
        return f"{self.what} {self.version}".strip()


def deploy(request: Request, world: Observation, settings: Settings, compose_text: str) -> Plan:
    """The plan that starts `request.version` in the standby color and makes it live."""
    release = release_id(request.version, world.now)
    target = Release(release, request.version, world.standby)
    folder = PurePosixPath(settings.directory) / "releases" / release
    project = compose.Project(settings.project(target.color), folder)
    start = (
        *_clear(world, target.color),
        Step(
            Kind.FETCH,
            target.color,
            f"the images of {request.version} are on the host",
            (project.command("config", "--images"), project.command("pull", "--quiet")),
            (
                (str(project.file), compose_text),
                (str(project.env), _environment(request, target, settings)),
            ),
        ),
        Step(
            Kind.START,
            target.color,
            f"{target} starts beside {world.serving}",
            (project.up(),),
        ),
    )
    return _rotation(request, world, settings, target, start)


def rollback(request: Request, world: Observation, settings: Settings, compose_text: str) -> Plan:
    """The plan that makes the previous release live: at once while warm, else by deploying it.

    Raises DeployError where there is no previous release.
    """
    back = rollback_target(world)
    request = replace(request, version=back.version)
    warm = world.release(world.standby) == back.id and back.color is world.standby
    if not warm:
        return deploy(request, world, settings, compose_text)
    if world.up(world.standby, settings.stateless):
        return _rotation(request, world, settings, back, ())
    folder = PurePosixPath(settings.directory) / "releases" / back.id
    project = compose.Project(settings.project(back.color), folder)
    says = f"{back} is partly stopped and starts again"
    return _rotation(
        request, world, settings, back, (Step(Kind.START, back.color, says, (project.up(),)),)
    )


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


def _rotation(
    request: Request,
    world: Observation,
    settings: Settings,
    target: Release,
    start: tuple[Step, ...],
) -> Plan:
    """What every rotation shares: `start` may be empty, for a color that is warm already."""
    color, old = target.color, _live(world)
    fresh = bool(start)
    steps = [
        Step(Kind.PREFLIGHT, color, "the shared services run and nothing stands in the way"),
        *start,
        Step(Kind.HEALTHY, color, _healthy_says(target, settings, fresh=fresh)),
    ]
    if fresh and settings.smoke:
        says = f"{len(settings.smoke)} requests through {color}'s door"
        steps.append(Step(Kind.SMOKE, color, says))
    steps += [
        Step(
            Kind.SWITCH,
            color,
            f"new requests go to {target}",
            (proxy.switch_command(str(settings.directory), world.live, color),),
        ),
        Step(Kind.VERIFY, color, f"the site answers as {target}"),
    ]
    if old:
        steps.append(
            Step(
                Kind.DRAIN,
                old.color,
                f"no request in flight to {old.color}, for at most {settings.drain.timeout:g} s",
            )
        )
    if fresh and settings.bake.seconds and old:
        steps.append(Step(Kind.BAKE, color, f"{target} is watched for {settings.bake.seconds:g} s"))
    if old:
        steps.append(retain(settings, old.color))
    steps.append(_prune(world, settings, target))
    return Plan(
        request.what, release_id(request.version, world.now), target, old, tuple(steps), fresh
    )


def retain(settings: Settings, color: Color) -> Step:
    """What becomes of the old color: warm as a whole, in part, or removed."""
    warm = settings.warm.services
    project = settings.project(color)
    grace = int(settings.drain.timeout)
    if warm == "all":
        return Step(Kind.RETAIN, color, f"{color} stays warm for a rollback")
    if warm == "none":
        return Step(Kind.RETAIN, color, f"{color} is removed", (compose.down(project, grace),))
    stopped = tuple(name for name in settings.stateless if name not in warm)
    says = f"{color} keeps {', '.join(warm)} warm; {', '.join(stopped)} stop"
    return Step(Kind.RETAIN, color, says, (compose.stop(project, grace, stopped),))


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


def _prune(world: Observation, settings: Settings, target: Release) -> Step:
    """Remove the folders of old releases, never one whose containers exist."""
    needed = {target.id, *(item.release for item in world.containers if item.release)}
    folder = compose.quoted_path(settings.directory, "releases")
    keep = " ".join(f"-e {compose.quoted_path(name)}" for name in sorted(needed))
    command = (
        f"cd {folder} && ls -1 | grep -vxF {keep} | sort | head -n -{settings.keep_releases} "
        "| xargs -r -d '\\n' rm -rf --"
    )
    says = f"the newest {settings.keep_releases} releases are kept"
    return Step(Kind.PRUNE, target.color, says, (command,))


def valid_environment(pairs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`KEY=VALUE` texts as pairs. Raises UsageError for what is none, or is cyan's own."""
    split = [pair.partition("=") for pair in pairs]
    for key, equals, _ in split:
        if not equals:
            raise UsageError(f"{key!r} is not KEY=VALUE", todo="for example: --env FEATURE=on")
        if key in RESERVED:
            raise UsageError(f"{key} is set by cyan itself", todo="choose another name")
    environment = {key: value for key, _, value in split}
    compose.env_file(environment)
    return tuple(environment.items())


def extra_environment(env_file: str) -> tuple[tuple[str, str], ...]:
    """What a release's env file holds beyond what every release's does."""
    values = compose.parse_env_file(env_file)
    return tuple((key, value) for key, value in values.items() if key not in RESERVED)


def _environment(request: Request, target: Release, settings: Settings) -> str:
    own = (settings.app, target.color, target.version, target.id, request.by, settings.directory)
    values = dict(zip(RESERVED, map(str, own), strict=True))
    return compose.env_file(values | dict(request.environment))
