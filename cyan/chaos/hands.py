"""The host as chaos works on it: looks, and what it does to containers."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import httpx

from cyan.chaos.moment import NotInjectedError
from cyan.chaos.world import Piece, World
from cyan.engines.docker import Engine
from cyan.hosts import site
from cyan.hosts.look import look
from cyan.rollout.drift import drift
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from cyan.engines.containers import Container
    from cyan.hosts.look import Observation
    from cyan.names import Color
    from cyan.sections import HostSettings
    from cyan.settings import Settings

POLL = 0.1
WITHIN = 20.0


def as_root(command: str) -> str:
    """A shell command as root runs it: by sudo, which may ask for nothing, where the user is none.

    In the lab that is who ran `inv lab.up`, and not root on a CI's machine.
    """
    return f'$([ "$(id -u)" = 0 ] || echo sudo -n) sh -c {shlex.quote(command)}'


class Site:
    """One host, over SSH of our own: the deployer's connection may be cut. A context manager."""

    def __init__(self, settings: Settings, machine: HostSettings, project: Path) -> None:
        self.settings = settings
        self.machine = machine
        self.project = project
        self.host = Host(machine)
        self._engine = Engine(self.host)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.host.close()

    def look(self) -> Observation:
        """The world, as a deploy sees it. Raises HostError."""
        return look(self.host, self._engine, self.settings)

    def world(self) -> World:
        """The world as a record keeps it, with who answers on the site."""
        seen = self.look()
        return World(
            markers=tuple(sorted(seen.markers)),
            answering=self.answering(),
            pieces=tuple(
                Piece(
                    str(item.color or ""), item.service, item.version, item.release, item.id,
                    item.started_at, item.state, item.health,
                )
                for item in seen.containers
            ),
            owner=seen.owner.described if seen.owner else "",
            drift=drift(seen, self.settings),
        )  # fmt: skip

    def answering(self) -> tuple[str, str]:
        """Color and version that the site answers with; empty where it does not."""
        tls = site.trusted(self.host, self.settings, self.look())
        with suppress(httpx.HTTPError), site.site(self.host, self.settings, tls) as client:
            headers = site.headers(self.settings, self.settings.public.send)
            answer = client.get(self.settings.public.ready, headers=headers)
            return answer.headers.get("X-Color", ""), answer.headers.get("X-Version", "")
        return "", ""

    def containers(self, color: Color | None) -> tuple[Container, ...]:
        """The containers of one color, or (None) those that both share."""
        found = self._engine.containers(self.settings.app)
        return tuple(item for item in found if item.color is color)

    def container(self, service: str, color: Color | None = None) -> Container:
        """A service's container. Raises NotInjectedError where there is none."""
        for item in self.containers(color):
            if item.service == service:
                return item
        raise NotInjectedError(f"there is no container of {service} in {color or 'what is shared'}")

    def live(self) -> Color:
        """The live color. Raises NotInjectedError where nothing is live."""
        color = self.look().live
        if color is None:
            raise NotInjectedError("nothing is live")
        return color

    def docker(self, *words: str, check: bool = True) -> str:
        """What a docker command prints. Raises HostError where it fails, with `check`."""
        return self.host.run(shlex.join(("docker", *words)), check=check).stdout.strip()

    def inside(self, container: Container, *words: str, check: bool = True) -> str:
        """What a command in a container's network prints: the host's own program, run as root."""
        pid = self.docker("inspect", "-f", "{{.State.Pid}}", container.id)
        command = shlex.join(("nsenter", "-t", pid, "-n", *words))
        return self.host.run(as_root(command), check=check).stdout

    def state(self, container: Container) -> str:
        """The engine's word on a container, "" where it is gone."""
        return self.docker("inspect", "-f", "{{.State.Status}}", container.id, check=False)

    def until(self, true: Callable[[], bool], what: str, within: float = WITHIN) -> None:
        """Wait for a condition. Raises NotInjectedError where it does not come."""
        deadline = time.monotonic() + within
        while not true():
            if time.monotonic() > deadline:
                raise NotInjectedError(f"waited {within:g} s for: {what}")
            time.sleep(POLL)
