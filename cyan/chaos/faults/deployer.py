"""Faults of the deployer itself: killed, cut off, contended, out of room."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, ClassVar

from cyan.chaos.fault import GONE, KILLED, Expectation, Fault, switches
from cyan.chaos.hands import as_root
from cyan.chaos.moment import Moment, NotInjectedError
from cyan.chaos.wire import Wire, detour
from cyan.journal.entries import Event
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.chaos.deploying import Deployer
    from cyan.chaos.fault import Values
    from cyan.chaos.hands import Site
    from cyan.chaos.scene import Scene

BEFORE = (
    "preflight step", "preflight done", "fetch step", "fetch done", "expand step", "expand done",
    "start step", "start done", "healthy step",
)  # fmt: skip
AT = ("healthy done", "smoke step", "smoke done", "switch step")
AFTER = (
    "switch done", "verify step", "verify done", "drain step", "drain done", "bake step",
    "bake done", "retain step", "retain done", "prune step", "prune done",
)  # fmt: skip
"""Moments of a deploy at which the traffic has not moved, may have, and has."""

ENDING = ("bake done", "retain step", "retain done", "prune step", "prune done")
"""So near the end that the command may be quicker than what is to hit it."""

CUT = "SSH connection broke|lock was lost|connection is gone|no SSH connection|cannot be reached"
"""What a deployer says of a connection that it no longer has."""


def becomes(moment: str) -> Traffic:
    """What becomes of the live color where a rotation stops at this moment."""
    if moment in BEFORE:
        return Traffic.UNTOUCHED
    return Traffic.SWITCH if moment in AFTER else Traffic.EITHER


def parsed(moment: str) -> Moment:
    """`drain step` as a moment."""
    step, event = moment.split()
    return step, event


class Killed(Fault):
    """The deployer is killed (SIGKILL) before or after any step of a deploy."""

    name = "deployer-killed"
    group = "deployer"
    choices: ClassVar = {"moment": (*BEFORE, *AT, *AFTER)}

    @property
    def moment(self) -> Moment:
        """As drawn."""
        return parsed(self.values["moment"])

    @property
    def expects(self) -> Expectation:
        """It says nothing any more; what it had done stands."""
        late = self.values["moment"] in ENDING
        exits = (KILLED, 0) if late else (KILLED,)
        return Expectation(becomes(self.values["moment"]), (exits,))

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Kill it."""
        assert deployer is not None  # noqa: S101 - there is a moment, so there is a deployer
        deployer.kill()


class RollbackKilled(Killed):
    """The deployer is killed (SIGKILL) in any step of a rollback to the warm color."""

    name = "rollback-killed"
    choices: ClassVar = {
        "moment": ("preflight step", "healthy done", "switch step", "switch done", "drain step")
    }

    def words(self, version: str) -> tuple[str, ...]:  # noqa: ARG002 - the previous one
        """A rollback."""
        return ("rollback",)

    def play(self, scene: Scene, version: str) -> None:
        """Have a warm color first."""
        warmed(scene, version)
        super().play(scene, version)

    @property
    def expects(self) -> Expectation:
        """What it had done stands: the deploy before it, or that and the way back."""
        whole = {Traffic.UNTOUCHED: Traffic.SWITCH, Traffic.SWITCH: Traffic.BACK}
        traffic = whole.get(becomes(self.values["moment"]), Traffic.EITHER)
        return Expectation(traffic, ((0,), (KILLED,)), ("", ""))


def apart(events: Sequence[str]) -> bool:
    """Whether one run had ended when the next began, by the journal's words since both run."""
    words = [event for event in events if event in (Event.BEGIN, Event.END)]
    return words[:2] == [Event.END, Event.BEGIN]


def warmed(scene: Scene, version: str) -> None:
    """Deploy `version`, so that the color before it is warm. Raises NotInjectedError."""
    with scene.deployer(("deploy", "--version", version)) as first:
        first.ends()
    if scene.ran[-1].code:
        raise NotInjectedError(f"{version} could not be deployed first: {scene.ran[-1].output}")


class Cut(Fault):
    """The SSH connection is cut before or after any step of a deploy."""

    name = "ssh-cut"
    group = "deployer"
    choices: ClassVar = {"moment": (*BEFORE, *AT, *AFTER)}

    def __init__(self, values: Values | None = None) -> None:
        super().__init__(values)
        self._wire: Wire | None = None

    @property
    def expects(self) -> Expectation:
        """The deployer notices, says so and gives up."""
        exits = (1, 0) if self.values["moment"] in ENDING else (1,)
        says = "" if 0 in exits else CUT
        return Expectation(becomes(self.values["moment"]), (exits,), (says,))

    def play(self, scene: Scene, version: str) -> None:
        """Lead the deployer over a wire of ours."""
        site = scene.site
        with (
            Wire((site.machine.address, site.machine.port)) as wire,
            detour(site.settings, site.machine, wire.port) as project,
            scene.deployer(self.words(version), project=project) as deployer,
        ):
            self._wire = wire
            deployer.comes_to(parsed(self.values["moment"]))
            scene.inject(self, deployer)
            deployer.ends()

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Cut the wire."""
        assert self._wire is not None  # noqa: S101 - play has made it
        self._wire.cut()


class TwoDeploys(Fault):
    """Two deploys at once: the second is told who holds the lock, and touches nothing."""

    name = "two-deploys"
    group = "deployer"
    second: ClassVar[tuple[str, ...]] = ("deploy", "--version", "v1")

    @property
    def expects(self) -> Expectation:
        """The first one wins."""
        return Expectation(Traffic.SWITCH, ((0,), (1,)), ("", "locked by"))

    def words(self, version: str) -> tuple[str, ...]:
        """A deploy that takes some seconds."""
        return (*super().words(version), "--env", "FAULT=healthy-after=5")

    def play(self, scene: Scene, version: str) -> None:
        """Begin the second while the first waits for its release."""
        with scene.deployer(self.words(version)) as first:
            first.comes_to(("healthy", "step"))
            scene.inject(self)
            with scene.deployer(self.second) as second:
                second.ends()
                if apart(second.events()):
                    raise NotInjectedError("the first deploy ended before the second began")
            first.ends()


class RollbackDuringDeploy(TwoDeploys):
    """A rollback is begun during a deploy: it is told who holds the lock, and touches nothing."""

    name = "rollback-during-deploy"
    second: ClassVar[tuple[str, ...]] = ("rollback",)


class DiskFull(Fault):
    """The host has no room for the release's files (a full tmpfs over its folder of releases)."""

    name = "disk-full"
    group = "deployer"

    @property
    def expects(self) -> Expectation:
        """Nothing was started, so there is nothing to remove."""
        says = ("", "No space left on device")
        return Expectation(Traffic.UNTOUCHED, ((0,), (1,)), says, standby=GONE)

    def play(self, scene: Scene, version: str) -> None:
        """Without a warm color, so that it is seen that nothing is started."""
        with scene.deployer(("cleanup",)) as first:
            first.ends()
        scene.inject(self)
        with scene.deployer(self.words(version)) as deployer:
            deployer.ends()

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Mount a few pages of memory over the releases, and fill them."""
        folder = _releases(site)
        mounted = f"mount -t tmpfs -o size=16k cyan-chaos {folder}"
        full = f"! head -c 1M /dev/zero > {folder}/full 2>/dev/null"
        command = f"mountpoint -q {folder} || {{ {mounted} && {full}; }}"
        done = site.host.run(as_root(command), check=False)
        if done.code:
            raise NotInjectedError(f"no tmpfs could be mounted: {done.stderr.strip()}")

    def heal(self, site: Site) -> None:
        """Take it away."""
        folder = _releases(site)
        site.host.run(as_root(f"if mountpoint -q {folder}; then umount {folder}; fi"))

    def healed(self, site: Site) -> str:
        """Whether the folder is its own again."""
        mounted = site.host.run(f"mountpoint -q {_releases(site)}", check=False).code == 0
        return "the full file system is still mounted" if mounted else ""


def _releases(site: Site) -> str:
    return shlex.quote(f"{site.settings.directory}/releases")


class Nothing(Fault):
    """No fault: the deploy after one, which must converge unaided."""

    name = "nothing"
    group = "control"
    seconds = 10

    @property
    def expects(self) -> Expectation:
        """A plain deploy."""
        return switches()

    def play(self, scene: Scene, version: str) -> None:
        """Deploy."""
        scene.inject(self)
        super().play(scene, version)
