"""A wire between the deployer and sshd that can be cut, and a project that leads over it."""

from __future__ import annotations

import shutil
import socket
import struct
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from cyan.sections import HostSettings
    from cyan.settings import Settings

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: close(2) sends a reset
CHUNK = 1 << 16


class Wire:
    """Relays TCP connections to `target` until it is cut. A context manager."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._turn = threading.Lock()
        self._whole = True
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        with self._turn:
            self._whole = False
            ends, self._ends = self._ends, []
        with suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            with self._turn:
                self._ends += [near, far]
                whole = self._whole
            if not whole:
                near.close()
                far.close()
                return
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(CHUNK):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def detour(settings: Settings, machine: HostSettings, port: int) -> Iterator[Path]:
    """The folder of a project like this one, whose host is reached through 127.0.0.1:`port`."""
    folder = Path(tempfile.mkdtemp(prefix="cyan-chaos-"))
    try:
        known = folder / "known_hosts"
        known.write_text(_known(machine, port), encoding="utf-8")
        detoured = machine.model_copy(
            update={"address": "127.0.0.1", "port": port, "known_hosts": known}
        )
        lab = settings.lab
        if settings.is_lab:  # it still is, by the long way: its own secrets go along
            lab = lab.model_copy(update={"ssh_port": port})
        changed = settings.model_copy(update={"hosts": (detoured,), "lab": lab})
        section = changed.model_dump(mode="json", exclude_none=True, by_alias=True)
        text = yaml.safe_dump({"cyan": section})
        (folder / "invoke.yaml").write_text(text, encoding="utf-8")
        yield folder
    finally:
        shutil.rmtree(folder)


def _known(machine: HostSettings, port: int) -> str:
    """The host's keys, pinned for the port of the wire."""
    if machine.known_hosts is None or not machine.known_hosts.exists():
        return ""
    lines = machine.known_hosts.read_text(encoding="utf-8").splitlines()
    keys = [line.split(maxsplit=1)[1] for line in lines if len(line.split()) > 1]
    return "".join(f"[127.0.0.1]:{port} {key}\n" for key in keys)
