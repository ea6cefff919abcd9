"""The host's shell: paths and files as its words."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def quoted_path(*parts: object) -> str:
    """The parts joined as a POSIX path and quoted for the shell."""
    return shlex.quote(str(PurePosixPath(*(str(part) for part in parts))))


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
