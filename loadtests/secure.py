"""The same honest client over TLS and HTTP/2, by httpx: each request is one stream, sent once.

httpx sends nothing again by itself (`retries=0` is about connects). A stream that the server had
refused unprocessed, on a connection that it was closing, is asked for on a new connection.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import gevent
import httpx

from cyan.proof.requestlog import Failure
from loadtests.client import CONNECT, Answer, about_connection, verify

if TYPE_CHECKING:
    from loadtests.client import Call


class SecureSession:
    """One user's HTTP/2 connection, kept between calls; as `loadtests.client.Session`."""

    def __init__(self, url: str, user: int, authority: str) -> None:
        self._url = url
        self._authority = authority
        self.user = user
        self.state: dict[str, str] = {}
        self.replaced = 0
        self._connected_ns = 0
        self._called_ns = 0
        self._client = self._made()

    def close(self) -> None:
        """Close the connection; another call opens a new one."""
        self._client.close()
        self._connected_ns = 0
        self._client = self._made()

    def _made(self) -> httpx.Client:
        trusted = ssl.create_default_context(cadata=self._authority) if self._authority else True
        return httpx.Client(
            base_url=self._url,
            http2=True,
            verify=trusted,
            trust_env=False,
            limits=httpx.Limits(max_connections=1),
            headers={"Accept-Encoding": "identity"},
        )

    def call(self, call: Call, request_id: str) -> Answer:
        """Send once and read the whole answer; never raises for what the network does."""
        answer = Answer()
        self._called_ns = time.monotonic_ns()
        try:
            with gevent.Timeout(call.deadline):
                self._exchange(call, request_id, answer)
        except (gevent.Timeout, httpx.ReadTimeout, httpx.WriteTimeout):
            answer.fail(Failure.TIMEOUT, f"no complete answer within {call.deadline:g} s")
        except httpx.TransportError as error:
            answer.fail(_failure(error, answer), repr(error))
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
            extensions={"trace": self._traced},
        )
        response = self._client.send(request, stream=True)
        answer.first_ns = time.monotonic_ns()
        answer.status = response.status_code
        answer.expected = int(response.headers.get("content-length", -1))
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

    def _traced(self, event: str, _info: dict[str, Any]) -> None:
        """Httpcore tells of each connection: https://www.encode.io/httpcore/extensions/#trace."""
        if event == "connection.connect_tcp.started":
            self.replaced += bool(self._connected_ns)
            self._connected_ns = 0
        elif event == "connection.connect_tcp.complete":
            self._connected_ns = time.monotonic_ns()


def _failure(error: httpx.TransportError, answer: Answer) -> Failure:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Failure.REFUSED
    short = isinstance(error, httpx.RemoteProtocolError) and answer.status
    return Failure.TRUNCATED if short else Failure.RESET
