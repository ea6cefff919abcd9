"""Whether an application can be spread over the nodes of a swarm, before anything is touched."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from cyan.application.color import external_names
from cyan.errors import UsageError
from cyan.names import Color

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.settings import Settings
    from cyan.world.host import Host

OVERLAY = "overlay"


def allowed(host: Host, settings: Settings, source: str) -> None:
    """Raise UsageError where this host is no manager, or a network of theirs is this host's only.

    `source` is what Compose resolved. Raises HostError.
    """
    adopted = settings.adopted
    assert adopted is not None  # noqa: S101 - for the type checker: see Settings
    info = json.loads(host.run("docker info --format '{{json .Swarm}}'").stdout)
    if not info.get("ControlAvailable"):
        state = info.get("LocalNodeState") or "inactive"
        raise UsageError(
            f"{host.name} is no manager of a swarm (its engine says: {state})",
            todo="docker swarm init there, docker swarm join on the others; "
            "or cyan.engine: docker for one machine",
        )
    names = external_names(source, adopted)
    _no_network_of_its_own(host, [each.name for each in names if each.kind == "network"])


def joined(host: Host, settings: Settings) -> None:
    """Raise UsageError where a host does not know the networks that the first one made."""
    names = shlex.join(map(settings.project, Color))
    if host.run(f"docker network inspect {names} >/dev/null 2>&1", check=False).code != 0:
        first = settings.hosts[0].name
        raise UsageError(
            f"{host.name} does not know the networks of {settings.app}",
            todo=f"are {host.name} and {first} managers of one swarm? {first} is prepared first: "
            "inv provision",
        )


def _no_network_of_its_own(host: Host, names: Iterable[str]) -> None:
    for name in names:
        asked = f"docker network inspect --format '{{{{.Driver}}}}' {shlex.quote(name)}"
        driver = host.run(f"{asked} 2>/dev/null", check=False).stdout.strip()
        if driver not in ("", OVERLAY):
            raise UsageError(
                f"{name} is a network of {host.name} alone ({driver}): replicas on other nodes "
                "would not reach the shared services",
                todo="docker compose down there, once; cyan provision then makes it anew over all "
                "nodes, and starts the shared services with their volumes",
            )
