"""Small servers that misbehave on purpose, in a thread of their own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Behaviour = Callable[[socket.socket, int], bool]
"""Answers request number n (from 0) of the server; False closes the connection."""


@dataclass
class Server:
    """Where a server listens, and what was delivered to it: the request ids, in order."""

    port: int
    delivered: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(behave: Behaviour) -> Iterator[Server]:
    """A server whose every request is answered by `behave`."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])
    threading.Thread(target=_accept, args=(listener, server, behave), daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # a close alone lets the waiting accept take one more
        listener.close()


def _accept(listener: socket.socket, server: Server, behave: Behaviour) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            args = (connection, server, behave)
            threading.Thread(target=_serve, args=args, daemon=True).start()


def _serve(connection: socket.socket, server: Server, behave: Behaviour) -> None:
    with connection, suppress(OSError):
        while request := _request(connection):
            number = len(server.delivered)
            server.delivered.append(request)
            if not behave(connection, number):
                return


def _request(connection: socket.socket) -> str:
    """Read one request with its body; its id, or "" where the client closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part:
            return ""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    headers = dict(
        line.lower().split(": ", 1) for line in head.decode().splitlines()[1:] if ": " in line
    )
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65_536)
    return headers.get("x-request-id", "none")


def answers(data: bytes) -> Behaviour:
    """Send these bytes and close."""

    def behave(connection: socket.socket, _number: int) -> bool:
        connection.sendall(data)
        return False

    return behave


def closes_after(first: int) -> Behaviour:
    """Answer the first requests, then read one and close without a word."""

    def behave(connection: socket.socket, number: int) -> bool:
        if number >= first:
            return False
        connection.sendall(OK)
        return True

    return behave


def stalls_once(after: int, seconds: float) -> Behaviour:
    """Answer at once, but stand still for a while, for everybody, at request number `after`."""
    standing = threading.Lock()

    def behave(connection: socket.socket, number: int) -> bool:
        with standing:
            if number == after:
                time.sleep(seconds)
        connection.sendall(OK)
        return True

    return behave
