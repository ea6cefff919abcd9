"""Faults of the machine that the containers run on: its processors, its engine, its clock."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import httpx

from cyan.chaos.fault import Expectation, Fault, switches
from cyan.chaos.faults.engine import SLOWLY, WAITING
from cyan.chaos.hands import as_root
from cyan.chaos.moment import Moment, NotInjectedError
from cyan.errors import HostError
from cyan.hosts.site import door as door_of
from cyan.names import Color
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.chaos.deploying import Deployer
    from cyan.chaos.hands import Site
    from cyan.chaos.scene import Scene

IDLE = 0.05  # of the processors' time may be left over while they are starved


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
        """Let it spin for as long as the deploy takes, and see that nothing was left over."""
        scene.inject(self)
        with spinning():
            before = _spent()
            with scene.deployer(self.words(version)) as deployer:
                deployer.ends()
            idle = idle_share(before, _spent())
        if idle > IDLE:
            raise NotInjectedError(f"{idle:.0%} of the processors' time was left over")


SPIN = (
    "import os, time\n"
    "parent, until = os.getppid(), time.monotonic() + 60\n"
    "while os.getppid() == parent and time.monotonic() < until:\n"
    "    sum(range(100_000))\n"
)
"""Ends by itself, after a minute or with whoever started it."""


@contextmanager
def spinning() -> Iterator[None]:
    """Every core has a process that wants all of it, at the priority of the site's own."""
    words = (sys.executable, "-c", SPIN)
    processes = [subprocess.Popen(words) for _ in range(os.cpu_count() or 1)]  # noqa: S603 - ours
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _spent() -> str:
    return Path("/proc/stat").read_text(encoding="ascii").split("\n", maxsplit=1)[0]


def idle_share(before: str, after: str) -> float:
    """What share of all processors' time was idle between two first lines of /proc/stat.

    https://docs.kernel.org/filesystems/proc.html: user, nice, system, idle, iowait, irq, softirq,
    steal; the guests' times after those are in the first two already.
    """
    pairs = zip(before.split()[1:9], after.split()[1:9], strict=True)
    spent = [int(late) - int(early) for early, late in pairs]
    return (spent[3] + spent[4]) / max(1, sum(spent))


class EngineRestarted(Fault):
    """The Docker Engine is restarted, with live-restore, while a deploy waits for its release."""

    name = "engine-restarted"
    group = "engine"
    seconds = 60
    alone = "it restarts the engine of the whole machine, also under what is not cyan's"
    passes = True
    moment: ClassVar[Moment] = WAITING

    @property
    def expects(self) -> Expectation:
        """The deploy fails before its switch, or survives it; the live color runs on.

        Without its engine a container is found by no name, and a port that is published on the
        loopback only leads nowhere: live-restore saves containers, not requests.
        """
        says = "Docker Engine|docker|✓ switch"
        return Expectation(Traffic.EITHER, ((0, 1),), (says,), outage=15.0)

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Restart it as it was started, and see that it kept the live color running meanwhile."""
        if site.docker("info", "-f", "{{.LiveRestoreEnabled}}") != "true":
            raise NotInjectedError("the engine has no live-restore: it would end the containers")
        before = site.world()
        site.host.run(as_root(f"words={_words(site)}\n{RESTART}"))
        site.until(lambda: _seen(site), "the engine answers again", 60)
        if not before.live_identity <= site.world().live_identity:
            raise NotInjectedError("the engine ended the live color's containers")

    def heal(self, site: Site) -> None:
        """Start it where it is not."""
        site.host.run(as_root(f"words={_words(site)}\n{START}"))

    def healed(self, site: Site) -> str:
        """Whether it answers."""
        answers = site.host.run("docker version", check=False).code == 0
        return "" if answers else "the engine does not answer"


START = """
started() { docker version >/dev/null 2>&1; }
start() {
  if [ -d /run/systemd/system ]; then systemctl start docker
  elif [ -s "$words" ]; then
    PATH=$PATH:/usr/sbin:/sbin xargs -0 -a "$words" setsid -f \
      </dev/null >>/var/log/cyan-dockerd.log 2>&1
  fi
}
started || start
"""
"""Where systemd did not start the engine it is started with the words that it was started with."""

RESTART = (
    """
set -e
pid=$(cat /var/run/docker.pid)
cp "/proc/$pid/cmdline" "$words"
if [ -d /run/systemd/system ]; then systemctl stop docker.socket docker
else kill "$pid"; fi
while [ -d "/proc/$pid" ]; do sleep 0.1; done
"""
    + START
)


def _words(site: Site) -> str:
    return shlex.quote(f"{site.settings.directory}/engine")


def _seen(site: Site) -> bool:
    """Whether the engine lets itself be looked at; our connection to the old one fails once."""
    try:
        site.look()
    except HostError:
        return False
    return True


class ClockStepped(Fault):
    """The clock of a release steps an hour ahead before it is live, and back while it is."""

    name = "clock-stepped"
    group = "engine"
    moment: ClassVar[Moment] = WAITING

    @property
    def expects(self) -> Expectation:
        """Nobody notices."""
        return switches()

    def words(self, version: str) -> tuple[str, ...]:
        """With libfaketime, which finds the clock in a file; slowly enough to be hit."""
        return (*super().words(version), *SLOWLY, "--env", f"PRELOAD={PRELOAD}")

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Step it, and see the application tell the wrong time."""
        color = site.live().other
        victim = site.container(site.settings.public.service, color)
        site.docker("exec", victim.id, "sh", "-c", f"echo +1h > {CLOCK}")
        site.until(lambda: ahead(site, color) > HOUR / 2, f"{victim.name} is an hour ahead")

    def heal(self, site: Site) -> None:
        """Step it back."""
        for color in Color:
            for item in site.containers(color):
                site.docker("exec", item.id, "rm", "-f", CLOCK, check=False)

    def healed(self, site: Site) -> str:
        """Whether the application tells the right time."""
        wrong = [color for color in Color if abs(ahead(site, color)) > HOUR / 2]
        return ", ".join(f"the clock of {color} is wrong" for color in wrong)


HOUR = 3600.0
PRELOAD = "/usr/$LIB/faketime/libfaketimeMT.so.1"  # the linker knows $LIB
CLOCK = "/tmp/clock"  # noqa: S108 - a tmpfs of the container; see the site's Dockerfile


def ahead(site: Site, color: Color) -> float:
    """By how many seconds the application of a color is ahead of us, by its answers' Date."""
    try:
        with door_of(site.host, site.settings, color) as door:
            answer = door.get(site.settings.public.ready)
    except httpx.HTTPError:
        return 0.0
    return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
