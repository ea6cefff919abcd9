"""Faults of containers: killed and frozen."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from cyan.chaos.fault import Expectation, Fault, fails, switches
from cyan.chaos.moment import Moment, NotInjectedError
from cyan.engines.compose import Project
from cyan.journal.entries import Event
from cyan.names import Color, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cyan.chaos.deploying import Deployer
    from cyan.chaos.hands import Site
    from cyan.chaos.scene import Scene
    from cyan.engines.containers import Container
    from cyan.journal.entries import Entry

WAITING: Moment = ("healthy", "step")
SLOWLY = ("--env", "FAULT=healthy-after=6")
WORKER = "crawler"  # the demo's queue worker


class Kills(Fault):
    """Kills one container while a deploy is under way; it is started again where it is still."""

    group = "engine"
    at: ClassVar[Moment] = WAITING

    @property
    def moment(self) -> Moment:
        """As the class says."""
        return self.at

    def victim(self, site: Site) -> Container:
        """Whom to kill."""
        raise NotImplementedError

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Kill it, and see it dead."""
        victim = self.victim(site)
        site.docker("kill", victim.id)
        site.until(lambda: site.state(victim) in ("exited", ""), f"{victim.name} is dead")

    def heal(self, site: Site) -> None:
        """Start what is dead."""
        revive(site)

    def healed(self, site: Site) -> str:
        """Whether everything that is there is up."""
        return lifeless(site)


class StandbyKilled(Kills):
    """The standby is killed while it becomes healthy."""

    name = "standby-killed"

    @property
    def expects(self) -> Expectation:
        """It fails at once."""
        return fails("failed after")

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def victim(self, site: Site) -> Container:
        """The public service of the color that is not live."""
        return site.container(site.settings.public.service, site.live().other)


class OldKilledWhileItDrains(Kills):
    """The old color is killed while it drains: only what was in flight to it is lost."""

    name = "old-killed-while-it-drains"
    at = ("drain", "step")

    @property
    def expects(self) -> Expectation:
        """The deploy goes on, and nobody loses what the new color does."""
        return replace(switches(outage=1.0), spared=True)

    def play(self, scene: Scene, version: str) -> None:
        """With a request in flight to it: its drain is open until it is killed."""
        with asking(scene.site):
            super().play(scene, version)

    def inject(self, site: Site, deployer: Deployer | None) -> None:
        """Kill it, and see that the drain had not ended by then."""
        super().inject(site, deployer)
        victim = self.victim(site)
        died = site.docker("inspect", "-f", "{{.State.FinishedAt}}", victim.id)
        if drained(site.look().journal, datetime.fromisoformat(died).timestamp()):
            raise NotInjectedError(f"the drain had ended before {victim.name} was killed")

    def victim(self, site: Site) -> Container:
        """The public service of the color that was live."""
        return site.container(site.settings.public.service, site.live().other)


@contextmanager
def asking(site: Site) -> Iterator[None]:
    """A request is in flight to the live color for as long as the block runs, or a minute."""
    with socket.create_connection(("127.0.0.1", site.settings.site.port), 10) as connection:
        host = site.settings.site.host
        connection.sendall(f"GET /slow?s=60 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        yield


def drained(journal: Sequence[Entry], at: float) -> bool:
    """Whether the newest drain in a journal had ended at a moment, by the host's clock."""
    of_drain = [entry for entry in journal if entry.step == Kind.DRAIN]
    return bool(of_drain) and of_drain[-1].event is Event.DONE and of_drain[-1].at <= at


class LiveReplicaKilled(Kills):
    """One of two replicas of a live service is killed during a deploy: its jobs are done anyway."""

    name = "live-replica-killed"
    seconds = 25

    @property
    def expects(self) -> Expectation:
        """No user notices."""
        return switches()

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def play(self, scene: Scene, version: str) -> None:
        """With a second replica of it first."""
        scale(scene.site, WORKER, 2)
        super().play(scene, version)

    def inject(self, site: Site, deployer: Deployer | None) -> None:
        """Kill one, and see that the other one still works."""
        super().inject(site, deployer)
        left = [item for item in site.containers(site.live()) if item.service == WORKER and item.up]
        if len(left) != 1:
            raise NotInjectedError(f"{len(left)} replicas of {WORKER} are left, not one of two")

    def victim(self, site: Site) -> Container:
        """The first of them."""
        return site.container(WORKER, site.live())


def scale(site: Site, service: str, count: int) -> None:
    """Give a service of the live color so many replicas; those that run stay as they are."""
    color = site.live()
    release = site.container(service, color).release
    folder = PurePosixPath(str(site.settings.directory), "releases", release)
    project = Project(site.settings.project(color), folder)
    words = ("--no-recreate", "--no-deps", "--wait", "--scale", f"{service}={count}", service)
    site.host.run(project.command("up", "-d", *words))
    there = [item for item in site.containers(color) if item.service == service]
    if len(there) != count or not all(item.up for item in there):
        raise NotInjectedError(f"{len(there)} replicas of {service} are there, wanted {count}")


class StandbyPaused(Fault):
    """The standby is frozen while it becomes healthy."""

    name = "standby-paused"
    group = "engine"
    seconds = 25
    moment: ClassVar[Moment] = WAITING

    @property
    def expects(self) -> Expectation:
        """It is waited for and given up."""
        return fails("did not become healthy|failed after")

    @property
    def environment(self) -> dict[str, str]:
        """No longer than needed."""
        return {"HEALTH_CHECK_TIMEOUT": "8"}

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Freeze its public service."""
        victim = site.container(site.settings.public.service, site.live().other)
        site.docker("pause", victim.id)
        if site.state(victim) != "paused":
            raise NotInjectedError(f"{victim.name} is not paused")

    def heal(self, site: Site) -> None:
        """Thaw what is frozen."""
        for item in _paused(site):
            site.docker("unpause", item.id)

    def healed(self, site: Site) -> str:
        """Whether nothing is frozen."""
        return ", ".join(f"{item.name} is paused" for item in _paused(site))


def containers(site: Site) -> tuple[Container, ...]:
    """Every container of the application, whatever is live."""
    colors: tuple[Color | None, ...] = (None, *Color)
    return tuple(item for color in colors for item in site.containers(color))


def revive(site: Site) -> None:
    """Start what is dead."""
    for item in containers(site):
        if item.state == "exited":
            site.docker("start", item.id)


def lifeless(site: Site) -> str:
    """What is there and not up; "" where everything is."""
    down = [item.name for item in containers(site) if not item.up]
    return f"{', '.join(down)} is not up" if down else ""


def _paused(site: Site) -> tuple[Container, ...]:
    return tuple(item for item in containers(site) if item.state == "paused")
