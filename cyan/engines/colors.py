"""The commands of one color, whatever runs it: a Compose project, or a stack of Docker Swarm."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.engines import compose, stack
from cyan.engines.stack import Stack
from cyan.names import EngineKind

if TYPE_CHECKING:
    from cyan.application.release import Release
    from cyan.engines.compose import Project
    from cyan.names import Color
    from cyan.settings import Settings


def project_of(settings: Settings, release: Release) -> Project:
    """What a release's color is run by, with its files in its folder on the host."""
    folder = PurePosixPath(settings.directory) / "releases" / release.id
    kind = Stack if _swarm(settings) else compose.Project
    return kind(settings.project(release.color), folder)


def stop(
    settings: Settings, color: Color, grace: int | None, services: tuple[str, ...] = ()
) -> str:
    """Stop services of a color, or all, by its name alone; without a `grace` each has its own."""
    way = stack.stop if _swarm(settings) else compose.stop
    return way(settings.project(color), grace, services)


def again(settings: Settings, color: Color, services: tuple[str, ...]) -> str:
    """Start services of a color that were stopped, by its name alone: as they were."""
    way = stack.scaled_up if _swarm(settings) else compose.again
    return way(settings.project(color), services)


def down(settings: Settings, color: Color, grace: int) -> str:
    """Remove a color by its name alone: its files may be gone. `grace` in seconds."""
    way = stack.down if _swarm(settings) else compose.down
    return way(settings.project(color), grace)


def _swarm(settings: Settings) -> bool:
    return settings.engine is EngineKind.SWARM
