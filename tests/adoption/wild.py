"""Real Compose files of public projects, which lie outside: what they refer to is made up here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WILD = Path(os.environ.get("CYAN_WILD", "/nowhere"))
TRIES = 80
_MISSING_VARIABLE = re.compile(r"required variable (\w+) is missing")
_EMPTY_VARIABLE = re.compile(r'The \\?"(\w+)\\?" variable is not set')
_MADE_UP = {"parsing": "1", "No port": "1", "invalid boolean": "true", "empty section": "./made-up"}
"""What an error says of a variable that is empty, and what it gets."""
_MISSING_FILE = re.compile(r"(?:env file|open|stat) (/\S+?):? (?:not found|no such file)")


@dataclass(frozen=True)
class Entry:
    """A project's Compose files, as they are given to -f."""

    repository: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name for the entry, as the labels have it."""
        return f"{self.repository} {','.join(self.files)}"


def entries() -> tuple[Entry, ...]:
    """Every entry of SOURCES.tsv."""
    lines = (WILD / "SOURCES.tsv").read_text().splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return tuple(Entry(repository, tuple(files.split(","))) for repository, _, files in rows)


def resolved(entry: Entry, room: Path) -> tuple[Path, dict[str, Any] | None]:
    """Its copy's folder, and what Compose makes of it; None where it does not take it.

    Variables that it requires get a value, files that it wants are empty.
    """
    folder = room / entry.repository.replace("/", "__")
    if not folder.exists():
        shutil.copytree(WILD / folder.name, folder)
    words = [word for name in entry.files for word in ("-f", name)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(room)}
    for _ in range(TRIES):
        done = subprocess.run(
            ["docker", "compose", *words, "config", "--format", "json"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return folder, found
        variable, file = _MISSING_VARIABLE.search(done.stderr), _MISSING_FILE.search(done.stderr)
        if variable:
            environment[variable[1]] = "value"
        elif file and file[1].startswith(str(folder)):
            path = Path(file[1])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            empty = set(_EMPTY_VARIABLE.findall(done.stderr)) - set(environment)
            value = next((made for said, made in _MADE_UP.items() if said in done.stderr), "")
            if not empty or not value:
                break
            environment |= dict.fromkeys(empty, value)
    return folder, None
