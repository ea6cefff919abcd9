"""Before it judges anybody, the witness proves on itself that it sends each request once.

A local server reads a request and closes the connection without an answer. A client that repeats
anything would be seen delivering twice for one call, or calling a failure a success.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import gevent
from gevent.server import StreamServer

from cyan.proof.requestlog import Connection, Failure
from loadtests.client import Call, Session
from loadtests.secure import SecureSession

if TYPE_CHECKING:
    from gevent.socket import socket as Socket  # noqa: N812 - it is the class

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Closing:
    """A server that answers the first `answers` requests of a connection, then reads and closes.

    With `idle` it closes without reading.
    """

    def __init__(self, answers: int, *, idle: bool = False) -> None:
        self.deliveries = 0
        self._answers = answers
        self._idle = idle
        self._server = StreamServer(("127.0.0.1", 0), self._serve)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def _serve(self, connection: Socket, _address: object) -> None:
        for number in range(self._answers + 1):
            if not self._read(connection):
                return
            self.deliveries += 1
            if number < self._answers:
                connection.sendall(ANSWER)
            if self._idle and number == self._answers - 1:
                break
        connection.close()

    def _read(self, connection: Socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65_536)
            if not part:
                return False
            data += part
        return True


def faults() -> list[str]:
    """What the witness got wrong about itself; empty where it may be believed."""
    cases = [
        (sort, method, answers, connection)
        for sort in (Session, _plain)
        for method in ("GET", "POST")
        for answers, connection in ((0, Connection.NEW), (1, Connection.REUSED))
    ]
    return [*(fault for case in cases for fault in _case(*case)), *_refused()]


def _plain(url: str, user: int) -> SecureSession:
    """The client of the HTTP/2 journey; without TLS it speaks HTTP/1.1 by the same code."""
    return SecureSession(url, user, "")


def _case(sort: Any, method: str, answers: int, connection: Connection) -> list[str]:  # noqa: ANN401
    name = f"{method} on a {connection} connection"
    with Closing(answers) as server:
        session = sort(server.url, 0)
        call = Call("selftest", method, "/", body=b"{}" if method == "POST" else b"")
        for number in range(answers):
            first = session.call(call, f"{number:016x}")
            if first.failure is not Failure.NONE:
                return [f"{name}: the first call failed: {first.error}"]
        answer = session.call(call, "f" * 16)
        gevent.sleep(0.05)  # a repeated request would arrive within this
        session.close()
    found = []
    if server.deliveries != answers + 1:
        found.append(f"{name}: {answers + 1} calls were delivered {server.deliveries} times")
    if answer.failure is not Failure.RESET:
        found.append(f"{name}: a closed connection was reported as {answer.failure or 'success'}")
    if answer.connection is not connection:
        found.append(f"{name}: the connection was reported as {answer.connection}")
    return found


def _refused() -> list[str]:
    """The server closed an idle connection and is gone: nothing is sent, a connect is refused."""
    with Closing(1, idle=True) as server:
        session = Session(server.url, 0)
        session.call(Call("selftest", "GET", "/"), "0" * 16)
        gevent.sleep(0.05)  # the close arrives
    answer = session.call(Call("selftest", "GET", "/"), "f" * 16)
    session.close()
    found = (answer.failure, answer.connection, session.replaced)
    if found != (Failure.REFUSED, Connection.NEW, 1):
        return [f"a refused connection in the place of an idle one was reported as {found}"]
    return []
