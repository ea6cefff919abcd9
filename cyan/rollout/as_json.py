"""What `--json` prints: the same that is shown, for programs. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cyan.names import Color
from cyan.rollout.drift import drift

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.hosts.look import Observation
    from cyan.rollout.planned import Plan
    from cyan.rollout.preflight import Check
    from cyan.settings import Settings


def status(world: Observation, settings: Settings, host: str) -> dict[str, Any]:
    """One host, as `inv status` shows it."""
    return {
        "host": host,
        "app": settings.app,
        "live": world.live,
        "serving": world.serving,
        "markers": sorted(world.markers),
        "locked_by": world.owner.described if world.owner else None,
        "in_flight": asdict(world.in_flight) if world.in_flight else None,
        "colors": {
            str(color): {
                "version": world.version(color),
                "release": world.release(color),
                "containers": [_container(each) for each in world.of(color)],
            }
            for color in Color
        },
        "shared": [_container(each) for each in world.of(None)],
        "drift": list(drift(world, settings)),
    }


def _container(item: Any) -> dict[str, Any]:  # noqa: ANN401 - engines.docker's Container
    names = (
        *("name", "service", "version", "release", "state", "health", "started_at"),
        *("restarts", "image", "id"),
    )
    place = {"node": item.node, "why": item.why} if item.task else {}  # of a swarm
    return {name: getattr(item, name) for name in names} | place | {"up": item.up}


def history(world: Observation, host: str, lines: int) -> dict[str, Any]:
    """The newest lines of a host's journal, as they are."""
    return {"host": host, "journal": [asdict(each) for each in world.journal[-lines:]]}


def doctor(found: Iterable[Check], host: str) -> dict[str, Any]:
    """The checks of a host."""
    return {"host": host, "checks": [asdict(each) for each in found]}


def plan(made: Plan, host: str, serving: str) -> dict[str, Any]:
    """The steps of a run that is not done; without the text of files, which may hold secrets."""
    run = made.run
    return {
        "host": host,
        "what": run.what,
        "run": run.id,
        "target": asdict(run.target),
        "old": asdict(run.old) if run.old else None,
        "hold": run.hold,
        "why": run.why,
        "serving": serving,
        "steps": [
            {
                "kind": step.kind,
                "phase": step.kind.phase,
                "color": step.color,
                "says": step.says,
                "commands": list(step.commands),
                "files": [path for path, _ in step.files],
            }
            for step in made.steps
        ],
    }
