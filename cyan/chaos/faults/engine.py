"""Faults of the host and its containers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

from cyan.chaos.fault import Expectation, Fault, Moment, NotInjectedError, fails, switches

if TYPE_CHECKING:
    from cyan.chaos.deployer import Deployer
    from cyan.chaos.scene import Scene
    from cyan.chaos.site import Site
    from cyan.names import Color
    from cyan.world.engine import Container

WAITING: Moment = ("healthy", "step")
SLOWLY = ("--env", "FAULT=healthy-after=6")


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
        for item in _containers(site):
            if item.state == "exited":
                site.docker("start", item.id)

    def healed(self, site: Site) -> str:
        """Whether everything that is there is up."""
        down = [item.name for item in _containers(site) if not item.up]
        return f"{', '.join(down)} is not up" if down else ""


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
        """The deploy goes on."""
        return switches(outage=1.0)

    def victim(self, site: Site) -> Container:
        """The public service of the color that was live."""
        return site.container(site.settings.public.service, site.live().other)


class LiveCrawlerKilled(Kills):
    """The live color's crawler is killed during a deploy: its jobs are done all the same."""

    name = "live-crawler-killed"

    @property
    def expects(self) -> Expectation:
        """No user notices."""
        return switches()

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def victim(self, site: Site) -> Container:
        """The crawler is the demo's queue worker."""
        return site.container("crawler", site.live())


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


class CpuStarved(Fault):
    """A neighbour on the host takes every core while a deploy is under way."""

    name = "cpu-starved"
    group = "engine"
    seconds = 30

    @property
    def expects(self) -> Expectation:
        """It takes longer, and that is all."""
        return switches()

    def play(self, scene: Scene, version: str) -> None:
        """Let them spin for as long as the deploy takes."""
        count = os.cpu_count() or 1
        scene.inject(self)
        spinning = [_spin() for _ in range(count)]
        try:
            with scene.deployer(self.words(version)) as deployer:
                deployer.ends()
        finally:
            for process in spinning:
                process.kill()
                process.wait()


SPIN = (
    "import os, sys, time\n"
    "os.nice(5)\n"
    "parent, until = os.getppid(), time.monotonic() + 60\n"
    "while os.getppid() == parent and time.monotonic() < until:\n"
    "    sum(range(100_000))\n"
)
"""Ends by itself, after a minute or with whoever started it."""


def _spin() -> subprocess.Popen[bytes]:
    return subprocess.Popen((sys.executable, "-c", SPIN))  # noqa: S603 - our own command line


class EngineRestarted(Fault):
    """The Docker Engine is restarted, with live-restore, while a deploy waits for its release."""

    name = "engine-restarted"
    group = "engine"
    seconds = 40
    alone = "it restarts the engine of the whole machine, also under what is not cyan's"
    moment: ClassVar[Moment] = WAITING

    @property
    def expects(self) -> Expectation:
        """The deploy may fail before its switch; no user notices."""
        return fails("Docker Engine|docker", standby="")

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Restart it where it keeps containers running meanwhile."""
        if site.docker("info", "-f", "{{.LiveRestoreEnabled}}") != "true":
            raise NotInjectedError("the engine has no live-restore: it would end the containers")
        site.host.run("systemctl restart docker")

    def heal(self, site: Site) -> None:
        """Start it where it is not."""
        site.host.run("docker version >/dev/null 2>&1 || systemctl start docker", check=False)

    def healed(self, site: Site) -> str:
        """Whether it answers."""
        return "" if site.docker("version", check=False) else "the engine does not answer"


def _containers(site: Site) -> tuple[Container, ...]:
    """Every container of the application."""
    colors: tuple[Color | None, ...] = (None, *type(site.live()))
    return tuple(item for color in colors for item in site.containers(color))


def _paused(site: Site) -> tuple[Container, ...]:
    return tuple(item for item in _containers(site) if item.state == "paused")
