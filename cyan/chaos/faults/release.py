"""Faults of the release that is deployed: the demo is told to misbehave (FAULT)."""

from __future__ import annotations

import shlex
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from cyan.chaos.fault import Expectation, Fault, fails, switches
from cyan.chaos.moment import Moment, NotInjectedError
from cyan.names import Color
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.chaos.deploying import Deployer
    from cyan.chaos.hands import Site
    from cyan.chaos.scene import Scene

LISTENING = 10.0  # seconds that the host may take to begin to listen to its engine
OUTAGE = 8.0  # seconds in which users may meet a release that died; then it is switched away from


class Release(Fault):
    """A release that misbehaves. `fault` is what it is told; the rest is what must be seen."""

    group = "release"
    fault: ClassVar[str]
    also: ClassVar[tuple[str, ...]] = ()
    wanted: ClassVar[Expectation]

    @property
    def expects(self) -> Expectation:
        """As the class says."""
        return self.wanted

    @property
    def environment(self) -> dict[str, str]:
        """No longer than needed to be sure that it will not be healthy."""
        return {"HEALTH_CHECK_TIMEOUT": "8" if self.wanted.standby else "60"}

    def words(self, version: str) -> tuple[str, ...]:
        """Deploy it."""
        pairs = (f"FAULT={self.fault}", *self.also)
        return (*super().words(version), *(word for pair in pairs for word in ("--env", pair)))

    def healed(self, site: Site) -> str:
        """Nothing of a release that failed may be there; one that became live is replaced next."""
        if self.wanted.traffic is not Traffic.UNTOUCHED:
            return ""
        world = site.look()
        left = [item.name for color in Color if color is not world.live for item in world.of(color)]
        return f"{', '.join(left)} of the bad release is still there" if left else ""


class NeverHealthy(Release):
    """A release that never becomes healthy."""

    name = "never-healthy"
    fault = "never-healthy"
    wanted = fails("did not become healthy")


class SlowToBeHealthy(Release):
    """A release that takes its time to become healthy."""

    name = "slow-to-be-healthy"
    fault = "healthy-after=7"
    wanted = switches(r"✓ healthy (?:[6-9]|\d{2,})\.\d\d s")  # it was waited for


class Flapping(Release):
    """A release that is healthy for a moment, again and again."""

    name = "flapping"
    fault = "flapping"
    wanted = fails("did not become healthy.*passed and failed again")


class FailsSmoke(Release):
    """A release that is healthy and fails its smoke checks."""

    name = "fails-smoke"
    fault = "bad-smoke"
    wanted = fails("fails smoke: GET /items: answered 500")


class ExitsAtOnce(Release):
    """A release whose containers exit as soon as they start."""

    name = "exits-at-once"
    fault = "exits"
    wanted = fails("failed after")


class OutOfMemory(Release):
    """A release that is killed for memory as it starts."""

    name = "out-of-memory"
    fault = "out-of-memory"
    also = ("MEMORY_LIMIT=96m",)
    # the engine forgets why it ended as soon as it starts it again
    wanted = fails("failed after .*(killed for memory|restarted by the engine)")

    def play(self, scene: Scene, version: str) -> None:
        """Hear of it from the engine."""
        with heard(scene.site, "oom", "killed for memory") as said:
            super().play(scene, version)
        if not said:
            raise NotInjectedError("nothing was killed for memory")


class WrongVersion(Release):
    """An image that holds another version than its tag says."""

    name = "wrong-version"
    fault = "wrong-version"
    wanted = fails("the door answers as v0, wanted")


class IgnoresSigterm(Release):
    """A release that ignores SIGTERM: it is rolled back from and removed all the same."""

    name = "ignores-sigterm"
    fault = "ignores-sigterm"
    seconds = 25
    wanted = Expectation(Traffic.BACK, ((0,), (0,), (0,)), ("", "", "removed"))

    def play(self, scene: Scene, version: str) -> None:
        """Deploy it, roll back while it is warm, and remove it: only SIGKILL ends it."""
        scene.inject(self)
        public = scene.site.settings.public.service
        with heard(scene.site, "die", ENDED) as said:
            for words in (self.words(version), ("rollback",), ("cleanup",)):
                with scene.deployer(words, {"DRAIN_TIMEOUT": "5"}) as deployer:
                    deployer.ends()
        if f"{public} {128 + signal.SIGKILL}" not in said:
            raise NotInjectedError(f"{public} ended without SIGKILL: {', '.join(said)}")


ENDED = '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Actor.Attributes.exitCode}}'
"""The service and exit code of a container that died, in Go's template language."""


@contextmanager
def heard(site: Site, event: str, form: str) -> Iterator[list[str]]:
    """What the engine says of an event of the application's containers during the block.

    The list has a line for each once the block was left.
    """
    label = f"label=cyan.app={site.settings.app}"
    words = ("docker", "events", "--filter", label, "--filter", f"event={event}", "--format", form)
    lines: list[str] = []
    # the first line says that it listens: --since lets nothing slip in between
    listen = f"since=$(date +%s.%N); echo listening; exec timeout 300 {shlex.join(words)}"
    with site.host.channel(f'{listen} --since "$since"') as channel:
        channel.settimeout(LISTENING)
        channel.recv(len("listening\n"))
        yield lines
        while channel.recv_ready():
            lines += channel.recv(1 << 16).decode().split("\n")[:-1]


class ErrsAfterTheSwitch(Release):
    """A release that is healthy and then answers one request in twenty with 500.

    It was told at its start and begins by itself, so there is nothing to inject; that it happened
    is what the deployer says.
    """

    name = "errs-after-the-switch"
    fault = "errors-after=15"
    seconds = 35
    moment: ClassVar[Moment] = ("bake", "step")
    wanted = Expectation(Traffic.BACK, ((1,),), ("went bad after the switch: it errs",), OUTAGE)

    @property
    def environment(self) -> dict[str, str]:
        """Baking for long enough."""
        return {"INVOKE_CYAN_BAKE_SECONDS": "40"}


class DiesAfterTheSwitch(Fault):
    """The new release dies while it bakes: it is switched away from while the old one is warm."""

    name = "dies-after-the-switch"
    group = "release"
    moment: ClassVar[Moment] = ("bake", "step")

    @property
    def expects(self) -> Expectation:
        """The users of the dead release are dropped until the traffic is back."""
        return Expectation(Traffic.BACK, ((1,),), ("went bad after the switch",), OUTAGE)

    @property
    def environment(self) -> dict[str, str]:
        """Baking for long enough."""
        return {"INVOKE_CYAN_BAKE_SECONDS": "30"}

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Kill what is live now."""
        victim = site.container(site.settings.public.service, site.live())
        site.docker("kill", victim.id)
        site.until(lambda: site.state(victim) in ("exited", ""), f"{victim.name} is dead")

    def healed(self, site: Site) -> str:
        """Nothing of it may be there."""
        bad = [
            item.name
            for color in Color
            for item in site.containers(color)
            if item.service == site.settings.public.service and item.state == "exited"
        ]
        return f"{', '.join(bad)} is still there, dead" if bad else ""
