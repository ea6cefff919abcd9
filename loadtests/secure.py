"""The same honest client over TLS and HTTP/2, by httpx: each request is one stream, sent once.

httpx sends nothing again by itself (`retries=0` is about connects), but httpcore does: a stream
that a server going away has not begun is asked for on a new connection. The trace, which hears of
each step before it is taken, keeps a request that was sent from that.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import gevent
import httpx
from h2.exceptions import InvalidBodyLengthError, ProtocolError

from cyan.proof.requestlog import Failure, Framing
from loadtests.client import (
    CONNECT,
    Answer,
    about_connection,
    framed,
    late,
    network_failure,
    verify,
)

if TYPE_CHECKING:
    from loadtests.client import Call

ESTABLISHED = 1  # the first byte of TCP_INFO, where a peer has not closed


class SecureSession:
    """One user's HTTP/2 connection, kept between calls; as `loadtests.client.Session`.

    It connects to `through` in the place of `url`, where that is given, and asks for `url` there.
    Without TLS it speaks HTTP/1.1, or HTTP/2 at once where `http1` is not to be spoken.
    """

    def __init__(
        self, url: str, user: int, authority: str, *, through: str = "", http1: bool = True
    ) -> None:
        self._url = through or url
        self._named = urlsplit(url).netloc
        self._host = urlsplit(url).hostname
        self._authority = authority
        self._http1 = http1
        self.user = user
        self.state: dict[str, str] = {}
        self.replaced = 0
        self._connected_ns = 0
        self._called_ns = 0
        self._sent = False  # the current request
        self._socket: Any = None
        self._client = self._made()

    def close(self) -> None:
        """Close the connection; another call opens a new one."""
        self._client.close()
        self._connected_ns = 0
        self._client = self._made()

    def _made(self) -> httpx.Client:
        trusted: ssl.SSLContext | bool = self._url.startswith("https:")  # else nothing to read
        if self._authority:
            trusted = ssl.create_default_context(cadata=self._authority)
        return httpx.Client(
            base_url=self._url,
            http1=self._http1,
            http2=True,
            verify=trusted,
            trust_env=False,
            limits=httpx.Limits(max_connections=1),
            headers={"Accept-Encoding": "identity", "Host": self._named},
        )

    def call(self, call: Call, request_id: str) -> Answer:
        """Send once and read the whole answer; never raises for what the network does."""
        answer = Answer()
        self._called_ns, self._sent = time.monotonic_ns(), False
        if self._connected_ns and self._closed_by_server():
            self.replaced += 1
            self.close()
        try:
            with gevent.Timeout(call.deadline):
                self._exchange(call, request_id, answer)
        except (gevent.Timeout, httpx.ReadTimeout, httpx.WriteTimeout):
            answer.fail(network_failure(TimeoutError(), self._connected_ns), late(call))
        except (httpx.TransportError, ProtocolError) as error:
            answer.fail(_failure(error, answer, streams=bool(self._authority)), repr(error))
        answer.end_ns = time.monotonic_ns()
        about_connection(answer, self._connected_ns, self._called_ns)
        if answer.failure is not Failure.NONE:
            self.close()
        return answer

    def _exchange(self, call: Call, request_id: str, answer: Answer) -> None:
        request = self._client.build_request(
            call.method,
            call.path,
            content=call.body or None,
            headers={**call.headers, "X-Request-ID": request_id},
            timeout=httpx.Timeout(call.deadline, connect=min(CONNECT, call.deadline)),
            extensions={"trace": self._traced, "sni_hostname": self._host},
        )
        response = self._client.send(request, stream=True)
        answer.first_ns = time.monotonic_ns()
        answer.status = response.status_code
        answer.expected = int(response.headers.get("content-length", -1))
        over = response.http_version == "HTTP/2"
        coding = response.headers.get("transfer-encoding", "")
        length = None if answer.expected < 0 else answer.expected
        answer.framing = Framing.STREAM if over else framed(call, answer.status, length, coding)
        answer.color = response.headers.get("x-color", "")
        answer.version = response.headers.get("x-version", "")
        try:
            answer.body = response.read()
        finally:
            answer.received = len(answer.body)
            response.close()
        verify(call, request_id, response.headers, answer)
        if self._authority and response.http_version != "HTTP/2":
            answer.fail(Failure.STATUS, f"answered over {response.http_version}, not HTTP/2")

    def _closed_by_server(self) -> bool:
        """Whether the idle connection's end has arrived; httpx does not look over HTTP/2."""
        if not hasattr(socket, "TCP_INFO") or self._socket is None or self._socket.fileno() < 0:
            return False
        state = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return bool(state[0] != ESTABLISHED)

    def _traced(self, event: str, info: dict[str, Any]) -> None:
        """Httpcore tells of each step: https://www.encode.io/httpcore/extensions/#trace."""
        sends = event.endswith(".send_request_headers.started")
        connects = event == "connection.connect_tcp.started"
        if self._sent and (sends or connects):
            raise httpx.RemoteProtocolError("the server went away from the stream")
        self._sent |= sends
        if connects:
            self.replaced += bool(self._connected_ns)
            self._connected_ns = 0
        elif event == f"connection.{'start_tls' if self._authority else 'connect_tcp'}.complete":
            self._connected_ns = time.monotonic_ns()
            self._socket = info["return_value"].get_extra_info("socket")


def _failure(error: Exception, answer: Answer, *, streams: bool) -> Failure:
    """The kind of a network error; over HTTP/2 (`streams`) no connection's end ends an answer."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Failure.REFUSED
    causes = (error, *getattr(error.__cause__, "args", ()))
    if any(isinstance(cause, InvalidBodyLengthError) for cause in causes):
        return Failure.TRUNCATED
    short = isinstance(error, httpx.RemoteProtocolError) and answer.status and not streams
    return Failure.TRUNCATED if short else Failure.RESET
