"""Workers of the swarm on other machines: started over SSH, their logs and clocks fetched back."""

from __future__ import annotations

import io
import json
import shlex
import tarfile
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.proof.history import SECOND, Clock
from cyan.world.host import Host, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from paramiko import Channel

    from cyan.sections import HostSettings

KEPT = ("intents-", "results-", "signoff-")


@dataclass
class RemoteWorkers:
    """One worker on each machine. `directory` is where this project, set up, lies on each."""

    machines: tuple[HostSettings, ...]
    directory: str
    locustfile: str
    _hosts: list[Host] = field(default_factory=list, init=False)
    _channels: list[Channel] = field(default_factory=list, init=False)
    _clocks: list[Clock] = field(default_factory=list, init=False)  # as they were at the start
    _folder: str = field(default="", init=False)

    def start(self, port: int) -> None:
        """Start the workers; each finds the master at the address that its SSH connection has.

        Raises HostError where a machine cannot be reached.
        """
        self._folder = f"/tmp/cyan-swarm-{time.time_ns()}"  # noqa: S108 - on the other machine
        for number, machine in enumerate(self.machines):
            host = Host(machine)
            self._clocks.append(_clock(host))
            self._hosts.append(host)
            self._channels.append(host.channel(self._command(host, number, port)))

    def collect(self, folder: Path) -> None:
        """Fetch every worker's log, and how its clock stands to ours, into `folder`; then tidy.

        What cannot be fetched is missing there, and the verdict is unknown.
        """
        for number, host in enumerate(self._hosts):
            try:
                self._fetch(number, host, folder)
            except (HostError, OSError, tarfile.TarError) as error:
                with (folder / "swarm.log").open("a", encoding="utf-8") as log:
                    log.write(f"worker {number} on {host.name}: {error}\n")
            host.close()
        self._hosts.clear()
        self._clocks.clear()

    def _of(self, number: int) -> str:
        """A worker's folder on its machine."""
        return f"{self._folder}-{number}"

    def _command(self, host: Host, number: int, port: int) -> str:
        flags = {
            "-f": self.locustfile,
            "--master-host": host.our_address,
            "--master-port": str(port),
            "--log-dir": self._of(number),
        }
        given = (word for pair in flags.items() for word in pair)
        words = (".venv/bin/python", "-m", "locust", "--worker", *given)
        folder = shlex.quote(self._of(number))
        return (
            f"cd {shlex.quote(self.directory)} && mkdir {folder} && "
            f"CYAN_LOG_DIR={folder}/log exec {quoted(words)} >{folder}/swarm.log 2>&1"
        )

    def _fetch(self, number: int, host: Host, folder: Path) -> None:
        remote, clock = self._of(number), self._clocks[number].until(_clock(host))
        command = f"tar -C {shlex.quote(remote)}/log -c ."
        with host.channel(command) as channel, channel.makefile("rb") as stream:
            archive = stream.read()
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar.getmembers():
                name = member.name.removeprefix("./")
                content = tar.extractfile(member)
                if content is None or not name.startswith(KEPT) or "/" in name:
                    continue
                (folder / name).write_bytes(content.read())
                self._keep_clock(folder, name, clock)
        host.run(f"rm -rf -- {shlex.quote(remote)}")

    def _keep_clock(self, folder: Path, name: str, clock: Clock) -> None:
        """Beside the rows of a worker, its clock minus ours: what takes them to our time."""
        worker = name.partition("-")[2].partition(".")[0]
        (folder / f"clock-{worker}.json").write_text(json.dumps(asdict(clock)), encoding="utf-8")


def _clock(host: Host) -> Clock:
    """How a machine's clock stands to ours now."""
    read = host.clock()
    return Clock(round(read.offset * SECOND), round(read.uncertainty * SECOND))
