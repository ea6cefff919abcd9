"""The honest client: a request is sent exactly once, and whatever happens to it is told.

geventhttpclient sends an idempotent request again when its connection turns out to be stale: as
often as its pool is large, plus one. A pool whose size reads -1 leaves no attempt beyond the
first. That attribute is private, as is what makes a connection, so `loadtests.selftest` proves
their effect at every start.
"""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from cyan.proof.requestlog import Connection, Failure, Framing
from loadtests.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEADLINE = 30.0  # seconds for a complete answer
CONNECT = 5.0  # seconds for a connection to open
BLOCK = 65_536
BODILESS = (204, 304)


@dataclass(frozen=True)
class Call:
    """One request: what is sent, and the status, or one of those, that it must be answered with."""

    journey: str
    method: str
    path: str
    expects: int | tuple[int, ...] = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline: float = DEADLINE


@dataclass
class Answer:
    """What came of a call. Times are nanoseconds of the monotonic clock, 0 where there was none."""

    first_ns: int = 0
    end_ns: int = 0
    status: int = 0
    expected: int = -1
    body: bytes = b""
    digest: int = -1
    connection: Connection = Connection.NEW
    age_ns: int = 0
    color: str = ""
    version: str = ""
    cookie: str = ""
    failure: Failure = Failure.NONE
    error: str = ""
    received: int = 0
    framing: str = ""

    def fail(self, failure: Failure, error: str) -> None:
        """Say how it failed; the first failure stays."""
        if self.failure is Failure.NONE:
            self.failure, self.error = failure, error


class Session:
    """One user's connection, kept between calls; `replaced` counts idle ones the server closed."""

    def __init__(self, place: Place | str, user: int) -> None:
        self.place = Place(place) if isinstance(place, str) else place
        self.user = user
        self.state: dict[str, str] = {}
        self.steps: Any = None  # of a journey that somebody wrote: how far this user is
        self.said: Answer | None = None
        self.replaced = 0
        self._open = False
        self._connected_ns = 0
        self._called_ns = 0
        self._client = self._made()

    def close(self) -> None:
        """Close the connection; another call opens a new one."""
        self._client.close()
        self._open = False
        self._connected_ns = 0
        self._client = self._made()

    def _made(self) -> HTTPClient:
        place = self.place
        client = HTTPClient(
            place.host,
            port=place.port,
            ssl=place.secure,
            ssl_context_factory=(lambda **_: place.context) if place.secure else None,
            concurrency=1,
            network_timeout=DEADLINE,
            connection_timeout=CONNECT,
            block_size=BLOCK,
        )
        pool = client._connection_pool  # noqa: SLF001 - as the module says
        pool.size = -1
        pool._connection_host, pool._connection_port = place.address  # noqa: SLF001 - as well
        create = pool._create_socket  # noqa: SLF001 - as well
        pool._create_socket = lambda: self._connect(create)  # type: ignore[method-assign]  # noqa: SLF001
        return client

    def call(self, call: Call, request_id: str) -> Answer:
        """Send once and read the whole answer; never raises for what the network does."""
        answer = Answer()
        self._called_ns = time.monotonic_ns()
        try:
            with gevent.Timeout(call.deadline):
                self._exchange(call, request_id, answer)
        except gevent.Timeout:
            answer.fail(network_failure(TimeoutError(), self._connected_ns), late(call))
        except HTTPConnectionClosed as error:
            answer.fail(Failure.RESET, str(error))
        except HTTPParseError as error:
            answer.fail(Failure.TRUNCATED if answer.status else Failure.RESET, str(error))
        except OSError as error:
            answer.fail(network_failure(error, self._connected_ns), repr(error))
        answer.end_ns = time.monotonic_ns()
        about_connection(answer, self._connected_ns, self._called_ns)
        if answer.failure is not Failure.NONE:
            self.close()
        return answer

    def _exchange(self, call: Call, request_id: str, answer: Answer) -> None:
        headers = {**call.headers, "X-Request-ID": request_id}
        response = self._client.request(call.method, call.path, call.body, headers)
        answer.first_ns = time.monotonic_ns()
        answer.status = response.status_code
        length = response.content_length
        answer.expected = -1 if length is None or call.method == "HEAD" else length
        answer.framing = framed(
            call, answer.status, length, _text(response.get("transfer-encoding"))
        )
        answer.color = _text(response.get("x-color"))
        answer.version = _text(response.get("x-version"))
        answer.cookie = _text(response.get("set-cookie")).partition(";")[0]
        try:
            answer.body = response.read()
        finally:
            answer.received = len(answer.body)
        self._open = not response.should_close()
        verify(call, request_id, response, answer)

    def _connect(self, create: Callable[[], Any]) -> Any:  # noqa: ANN401 - a gevent socket
        """Make a connection, because there is none or because the idle one was found closed."""
        self.replaced += self._open
        self._open, self._connected_ns = False, 0
        made = create()
        self._connected_ns = time.monotonic_ns()
        return made


def network_failure(error: OSError, connected_ns: int) -> Failure:
    """The kind of a network error: refused where no connection was made, in time or at all."""
    if not connected_ns:
        return Failure.REFUSED
    return Failure.TIMEOUT if isinstance(error, TimeoutError) else Failure.RESET


def late(call: Call) -> str:
    """The text of a deadline that passed."""
    return f"no complete answer within {call.deadline:g} s"


def about_connection(answer: Answer, connected_ns: int, called_ns: int) -> None:
    """Say which connection an ended call had: one made since the call, 0 for none, or an older."""
    new = connected_ns >= called_ns or not connected_ns
    answer.connection = Connection.NEW if new else Connection.REUSED
    answer.age_ns = answer.end_ns - connected_ns if connected_ns else 0


def verify(call: Call, request_id: str, headers: Any, answer: Answer) -> None:  # noqa: ANN401
    """Check status, length, digest and identity of a complete answer."""
    wanted = (call.expects,) if isinstance(call.expects, int) else call.expects
    if answer.status not in wanted:
        named = " or ".join(map(str, wanted))
        answer.fail(Failure.STATUS, f"status {answer.status}, wanted {named}")
    if answer.expected >= 0 and answer.received != answer.expected:
        answer.fail(Failure.TRUNCATED, f"{answer.received} of {answer.expected} bytes")
    promised = _text(headers.get("content-digest"))
    if promised:
        answer.digest = int(promised == digest(answer.body))
        if not answer.digest:
            answer.fail(Failure.TRUNCATED, "the body does not match its digest")
    echoed = _text(headers.get("x-request-id"))
    if echoed and echoed != request_id:
        answer.fail(Failure.STATUS, f"this is the answer to request {echoed}")


def framed(call: Call, status: int, length: int | None, coding: str) -> str:
    """What says that an answer is whole: https://www.rfc-editor.org/rfc/rfc9112#section-6.3."""
    if call.method == "HEAD" or status in BODILESS:
        return Framing.NONE
    if "chunked" in coding.lower():
        return Framing.CHUNKED
    return Framing.CLOSE if length is None else Framing.LENGTH


def digest(body: bytes) -> str:
    """The value of Content-Digest: https://www.rfc-editor.org/rfc/rfc9530."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def _text(header: str | list[str] | None) -> str:
    """A header's value; of a repeated one the first."""
    if isinstance(header, list):
        return header[0]
    return header or ""
