"""The two ends of a relayed connection, which carry bytes, ends and resets as they come."""

from __future__ import annotations

import asyncio
import random
import select
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Address = tuple[str, int]
DICE = random.Random(1)  # noqa: S311 - no secret
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: close(2) sends a reset


def reset(transport: asyncio.WriteTransport) -> None:
    """Close a connection with a reset."""
    opened = transport.get_extra_info("socket")
    if opened is not None and opened.fileno() >= 0:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()


class End(asyncio.Protocol):
    """One end of a relayed connection: what it hears leaves at the other end, `delay` s later.

    Give or take `jitter` s, and never before what it heard earlier.
    """

    def __init__(self, delay: float, jitter: float = 0.0) -> None:
        self.delay = delay
        self.jitter = jitter
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self._queue: deque[Callable[[End], None]] = deque()
        self._waiting = 0  # due, but the other end is not connected yet
        self._finished = False  # our peer was told that no more will come
        self._errors: select.epoll | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP connection
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._later(lambda other: other.write(data))

    def eof_received(self) -> bool:
        """The peer sends no more; it may still listen."""
        self.watch()
        self._later(lambda other: other.finish())
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Closed by us, or reset by the peer."""
        self._unwatch()
        if error is not None:
            self._later(lambda other: other.reset())

    def pause_writing(self) -> None:
        """Our peer reads slowly: the other one must wait."""
        if self.other and self.other.transport:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Our peer caught up."""
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def meet(self, other: End) -> None:
        """Connect to the other end; what was due meanwhile leaves now."""
        self.other = other
        for _ in range(self._waiting):
            self._queue.popleft()(other)
        self._waiting = 0

    def write(self, data: bytes) -> None:
        """Send to our peer."""
        if self.transport and not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        """Send no more to our peer; close where both have been told so."""
        if self.transport and not self.transport.is_closing():
            self.transport.write_eof()
        self._finished = True
        if self.other and self.other._finished:  # noqa: SLF001 - it is another of us
            self.close()
            self.other.close()

    def watch(self) -> None:
        """Hear of a reset after the end: asyncio reads no more, but an epoll set tells of errors.

        Where there is none (a Mac) the next write meets the reset.
        """
        if self.transport and hasattr(select, "epoll"):
            self._errors = select.epoll()
            self._errors.register(self.transport.get_extra_info("socket").fileno(), 0)
            asyncio.get_running_loop().add_reader(self._errors.fileno(), self._failed)

    def close(self) -> None:
        """Close once what was written has left."""
        if self.transport:
            self.transport.close()

    def reset(self) -> None:
        """Reset our peer's connection."""
        if self.transport:
            reset(self.transport)

    def _unwatch(self) -> None:
        if self._errors:
            asyncio.get_running_loop().remove_reader(self._errors.fileno())
            self._errors.close()
            self._errors = None

    def _failed(self) -> None:
        """The connection was reset or, without an error, has ended in both directions."""
        self._unwatch()
        assert self.transport is not None  # noqa: S101 - for the type checker: it was watched
        opened = self.transport.get_extra_info("socket")
        if opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            self._later(lambda other: other.reset())

    def _later(self, what: Callable[[End], None]) -> None:
        """Do it to the other end after the delay; a queue keeps the order."""
        self._queue.append(what)
        if self.delay:
            delay = self.delay + DICE.uniform(-self.jitter, self.jitter)
            asyncio.get_running_loop().call_later(delay, self._due)
        else:
            self._due()

    def _due(self) -> None:
        if self.other is None:
            self._waiting += 1
        else:
            self._queue.popleft()(self.other)


class Client(End):
    """The swarm's end: it makes the connection to the proxy."""

    def __init__(self, delay: float, target: tuple[str, int], jitter: float = 0.0) -> None:
        super().__init__(delay, jitter)
        self.target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted: connect to the proxy too."""
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def facing(self) -> End:
        """The end that will be connected to the proxy."""
        return End(self.delay, self.jitter)

    async def _connect(self) -> None:
        server = self.facing()
        server.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, *self.target)
        except OSError:
            self.reset()
        else:
            self.meet(server)
