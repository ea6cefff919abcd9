"""The host's shell: paths and files as its words."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.world.host import Output, Runner

END = "# cyan: end"
WHOLE = """script=$(cat); case $script in *"$0") eval "$script" ;;
*) echo "the script was cut short" >&2; exit 70 ;; esac"""
"""Half a script is not run: the half of a command may be a command too."""


def run_script(by: Runner, script: str, *, check: bool = True) -> Output:
    """Run a shell script whose text is in no list of processes: it goes through standard input.

    Raises what `Runner.feed` raises.
    """
    command = shlex.join(("bash", "-c", WHOLE, END))
    return by.feed(command, lambda sink: sink.write(f"{script}\n{END}\n".encode()), check=check)


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


def shared_mask(folder: object) -> str:
    """Makes what follows writable for the group of `folder`, where that hands its group down.

    A folder that does not, its setgid bit, is one user's own: others may be in that user's group.
    """
    return f"if [ -g {quoted_path(folder)} ]; then umask 002; fi"


def private_mask(folder: object) -> str:
    """Makes what follows unreadable but for the user, and such a folder's group."""
    return f"if [ -g {quoted_path(folder)} ]; then umask 027; else umask 077; fi"
