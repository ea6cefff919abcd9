"""Who listens on a port of this machine."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Holder:
    """A process that listens on a port; `pid` is 0 where it belongs to another user."""

    pid: int
    name: str
    command: str

    @property
    def described(self) -> str:
        """The holder as messages name it."""
        if self.pid == 0:
            return "a process of another user"
        return f"process {self.pid} ({self.command[:120] or self.name})"


def holder(port: int) -> Holder | None:
    """The process that listens on TCP `port`, or None where nobody does."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr:
            continue
        if connection.laddr.port == port:
            return _process(connection.pid)
    return None


def _process(pid: int | None) -> Holder:
    if pid is None:
        return Holder(0, "", "")
    try:
        process = psutil.Process(pid)
        return Holder(pid, process.name(), " ".join(process.cmdline()))
    except psutil.Error:
        return Holder(pid, "unknown", "")
