"""The commands of Docker Compose, built here as data and run by the host."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePosixPath

    from cyan.application.color import External
    from cyan.engines.containers import Container


TIMED_OUT = 124  # as timeout(1) says it
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Once:
    """The shell commands that run something once in a container, and that end it."""

    command: str
    remove: str


@dataclass(frozen=True)
class Project:
    """One Compose project on the host: its name and the folder of its `compose.yml` and `.env`."""

    name: str
    folder: PurePosixPath

    @property
    def file(self) -> PurePosixPath:
        """The Compose file, on the host."""
        return self.folder / "compose.yml"

    @property
    def env(self) -> PurePosixPath:
        """The env file that its variables come from, on the host."""
        return self.folder / ".env"

    @property
    def source(self) -> PurePosixPath:
        """What the file of an adopted application's color was made from, on the host."""
        return self.folder / "resolved.json"

    @property
    def images(self) -> PurePosixPath:
        """The file that holds each service of a color to the image that it runs, on the host."""
        return self.folder / "images.json"

    @property
    def secrets(self) -> PurePosixPath:
        """The env file of a release's secrets, on the host."""
        return self.folder / "secrets.env"

    def command(self, *words: str) -> str:
        """The shell command for `docker compose WORDS` on this project."""
        return self._compose(self._base, words)

    def config(self, variables: Mapping[str, str] = NONE) -> str:
        """Print what Compose makes of the project's file: JSON. `variables` win over its own."""
        return self._compose(self._base, ("config", "--format", "json"), variables)

    def up(self, services: tuple[str, ...] = (), *, within: float = 0) -> str:
        """Start what is not running and replace what differs; does not wait for health.

        It may wait for what a service depends on: at most `within` seconds, where given, and then
        exits with TIMED_OUT.

        The containers run exactly the images that the project is pinned to.
        """
        words = ("up", "-d", "--no-build", "--pull", "never", "--remove-orphans", *services)
        # in the foreground: in a group of its own it would outlive what ends ours
        bound = f"timeout --foreground -k 10 {math.ceil(within)} " if within else ""
        return bound + self._compose(self._pinned, words)

    def create(self, services: tuple[str, ...]) -> str:
        """Make containers of `services` without starting them, in the place of what differs."""
        words = ("create", "--no-build", "--pull", "never", *services)
        return self._compose(self._pinned, words)

    def start(self, services: tuple[str, ...]) -> str:
        """Start `services` as they are defined, whatever they depend on."""
        words = ("up", "-d", "--no-build", "--pull", "never", "--no-deps", *services)
        return self._compose(self._pinned, words)

    def build(self, context: PurePosixPath, services: tuple[str, ...]) -> str:
        """Build the images of `services`; `context` is the folder their build sections start at."""
        words = ("--project-directory", str(context), "build", "--quiet", *services)
        return self._compose(self._base, words)

    def _compose(
        self, base: Iterable[str], words: Iterable[str], variables: Mapping[str, str] = NONE
    ) -> str:
        """The shell command, without the host's own variables of the names that its file sets.

        Compose would take those for the file's: a COLOR of /etc/environment would win.
        """
        host = f"$(sed 's/=.*//; s/^/-u /' {quoted_path(self.env)} 2>/dev/null)"
        ours = (f"{name}={value}" for name, value in variables.items())
        return f"env {host} {shlex.join([*ours, *base, *words])}"

    @property
    def _base(self) -> list[str]:
        words = ["docker", "compose", "--progress", "quiet", "-p", self.name]
        return [*words, "-f", str(self.file), "--env-file", str(self.env)]

    @property
    def _pinned(self) -> list[str]:
        return [*self._base, "-f", str(self.images)]

    def once(self, what: str, service: str, command: str) -> Once:
        """Run `command` in a container of its own, with a service's image and environment.

        The image is the one that the project is pinned to. The container has no name on the network
        that the proxy could know, and replaces one that a killed deployer left.
        """
        name = f"{self.name}-{what}"
        words = ("run", "--rm", "-T", "--no-deps", "--name", name, service, *shlex.split(command))
        remove = f"{shlex.join(('docker', 'rm', '-f', name))} >/dev/null 2>&1"
        return Once(f"{remove}; {self._compose(self._pinned, words)} </dev/null", remove)


WAIT = ("--wait", "--wait-timeout", "300")
"""In seconds: without it Compose waits for ever for what never gets healthy."""


def grace(containers: Iterable[Container], least: float = 0) -> int:
    """How many seconds containers may take to end: the longest that one asks for, or `least`."""
    return math.ceil(max([least, *(item.grace for item in containers)]))


SPREAD = ("--driver", "overlay", "--attachable")
"""How a network is made that all nodes of a swarm, and plain containers, may join."""


def made(external: External, project: str, *, spread: bool = False) -> str:
    """The shell command that makes a network or volume of a project's, where it is not there.

    As Compose itself would, so that the project takes it for its own later; a network over all
    nodes where it is to be `spread`.
    """
    label, name = f"com.docker.compose.{external.kind}", shlex.quote(external.name)
    labels = (f"com.docker.compose.project={project}", f"{label}={external.key}")
    words = [word for each in labels for word in ("--label", each)]
    words += SPREAD if spread and external.kind == "network" else ()
    make = shlex.join(("docker", external.kind, "create", *words, external.name))
    return f"{{ docker {external.kind} inspect {name} >/dev/null 2>&1 || {make} >/dev/null; }}"


def down(name: str, grace: int, *, volumes: bool = False) -> str:
    """Remove a project by its name alone: its file may be gone. `grace` in seconds."""
    words = ["docker", "compose", "--progress", "quiet", "-p", name]
    words += ["down", "--remove-orphans", "--timeout", str(grace)]
    return shlex.join([*words, *(["--volumes"] if volumes else [])])


def again(name: str, services: tuple[str, ...]) -> str:
    """Start services of a project that were stopped, by its name alone: as they were."""
    words = ("docker", "compose", "--progress", "quiet", "-p", name, "start", *services)
    return shlex.join(words)


def stop(name: str, grace: int | None, services: tuple[str, ...] = ()) -> str:
    """Stop services of a project by its name alone; without a `grace` each has its own."""
    words = ["docker", "compose", "--progress", "quiet", "-p", name, "stop"]
    timeout = [] if grace is None else ["--timeout", str(grace)]
    return shlex.join([*words, *timeout, *services])
