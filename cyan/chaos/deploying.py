"""The deployer as a process of its own, watched through the journal on the host."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cyan.chaos.acted import Ran
from cyan.chaos.moment import NotInjectedError
from cyan.journal import entries as journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from cyan.chaos.moment import Moment
    from cyan.world.host import Host

WITHIN = 120.0
END_WITHIN = 10.0
GLANCE = 0.1


class Watch:
    """The lines that the journal on a host gets from now on.

    Where the host stops telling them, everything that asks raises NotInjectedError.
    """

    def __init__(self, host: Host, directory: str) -> None:
        path = shlex.quote(f"{directory}/journal.jsonl")
        # the first line says that it watches: what is written after that is seen
        command = f"touch {path} && echo ready && exec tail -q -n 0 -F {path} 2>/dev/null"
        self._channel = host.channel(command)
        self._channel.settimeout(GLANCE)
        self._rest = b""
        deadline = time.monotonic() + END_WITHIN
        while b"ready\n" not in self._rest:
            if time.monotonic() > deadline:
                raise NotInjectedError(f"the journal could not be watched in {END_WITHIN:g} s")
            self._read()
        self._rest = self._rest.partition(b"ready\n")[2]

    def close(self) -> None:
        """Watch no more."""
        self._channel.close()

    def entries(self) -> Iterator[journal.Entry]:
        """What has come since the last call, waiting for it no longer than a glance."""
        self._read()
        *lines, self._rest = self._rest.split(b"\n")
        yield from journal.parse(b"\n".join(lines).decode(errors="replace"))

    def _read(self) -> None:
        with suppress(TimeoutError):
            read = self._channel.recv(1 << 16)
            if not read:
                raise NotInjectedError("the connection that the journal is watched over is gone")
            self._rest += read


@dataclass(frozen=True)
class Command:
    """What is started: the program with its words, in a project's folder."""

    program: tuple[str, ...]
    words: tuple[str, ...]
    folder: Path
    environment: dict[str, str]


class Deployer:
    """One command of cyan's. As a context manager it is ended where the block is left."""

    def __init__(
        self,
        command: Command,
        output: Path,
        watch: Watch,
    ) -> None:
        self.words = command.words
        self._output = output
        self._watch = watch
        self._hung = ""
        with output.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                (*command.program, *command.words),
                cwd=command.folder,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._watch.close()

    def comes_to(self, moment: Moment, within: float = WITHIN) -> None:
        """Wait until the journal says so. Raises NotInjectedError where it does not."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            if any((entry.step, entry.event) == moment for entry in self._watch.entries()):
                return
            if ended:
                raise NotInjectedError(
                    f"{' '.join(self.words)} ended before {' '.join(moment)}: {self.said[-600:]}"
                )
        self._hung = f"did not come to {' '.join(moment)} in {within:g} s"
        raise NotInjectedError(f"{' '.join(self.words)} {self._hung}")

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def ends(self, within: float = WITHIN) -> None:
        """Wait for its end; one that does not come is brought about, and `ran` says so."""
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._hung = f"did not end in {within:g} s"
            self._end()

    def _end(self) -> None:
        """End it where it still runs: asked first, then killed."""
        for how in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_WITHIN)

    def events(self) -> tuple[str, ...]:
        """What the journal recorded since it was started, or since this was last asked."""
        return tuple(entry.event for entry in self._watch.entries())

    @property
    def said(self) -> str:
        """What it has printed."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def ran(self) -> Ran:
        """What became of it."""
        return Ran(self.words, self._process.poll() or 0, self.said[-6000:], self._hung)
