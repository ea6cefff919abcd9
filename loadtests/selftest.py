"""Before it judges anybody, the witness proves on itself that it sends each request once.

A local server reads a request and closes the connection without an answer. A client that repeats
anything would be seen delivering twice for one call, or calling a failure a success. Over HTTP/2 it
refuses the stream, or goes away from it: httpcore would ask for it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import gevent
from gevent.server import StreamServer
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived, StreamEnded

from cyan.proof.requestlog import Connection, Failure
from loadtests.client import Call, Session
from loadtests.secure import SecureSession

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Streams(Closing):
    """A server of HTTP/2 without TLS: it answers as many streams, then ends one by `ending`."""

    def __init__(self, answers: int, ending: Callable[[H2Connection, int], None]) -> None:
        super().__init__(answers)
        self._ending = ending

    def _serve(self, connection: Socket, _address: object) -> None:
        protocol = H2Connection(H2Configuration(client_side=False))
        protocol.initiate_connection()
        connection.sendall(protocol.data_to_send())
        while data := connection.recv(65_536):
            for event in protocol.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.deliveries += 1
                elif isinstance(event, StreamEnded) and event.stream_id is not None:
                    self._answer(protocol, event.stream_id)
            connection.sendall(protocol.data_to_send())
        connection.close()

    def _answer(self, protocol: H2Connection, stream: int) -> None:
        if self.deliveries > self._answers:
            self._ending(protocol, stream)
        else:
            protocol.send_headers(stream, [(":status", "200"), ("content-length", "2")])
            protocol.send_data(stream, b"ok", end_stream=True)


def _refusing(protocol: H2Connection, stream: int) -> None:
    protocol.reset_stream(stream, ErrorCodes.REFUSED_STREAM)


def _going_away(protocol: H2Connection, stream: int) -> None:
    protocol.close_connection(last_stream_id=stream - 2)


def faults() -> list[str]:
    """What the witness got wrong about itself; empty where it may be believed."""
    cases = [
        (sort, method, answers, connection)
        for sort in (Session, _plain)
        for method in ("GET", "POST")
        for answers, connection in ((0, Connection.NEW), (1, Connection.REUSED))
    ]
    found = [fault for evidence in cases for fault in _case(Closing(evidence[2]), *evidence)]
    for ending in (_refusing, _going_away):
        for method in ("GET", "POST"):
            found += _case(Streams(1, ending), _http2, method, 1, Connection.REUSED)
    return [*found, *_refused()]


def _plain(url: str, user: int) -> SecureSession:
    """The client of the HTTP/2 journey; without TLS it speaks HTTP/1.1 by the same code."""
    return SecureSession(url, user, "")


def _http2(url: str, user: int) -> SecureSession:
    return SecureSession(url, user, "", http1=False)


def _case(
    server: Closing,
    sort: Any,  # noqa: ANN401 - what makes a session
    method: str,
    answers: int,
    connection: Connection,
) -> list[str]:
    name = f"{method} on a {connection} connection{' over HTTP/2' if sort is _http2 else ''}"
    with server:
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
