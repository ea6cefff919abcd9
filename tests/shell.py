"""This machine in the place of a host: its commands are really run, with a `docker` that records.

Nothing that a command is given may run as a command: what the hostile words try is to make the
file that $CANARY names.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, TYPE_CHECKING, Self, cast

from hypothesis import strategies as st

from cyan.errors import HostError
from cyan.sections import HostSettings
from cyan.world.host import Host, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hypothesis.strategies import SearchStrategy

RECORDER = r"""{ printf '%s\0' "$@"; printf '\n--\n'; } >>"$RECORD"
case "$1" in ps) echo c1 ;; esac
"""
END = "\0\n--\n"

INJECTIONS = (
    "$(touch $CANARY)",
    "`touch $CANARY`",
    "; touch $CANARY;",
    "' ; touch $CANARY; '",
    '" ; touch $CANARY; "',
    "\ntouch $CANARY\n",
    "| touch $CANARY",
    "&& touch $CANARY &",
    "> $CANARY",
    "${CANARY}",
)
PIECES = (
    *INJECTIONS,
    " ",
    "-x",
    "--",
    "*",
    "~",
    "%s",
    "\\",
    "\\n",
    "\\'",
    "'",
    '"',
    "#",
    "é",
    "\u2028",
)

WORDS: SearchStrategy[str] = st.lists(
    st.sampled_from(PIECES)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
    max_size=4,
).map("".join)
"""Text that wants to be more than a word."""

NAMES = WORDS.map(lambda text: "d" + text.replace("/", "_").encode()[:80].decode(errors="ignore"))
"""The same as the name of a file."""


@dataclass
class Machine:
    """Runs what a host would be told to run. `folder` holds the record, never what is deployed."""

    folder: Path
    name: str = "here"
    our_address: str = "127.0.0.1"
    settings: HostSettings = field(default_factory=lambda: HostSettings(address="127.0.0.1"))
    _channels: list[Local] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.program("docker", RECORDER)

    def program(self, name: str, script: str) -> None:
        """Put a program of that name in the place of the machine's own."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is connected."""

    @property
    def host(self) -> Host:
        """This machine as what cyan takes for a host."""
        return cast("Host", self)

    @property
    def calls(self) -> list[list[str]]:
        """What `docker` was called with, in order."""
        record = self.folder / "record"
        if not record.exists():
            return []
        return [call.split("\0") for call in record.read_bytes().decode().split(END)[:-1]]

    @property
    def clean(self) -> bool:
        """Whether nothing of what was given ran as a command."""
        return not (self.folder / "canary").exists()

    def run(self, command: str, *, check: bool = True, given: bytes = b"") -> Output:
        """As Host.run; what cannot be a command at all fails as it would there."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self._environment,
            input=given,
            capture_output=True,
            check=False,
        )
        output = Output(done.stdout.decode(), done.stderr.decode(), done.returncode)
        if check and done.returncode != 0:
            raise self.failed(command, output)
        return output

    def feed(
        self, command: str, write: Callable[[BytesIO], object], *, check: bool = True
    ) -> Output:
        """As Host.feed."""
        write(given := BytesIO())
        return self.run(command, check=check, given=given.getvalue())

    def failed(self, command: str, output: Output) -> HostError:
        """As Host.failed."""
        return HostError(f"{command!r} failed: {output.stderr}")

    def channel(self, command: str) -> Local:
        """As Host.channel."""
        channel = Local(
            subprocess.Popen(
                ["sh", "-c", command],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        self._channels.append(channel)
        return channel

    def pieces(self, command: str) -> Iterator[bytes]:
        """As Host.pieces."""
        with self.channel(command) as channel, channel.makefile("rb") as stream:
            yield cast("bytes", stream.read())

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{self.folder}:{os.environ['PATH']}"
        files = {"RECORD": "record", "CANARY": "canary"}
        return {"PATH": path, **{key: str(self.folder / name) for key, name in files.items()}}


@dataclass
class Local:
    """A running command with the part of a channel's surface that cyan uses."""

    process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def settimeout(self, _seconds: float) -> None:
        """A pipe has none."""

    def sendall(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def makefile_stderr(self, _mode: str) -> IO[str]:
        assert self.process.stderr is not None
        return open(self.process.stderr.fileno(), encoding="utf-8", closefd=False)

    def exit_status_ready(self) -> bool:
        return self.process.poll() is not None

    def recv_exit_status(self) -> int:
        return self.process.wait(30)

    def makefile(self, mode: str) -> IO[bytes] | IO[str]:
        assert self.process.stdout is not None
        if "b" in mode:
            return self.process.stdout
        return open(self.process.stdout.fileno(), encoding="utf-8", closefd=False)

    def close(self) -> None:
        if self.process.stdin:
            with suppress(BrokenPipeError):  # it was ended
                self.process.stdin.close()
        self.process.wait(30)
        if self.process.stderr:
            self.process.stderr.close()
        if self.process.stdout:
            self.process.stdout.close()
