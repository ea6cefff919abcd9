"""What is said of a container, whoever runs it: the vocabulary of engines. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan.names import Color, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_GRACE = 10  # seconds, where a container asks for no other


@dataclass(frozen=True)
class Container:
    """What the engine says of one container."""

    id: str
    name: str
    project: str
    service: str
    color: Color | None
    version: str
    release: str
    by: str
    image: str  # the image's id, a digest of its configuration
    state: str  # created, running, paused, restarting, exited, dead
    health: str  # healthy, unhealthy, starting, or "" where it has no health check
    started_at: str
    exit_code: int
    oom_killed: bool
    restarts: int
    awaits: frozenset[str] = frozenset()  # the services that it wants to have run to their end
    once: bool = False  # whether it is to run to its end
    grace: int = DEFAULT_GRACE  # seconds that it may take to end, before it is killed
    why: str = ""  # what Swarm says of why it is not up
    task: str = ""  # what Swarm calls it
    node: str = ""  # the node of a swarm that it is on, where that is another than its host

    @property
    def up(self) -> bool:
        """Whether it runs and, where it has a health check, passes it."""
        return self.state == "running" and self.health in ("", "healthy")


def completed(containers: Sequence[Container]) -> frozenset[str]:
    """The ids of containers that ran to their end, as another's service waits for."""
    once = {name for item in containers for name in item.awaits}
    ended = (item for item in containers if item.state == "exited" and item.exit_code == 0)
    return frozenset(item.id for item in ended if item.once or item.service in once)


def lacking(containers: Sequence[Container], services: Sequence[str]) -> tuple[str, ...]:
    """The services of which there is no container, or one that is not up: each replica counts.

    One that was to run once, and did so well, is not lacking.
    """
    well = completed(containers)
    there = {item.service for item in containers}
    down = {item.service for item in containers if not item.up and item.id not in well}
    return tuple(name for name in services if name in down or name not in there)


def container_of(raw: Mapping[str, Any]) -> Container:
    """A container as the API of Docker Engine inspects it."""
    state = raw["State"]
    labels = raw["Config"]["Labels"] or {}
    color = labels.get("cyan.color", "")
    return Container(
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        project=labels.get("com.docker.compose.project", ""),
        service=labels.get("cyan.service") or labels.get("com.docker.compose.service", ""),
        color=Color(color) if color in tuple(Color) else None,
        version=labels.get("cyan.version", ""),
        release=labels.get("cyan.release", ""),
        by=labels.get("cyan.by", ""),
        image=raw["Image"],
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        started_at=state["StartedAt"],
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        restarts=raw["RestartCount"],
        awaits=_awaits(labels.get("com.docker.compose.depends_on", "")),
        once=labels.get("cyan.role") == Role.ONCE,
        grace=raw["Config"].get("StopTimeout") or DEFAULT_GRACE,
    )


def _awaits(depends_on: str) -> frozenset[str]:
    """The services that must have run to their end: Compose's label is NAME:CONDITION:RESTART,…."""
    each = (part.split(":") for part in depends_on.split(","))
    return frozenset(name for name, *rest in each if "service_completed_successfully" in rest)
