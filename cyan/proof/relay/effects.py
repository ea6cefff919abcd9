"""What the relay makes of a request that calibration plants a drop on, and of its answer: pure."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OTHER = {"blue": "green", "green": "blue"}
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nplanted\n"


class UnfitError(Exception):
    """The plant cannot be planted here; the text says why."""


@dataclass(frozen=True)
class Head:
    """The first lines of a request or an answer."""

    raw: bytes

    def __getitem__(self, name: str) -> str:
        """A header's value; "" where it is not there."""
        found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*(.*?)[ \t]*\r$", self.raw)
        return found[1].decode("latin-1") if found else ""

    def without(self, name: str) -> Head:
        """The same without a header."""
        return Head(re.sub(rb"(?im)^" + name.encode() + rb":.*\r\n", b"", self.raw))

    def having(self, **headers: str) -> Head:
        """The same with headers set; `_` stands for `-`."""
        head = self
        for key, value in headers.items():
            name = key.replace("_", "-")
            line = f"{name}: {value}\r\n\r\n".encode("latin-1")
            head = Head(head.without(name).raw.removesuffix(b"\r\n") + line)
        return head

    @property
    def words(self) -> list[str]:
        """The first line's words, at least two."""
        return [*self.raw.split(b"\r\n", 1)[0].decode("latin-1").split(" "), ""]

    @property
    def path(self) -> str:
        """A request's path, without its query."""
        return self.words[1].partition("?")[0]


@dataclass(frozen=True)
class Message:
    """A request or an answer, as its bytes came; `before` are the 1xx answers ahead of it."""

    before: bytes
    head: Head
    body: bytes

    @classmethod
    def of(cls, raw: bytes) -> Self | None:
        """Bytes as a message; None where its head is not there yet."""
        at = 0
        while (end := raw.find(b"\r\n\r\n", at)) >= 0:
            head = Head(raw[at : end + 4])
            if not re.match(rb"HTTP/1\.. 1", head.raw):
                return cls(raw[:at], head, raw[end + 4 :])
            at = end + 4
        return None

    @property
    def raw(self) -> bytes:
        """All of it."""
        return self.before + self.head.raw + self.body

    def with_head(self, head: Head) -> Message:
        """The same under another head."""
        return Message(self.before, head, self.body)


class Then(Enum):
    """What becomes of the client's connection after a planted answer."""

    GO_ON = auto()
    CLOSE = auto()
    RESET = auto()


@dataclass(frozen=True)
class Reply:
    """What the client gets in the place of the proxy's answer."""

    data: bytes
    then: Then


@dataclass(frozen=True)
class Asked:
    """What a fault knows: the request, the proxy's answer, and who answered before.

    `versions` are by color, the latest last. Where nobody is asked there is no answer.
    """

    request: Message
    versions: Mapping[str, str]
    answer: Message = Message(b"", Head(b""), b"")

    @property
    def whole(self) -> bytes:
        """The body of an answer that has a length, and some body."""
        if not self.answer.head["content-length"] or not self.answer.body:
            raise UnfitError("the answer has no body of a known length")
        return self.answer.body

    @property
    def other(self) -> tuple[str, str]:
        """The color that did not answer, and the version that it answered with before."""
        own = self.answer.head["x-color"]
        color = OTHER.get(own, "")
        if not color:
            raise UnfitError("the answer names no color")
        if color not in self.versions:
            raise UnfitError(f"no color but {own} has answered yet")
        return color, self.versions[color]


@dataclass(frozen=True)
class Replied:
    """The client gets this reply; `asks`: the proxy is asked, and its answer known."""

    reply: Callable[[Asked], Reply]
    asks: bool = True


@dataclass(frozen=True)
class Changed:
    """The proxy gets another request, made of the client's and the plant's value."""

    change: Callable[[Message, str], Message]


@dataclass(frozen=True)
class Copied:
    """The proxy gets the request on a connection of its own, too, and before."""


def _truncated(asked: Asked) -> Reply:
    half = (len(asked.whole) + 1) // 2
    return Reply(asked.answer.raw[:-half], Then.CLOSE)


def _corrupted(asked: Asked) -> Reply:
    body = bytearray(asked.whole)
    body[len(body) // 2] ^= 1
    return Reply(asked.answer.before + asked.answer.head.raw + body, Then.GO_ON)


def _stale(asked: Asked) -> Reply:
    color, version = asked.other
    head = asked.answer.head.having(X_Color=color, X_Version=version, Connection="close")
    return Reply(asked.answer.with_head(head).raw, Then.CLOSE)


def _backwards(asked: Asked) -> Reply:
    head = asked.answer.head.having(X_Version=asked.other[1], Connection="close")
    return Reply(asked.answer.with_head(head).raw, Then.CLOSE)


def _unexplained(asked: Asked) -> Reply:
    if not asked.versions:
        raise UnfitError("nobody has answered yet")
    body = b'{"items":[]}'
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    color, version = list(asked.versions.items())[-1]
    head = Head(b"HTTP/1.1 200 OK\r\n\r\n").having(
        Content_Length=str(len(body)),
        Content_Digest=f"sha-256=:{digest}:",
        X_Request_ID=asked.request.head["x-request-id"],
        X_Color=color,
        X_Version=version,
        Connection="close",
    )
    return Reply(head.raw + body, Then.CLOSE)


def _session(request: Message, _value: str) -> Message:
    if not request.head["cookie"]:
        raise UnfitError("the request has no session")
    return request.with_head(request.head.without("cookie"))


def _header(request: Message, value: str) -> Message:
    return request.with_head(request.head.having(X_Plant=value))


FAULTS: Mapping[str, Replied | Changed | Copied] = {
    "reset": Replied(lambda _asked: Reply(b"", Then.RESET), asks=False),
    "reset-answer": Replied(lambda _asked: Reply(b"", Then.RESET)),
    "hold": Replied(lambda _asked: Reply(b"", Then.GO_ON), asks=False),  # the client gives up
    "status": Replied(lambda _asked: Reply(REFUSAL, Then.GO_ON), asks=False),
    "truncated": Replied(_truncated),
    "corrupted": Replied(_corrupted),
    "stale": Replied(_stale),
    "backwards": Replied(_backwards),
    "unexplained": Replied(_unexplained, asks=False),
    "session": Changed(_session),
    "header": Changed(_header),
    "twice": Copied(),
}
"""By `Plant.how`."""
