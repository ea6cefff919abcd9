"""What Compose makes of the user's own files: the only parser of them."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from cyan.errors import UsageError
from cyan.world import local

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

WITHIN = 60.0  # seconds
USUAL = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""What Compose itself looks for, in its order:
https://docs.docker.com/compose/intro/compose-application-model/#the-compose-file."""


def resolve(folder: Path, files: Sequence[str] = ()) -> Mapping[str, Any]:
    """The application in `folder` as Compose resolves it, by `files`, or by those it would take.

    Nothing is written and nothing started. Raises UsageError where it is no valid application.
    """
    if not files and not any((folder / name).exists() for name in USUAL):
        raise UsageError(
            f"there is no Compose file in {folder}",
            todo=f"name it: --file, which may be repeated; else one of {', '.join(USUAL)} is read",
        )
    named = [word for name in files for word in ("-f", str(folder / name))]
    words = ["docker", "compose", "--project-directory", str(folder), *named]
    done = local.run(shlex.join([*words, "config", "--format", "json"]), {}, WITHIN)
    if done.code != 0:
        told = [line for line in done.stderr.splitlines() if "level=warning" not in line]
        raise UsageError(
            "Compose does not take these files",
            where="\n         ".join(told[-4:]) or f"exit code {done.code}",
            todo="docker compose config says the same; variables may stand in .env beside them",
        )
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found
