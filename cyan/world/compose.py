"""The commands of Docker Compose, built here as data and run by the host."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

VARIABLE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

PLAIN = re.compile(r"[^'\n]*(?<!\\)(\\\\)*")
"""What single quotes hold: the parser takes a backslash before the closing one for an escape."""

ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n"}
"""What double quotes need of what single ones cannot hold, and how they write it."""

ESCAPED = re.compile(r"\\(.)")


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
    def images(self) -> PurePosixPath:
        """What pins each service of a color to the image that it runs, on the host."""
        return self.folder / "images.json"

    @property
    def secrets(self) -> PurePosixPath:
        """The env file of a release's secrets, on the host."""
        return self.folder / "secrets.env"

    def command(self, *words: str) -> str:
        """The shell command for `docker compose WORDS` on this project."""
        return shlex.join([*self._base, *words])

    def up(self, services: tuple[str, ...] = ()) -> str:
        """Start what is not running and replace what differs; does not wait for health.

        The containers run exactly the images that the project is pinned to.
        """
        words = ("up", "-d", "--no-build", "--pull", "never", "--remove-orphans", *services)
        return shlex.join([*self._pinned, *words])

    def build(self, context: PurePosixPath, services: tuple[str, ...]) -> str:
        """Build the images of `services`; `context` is the folder their build sections start at."""
        words = ("--project-directory", str(context), "build", "--quiet", *services)
        return shlex.join([*self._base, *words])

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
        return Once(f"{remove}; {shlex.join([*self._pinned, *words])} </dev/null", remove)


def down(name: str, grace: int, *, volumes: bool = False) -> str:
    """Remove a project by its name alone: its file may be gone. `grace` in seconds."""
    words = ["docker", "compose", "--progress", "quiet", "-p", name]
    words += ["down", "--remove-orphans", "--timeout", str(grace)]
    return shlex.join([*words, *(["--volumes"] if volumes else [])])


def stop(name: str, grace: int, services: tuple[str, ...] = ()) -> str:
    """Stop services of a project by its name alone."""
    words = [
        "docker",
        "compose",
        "--progress",
        "quiet",
        "-p",
        name,
        "stop",
        "--timeout",
        str(grace),
    ]
    return shlex.join([*words, *services])


def quoted_path(*parts: object) -> str:
    """The parts joined as a POSIX path and quoted for the shell."""
    return shlex.quote(str(PurePosixPath(*(str(part) for part in parts))))


def env_file(values: dict[str, str]) -> str:
    """The text of an env file whose values Compose takes literally.

    Single quotes keep `$`, spaces and backslashes; a value that they cannot hold goes into double
    ones, escaped. Raises UsageError for a key that is no variable's name, and for a value that no
    environment can hold: with a NUL in it, or not of Unicode's characters.
    """
    lines = []
    for key, value in values.items():
        if not VARIABLE_PATTERN.fullmatch(key):
            raise UsageError(f"{key!r} is not the name of an environment variable")
        if "\0" in value or not _encodable(value):
            raise UsageError(
                f"the value of {key} holds a NUL or bytes that are not UTF-8",
                todo="no environment variable can hold that: put it into a file",
            )
        lines.append(f"{key}={_literal(value)}\n")
    return "".join(lines)


def parse_env_file(text: str) -> dict[str, str]:
    """The values of a text that `env_file` made."""
    pairs = (line.partition("=") for line in text.split("\n") if "=" in line)
    return {key: _meant(value) for key, _, value in pairs}


def _literal(value: str) -> str:
    if PLAIN.fullmatch(value):
        return f"'{value}'"
    return '"' + "".join(ESCAPES.get(letter, letter) for letter in value) + '"'


def _meant(written: str) -> str:
    if written.startswith('"'):
        return ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], written[1:-1])
    return written.removeprefix("'").removesuffix("'")


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_files(files: Iterable[tuple[str, str]]) -> str:
    """The shell command that writes (path, text) files on the host, each by one rename."""
    parts = []
    for path, text in files:
        folder, target, new = (
            quoted_path(PurePosixPath(path).parent),
            quoted_path(path),
            quoted_path(f"{path}.new"),
        )
        parts.append(f"mkdir -p {folder} && printf %s {shlex.quote(text)} > {new}")
        parts.append(f"mv -T {new} {target}")
    return " && ".join(parts)
