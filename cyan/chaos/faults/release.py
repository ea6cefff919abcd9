"""Faults of the release that is deployed: the demo is told to misbehave (FAULT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cyan.chaos.fault import Expectation, Fault, Moment, fails, switches
from cyan.names import Color
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from cyan.chaos.deployer import Deployer
    from cyan.chaos.scene import Scene
    from cyan.chaos.site import Site

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
        left = [item.name for item in site.containers(site.live().other)]
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
    wanted = switches()


class Flapping(Release):
    """A release that is healthy for a moment, again and again."""

    name = "flapping"
    fault = "flapping"
    wanted = fails("did not become healthy")


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
    wanted = fails("failed after")


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
        """Deploy it, roll back while it is warm, and remove it."""
        scene.inject(self)
        for words in (self.words(version), ("rollback",), ("cleanup",)):
            with scene.deployer(words, {"DRAIN_TIMEOUT": "5"}) as deployer:
                deployer.ends()


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
