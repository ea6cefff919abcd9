"""A relay process with real sockets at both of its ends."""

from __future__ import annotations

import select
import socket
import struct
import sys
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def relay(to: int, *flags: str) -> Iterator[int]:
    """The port of a relay before 127.0.0.1:`to`, which must end in order and in silence."""
    command = [sys.executable, "-m", "cyan.proof.relay", "--to", f"127.0.0.1:{to}", *flags]
    with Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        yield int(process.stdout.readline())
        process.stdin.close()
        assert (process.wait(10), process.stdout.read(), process.stderr.read()) == (0, "", "")


@contextmanager
def peers(*flags: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of one relayed connection."""
    server = socket.create_server(("127.0.0.1", 0))
    with server, relay(server.getsockname()[1], *flags) as port:
        near = socket.create_connection(("127.0.0.1", port), timeout=10)
        far, _ = server.accept()
        far.settimeout(10)
        with near, far:
            yield near, far


def read(end: socket.socket, count: int) -> bytes:
    """So many bytes; fewer only where the connection ends before."""
    data = b""
    while len(data) < count and (part := end.recv(count - len(data))):
        data += part
    return data


def read_all(end: socket.socket) -> bytes:
    data = b""
    while part := end.recv(65_536):
        data += part
    return data


def send_all(end: socket.socket, data: bytes) -> None:
    end.sendall(data)
    end.shutdown(socket.SHUT_WR)


def abort(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def is_reset(end: socket.socket) -> bool:
    """Whether a connection is reset; waits for it, also after its peer's end was heard."""
    errors = select.poll()
    errors.register(end, 0)
    return bool(errors.poll(10_000)) and bool(end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
