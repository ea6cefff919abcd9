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

    def command(self, *words: str) -> str:
        """The shell command for `docker compose WORDS` on this project."""
        base = ("docker", "compose", "--progress", "quiet", "-p", self.name)
        return shlex.join([*base, "-f", str(self.file), "--env-file", str(self.env), *words])

    def up(self, services: tuple[str, ...] = ()) -> str:
        """Start what is not running and replace what differs; does not wait for health."""
        return self.command(
            "up", "-d", "--no-build", "--pull", "never", "--remove-orphans", *services
        )


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

    Single quotes keep `$` and spaces; a value that holds a single quote or a newline has no
    literal form there and is a UsageError.
    """
    lines = []
    for key, value in values.items():
        if not VARIABLE_PATTERN.fullmatch(key):
            raise UsageError(f"{key!r} is not the name of an environment variable")
        if "'" in value or "\n" in value:
            raise UsageError(
                f"the value of {key} holds a single quote or a newline",
                todo="Compose's env files have no literal form for it: put it into a file",
            )
        lines.append(f"{key}='{value}'\n")
    return "".join(lines)


def parse_env_file(text: str) -> dict[str, str]:
    """The values of a text that `env_file` made."""
    pairs = (line.partition("=") for line in text.split("\n") if "=" in line)
    return {key: value.removeprefix("'").removesuffix("'") for key, _, value in pairs}


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
