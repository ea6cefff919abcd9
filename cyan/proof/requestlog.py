"""The format of the client witness's log: the one thing `loadtests/` and `cyan` share.

Each worker writes two tab-separated files without a header: an *intent* before every send and a
*result* after every answer or failure, so that a request that vanishes shows as an intent without
a result. A worker that ends in order leaves a sign-off. Times are nanoseconds: `*_ns` of the
monotonic clock, `wall_ns` of the wall clock at the moment of sending.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OVERWHELMED = 4
"""Exit code of a swarm that stopped because too many of its requests were in flight."""


class Failure(StrEnum):
    """How a request failed, as the client saw it (DESIGN: what a drop is)."""

    NONE = ""
    REFUSED = "refused"
    RESET = "reset"
    TIMEOUT = "timeout"
    STATUS = "status"
    TRUNCATED = "truncated"
    UNSENT = "unsent"  # due, and never sent: no session was free


class Connection(StrEnum):
    """Whether the request opened its connection or found it open."""

    NEW = "new"
    REUSED = "reused"


class Framing(StrEnum):
    """What says that an answer is whole."""

    NONE = "none"  # it has no body
    LENGTH = "length"  # Content-Length
    CHUNKED = "chunked"  # the last chunk, of no length
    STREAM = "stream"  # HTTP/2's END_STREAM
    CLOSE = "close"  # the connection's end, which a cut answer has as well


WHOLE = (Framing.NONE, Framing.LENGTH, Framing.CHUNKED, Framing.STREAM)
"""How a good answer is known to be whole."""

INTENT_COLUMNS = ("id", "user", "journey", "method", "path", "due_ns", "sent_ns", "wall_ns")
"""One row per request that was about to be sent. `id` is an unsigned 64-bit integer, sent to the
server as 16 hexadecimal digits in X-Request-ID. `user` is a number that its worker gives to one
user only, who has one connection at a time. A stream or WebSocket has a user of its own; a second
request of that user is the stream opened again, at once, because it had failed. An arrival that was
never sent has a row, too, and a result that says so. A worker's ids count up by one from the
first."""

STREAMS = ("events", "socket")
"""Journeys that outlive a drain by design; a drain that cuts them says so on its own line."""

LASTING = (*STREAMS, "slow", "download")
"""Journeys whose answers take long by design; they say nothing about latency."""

PLANTED = "planted"
"""The journey of the one request of a run that is sent where nobody listens: that it is found shows
that the instrument works. Neither it nor a stream opened again is on the schedule."""

RESULT_COLUMNS = (
    "id",
    "first_ns",  # first byte of the answer; 0 where there was none
    "end_ns",
    "status",  # 0 where there was none
    "expected_bytes",  # Content-Length; -1 where the answer promised none
    "received_bytes",
    "digest",  # 1 the digest of the body matches, 0 it does not, -1 none was promised
    "connection",
    "connection_age_ns",
    "color",  # X-Color of the answer, "" where there was none
    "version",  # X-Version
    "framing",  # Framing, "" where there was no answer
    "failure",
    "error",  # the text of the error, tabs and newlines escaped
)
"""One row per request that was answered or failed."""


@dataclass(frozen=True)
class SignOff:
    """What one worker counted by itself, independent of the rows it wrote; written as JSON."""

    worker: int
    scheduled: int
    sent: int
    abandoned: int
    answered: int
    failed: int
    replaced_idle: int  # idle connections found closed by the server and replaced before sending
    begun_ns: int = 0  # when the first arrival was due, on the monotonic clock
    rate: float = 0.0  # arrivals a second of this worker: the n-th is due begun + n / rate
    beside: int = 0  # of those scheduled: streams opened again, and what was planted


def intents_name(worker: int) -> str:
    """File name of a worker's intents."""
    return f"intents-{worker}.tsv"


def results_name(worker: int) -> str:
    """File name of a worker's results."""
    return f"results-{worker}.tsv"


def signoff_name(worker: int) -> str:
    """File name of a worker's sign-off."""
    return f"signoff-{worker}.json"
