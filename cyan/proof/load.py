"""The load: one Locust process of its own, started, watched and always ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from cyan.errors import CyanError, ProofError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from cyan.proof.remote_workers import RemoteWorkers

POLL = 0.1
PORT = 5557  # where workers elsewhere find Locust's master
READY_WITHIN = 60.0
FINISH_WITHIN = 60.0
TERMINATE_WITHIN = 5.0


@dataclass(frozen=True)
class Load:
    """What the swarm is asked to do; `extra` are flags.

    `limit` ends it by itself, in seconds, as do so many requests `in_flight` at once.
    `connect` is host and port to connect to in the place of those of `url`. `workers` processes
    share the rate: of this machine, or of `remote`. `secure` is the site's address over TLS for
    the HTTP/2 journey, `through` where that is connected to in its place, `authority` a certificate
    (PEM) to trust beside the machine's own.
    """

    url: str
    locustfile: Path
    rate: float = 350
    sessions: int = 60
    seed: int = 1
    limit: float = 900
    extra: tuple[str, ...] = ()
    workers: int = 1
    in_flight: int = 2000
    remote: RemoteWorkers | None = None
    connect: str = ""
    secure: str = ""
    through: str = ""
    authority: str = ""
    program: tuple[str, ...] = (sys.executable, "-m", "locust", "-f")

    def command(self, folder: Path) -> tuple[str, ...]:
        """The command line that writes its logs to `folder`."""
        words = (*self.program, str(self.locustfile), "--headless", "--only-summary")
        flags: dict[str, object] = {
            "--host": self.url,
            "--log-dir": folder,
            "--rate": self.rate,
            "--sessions": self.sessions,
            "--seed": self.seed,
            "--run-limit": self.limit,
            "--in-flight": self.in_flight,
        }
        more = {
            "--connect": self.connect,
            "--authority": self.authority,
            "--secure": self.secure,
            "--through": self.through,
        }
        flags |= {flag: value for flag, value in more.items() if value}
        given = (str(word) for pair in flags.items() for word in pair)
        return (*words, *given, *self._together(), *self.extra)

    def _together(self) -> tuple[str, ...]:
        """Locust's own flags for a load by several processes, of one user each."""
        if self.workers == 1 and not self.remote:
            return ()
        count = str(self.workers)
        how: tuple[str, ...] = ("--processes", count)
        if self.remote:
            how = ("--master", "--master-bind-port", str(PORT), "--expect-workers", count)
        return (*how, "--users", count, "--spawn-rate", count)


@dataclass(frozen=True)
class Pace:
    """What the swarm says of itself about once a second."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    in_flight: int = 0
    lag_p99_ms: float = 0


def together(paces: Sequence[Pace]) -> Pace:
    """Several swarms as one: pure."""
    if len(paces) == 1:
        return paces[0]
    sums = {
        name: sum(getattr(each, name) for each in paces)
        for name in ("sent", "answered", "failed", "in_flight")
    }
    return Pace(**sums, lag_p99_ms=max((each.lag_p99_ms for each in paces), default=0))


@dataclass
class Swarm:
    """A running load. As a context manager it is ended whatever happens inside.

    `folder` is where its logs go. Raises ProofError where it does not start or does not end.
    """

    load: Load
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "swarm.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self.load.command(self.folder),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours: it ends in order, and logs to the end
            )
        if self.load.remote:
            try:
                self.load.remote.start(PORT)
            except CyanError:
                self._kill()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.alive:
            with suppress(ProofError):
                self.finish(TERMINATE_WITHIN)
        if self.alive:
            self._kill()
        if self.load.remote:
            self.load.remote.collect(self.folder)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int:
        """What its process ended with, negative where a signal ended it; 0 while it runs."""
        return 0 if self._process is None else self._process.poll() or 0

    def wait_ready(self, within: float = READY_WITHIN) -> None:
        """Wait until its self-test passed and the first requests were answered."""
        deadline = time.monotonic() + within
        while not (self.folder / "ready.json").exists():
            if not self.alive:
                raise self._failed("the swarm ended before it was ready")
            if time.monotonic() > deadline:
                raise self._failed(f"the swarm was not ready within {within:g} s")
            time.sleep(POLL)

    def pace(self) -> Pace:
        """Its last word on how it goes; zeros before the first."""
        with suppress(OSError, ValueError):
            said = json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))
            return Pace(**{name: said[name] for name in Pace.__dataclass_fields__ if name in said})
        return Pace()

    def finish(self, within: float = FINISH_WITHIN) -> None:
        """Stop scheduling, let what is in flight end, and wait for the sign-off."""
        (self.folder / "stop").touch()
        if self._process is None:
            return
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise self._failed(f"the swarm did not end within {within:g} s") from None
        if code:
            raise self._failed(f"the swarm ended with exit code {code}")

    def _kill(self) -> None:
        """End its whole process group, in order first."""
        assert self._process is not None  # noqa: S101 - only called while alive
        for how in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(TERMINATE_WITHIN)
                return

    def _failed(self, what: str) -> ProofError:
        path = self.folder / "swarm.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        return ProofError(what, where=f"{path}: " + "\n         ".join(lines))
