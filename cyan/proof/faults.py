"""What the relay does to a request that calibration plants a drop on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.proof.planting import Plant, Planter
from cyan.proof.relay import reset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

BLOCK = 65_536
LARGEST = 1 << 20  # bytes of a head
OTHER = {"blue": "green", "green": "blue"}


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
        """The first line's words."""
        return self.raw.split(b"\r\n", 1)[0].decode("latin-1").split(" ")

    @property
    def path(self) -> str:
        """A request's path, without its query."""
        return self.words[1].partition("?")[0]

    @property
    def length(self) -> int:
        """The length of the body that follows; 0 where there is none."""
        return int(self["content-length"] or 0)


@dataclass
class Link:
    """One client's connection and the one to the proxy that belongs to it."""

    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    versions: dict[str, str]  # by color, the one that answered last at the end
    target: tuple[str, int]

    async def forward(self, head: Head, body: bytes) -> None:
        """Send a request to the proxy."""
        self.server[1].write(head.raw + body)
        await self.server[1].drain()

    async def answer(self) -> Head:
        """The head of the proxy's answer."""
        head = await read_head(self.server[0])
        if head["x-color"]:
            self.versions.pop(head["x-color"], None)  # the last one seen is to be the last one
            self.versions[head["x-color"]] = head["x-version"]
        return head

    async def reply(self, data: bytes) -> None:
        """Send to the client."""
        self.client[1].write(data)
        await self.client[1].drain()


async def read_head(reader: asyncio.StreamReader) -> Head:
    """The next head. Raises IncompleteReadError where the connection ends."""
    return Head(await reader.readuntil(b"\r\n\r\n"))


class Faulty:
    """Relays requests one by one; the planter says which of them get a fault."""

    def __init__(self, target: tuple[str, int], planted: Path) -> None:
        self._target = target
        self._planted = planted
        self._planter = Planter()
        self._versions: dict[str, str] = {}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client's connection."""
        try:
            server = await asyncio.open_connection(*self._target, limit=LARGEST)
        except OSError:
            reset(writer.transport)
            return
        link = Link((reader, writer), server, self._versions, self._target)
        try:
            await self._requests(link)
        except asyncio.IncompleteReadError:
            pass  # one of the two closed in order
        except OSError:
            reset(writer.transport)
        finally:
            for end in (writer, server[1]):
                end.close()

    async def _requests(self, link: Link) -> None:
        used = "new"
        while True:
            head = await _either(link)
            if head["upgrade"] or head.path == "/events":
                await link.forward(head, b"")
                await _splice(link)
                return
            body = await link.client[0].readexactly(head.length)
            plant = self._chosen(head, used)
            used = "reused"
            do = FAULTS[plant.how] if plant else _pass_on
            if not await do(link, head, body, plant.value if plant else ""):
                return

    def _chosen(self, head: Head, used: str) -> Plant | None:
        if not self._planted.exists():
            return None
        plant = self._planter.choose(head.words[0], head.path, used)
        if plant:
            line = {"id": head["x-request-id"], "plant": plant.name, "at_ns": time.time_ns()}
            with self._planted.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return plant


async def _either(link: Link) -> Head:
    """The client's next request; IncompleteReadError as well where the proxy closes meanwhile."""
    request = asyncio.ensure_future(read_head(link.client[0]))
    closed = asyncio.ensure_future(link.server[0].read(1))
    await asyncio.wait((request, closed), return_when=asyncio.FIRST_COMPLETED)
    closed.cancel()
    if not request.done():
        request.cancel()
        raise asyncio.IncompleteReadError(b"", None)
    with contextlib.suppress(asyncio.CancelledError):
        await closed
    return request.result()


async def _splice(link: Link) -> None:
    """Pass bytes on in both directions until either ends."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()

    copies = [
        asyncio.ensure_future(copy(link.client[0], link.server[1])),
        asyncio.ensure_future(copy(link.server[0], link.client[1])),
    ]
    done, left = await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    for each in left:
        each.cancel()
    for each in done:
        each.result()


async def _body(link: Link, head: Head) -> bytes:
    """The whole body of an answer that has a length."""
    return await link.server[0].readexactly(head.length)


async def _pass_on(link: Link, head: Head, body: bytes, _value: str) -> bool:
    await link.forward(head, body)
    answer = await link.answer()
    await link.reply(answer.raw + await _body(link, answer))
    return answer["connection"].lower() != "close"


async def _reset(link: Link, _head: Head, _body: bytes, _value: str) -> bool:
    reset(link.client[1].transport)
    return False


async def _reset_answer(link: Link, head: Head, body: bytes, _value: str) -> bool:
    await link.forward(head, body)
    await _body(link, await link.answer())
    reset(link.client[1].transport)
    return False


async def _hold(link: Link, _head: Head, _body: bytes, _value: str) -> bool:
    await link.client[0].read()  # until the client gives up
    return False


async def _status(link: Link, _head: Head, _body: bytes, _value: str) -> bool:
    await link.reply(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nplanted\n")
    return True


async def _truncated(link: Link, head: Head, body: bytes, _value: str) -> bool:
    await link.forward(head, body)
    answer = await link.answer()
    whole = await _body(link, answer)
    await link.reply(answer.raw + whole[: len(whole) // 2])
    return False


async def _corrupted(link: Link, head: Head, body: bytes, _value: str) -> bool:
    await link.forward(head, body)
    answer = await link.answer()
    whole = bytearray(await _body(link, answer))
    whole[len(whole) // 2] ^= 1
    await link.reply(answer.raw + whole)
    return True


async def _stale(link: Link, head: Head, body: bytes, _value: str) -> bool:
    await link.forward(head, body)
    answer = await link.answer()
    color = OTHER[answer["x-color"]]
    changed = answer.having(X_Color=color, X_Version=link.versions[color], Connection="close")
    await link.reply(changed.raw + await _body(link, answer))
    return False


async def _backwards(link: Link, head: Head, body: bytes, _value: str) -> bool:
    await link.forward(head, body)
    answer = await link.answer()
    version = link.versions[OTHER[answer["x-color"]]]
    changed = answer.having(X_Version=version, Connection="close")
    await link.reply(changed.raw + await _body(link, answer))
    return False


async def _unexplained(link: Link, head: Head, _body: bytes, _value: str) -> bool:
    body = b'{"items":[]}'
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    color, version = list(link.versions.items())[-1]
    answer = Head(b"HTTP/1.1 200 OK\r\n\r\n").having(
        Content_Length=str(len(body)),
        Content_Digest=f"sha-256=:{digest}:",
        X_Request_ID=head["x-request-id"],
        X_Color=color,
        X_Version=version,
        Connection="close",
    )
    await link.reply(answer.raw + body)
    return False


async def _session(link: Link, head: Head, body: bytes, value: str) -> bool:
    return await _pass_on(link, head.without("cookie"), body, value)


async def _header(link: Link, head: Head, body: bytes, value: str) -> bool:
    return await _pass_on(link, head.having(X_Plant=value), body, value)


async def _twice(link: Link, head: Head, body: bytes, value: str) -> bool:
    reader, writer = await asyncio.open_connection(*link.target)
    writer.write(head.having(Connection="close").raw + body)
    await reader.read()
    writer.close()
    return await _pass_on(link, head, body, value)


FAULTS: Mapping[str, Callable[[Link, Head, bytes, str], Awaitable[bool]]] = {
    "reset": _reset,
    "reset-answer": _reset_answer,
    "hold": _hold,
    "status": _status,
    "truncated": _truncated,
    "corrupted": _corrupted,
    "stale": _stale,
    "backwards": _backwards,
    "unexplained": _unexplained,
    "session": _session,
    "header": _header,
    "twice": _twice,
}
"""By `Plant.how`. Each says whether the client's connection may be used again."""
