"""A relay between swarm and proxy, as a process of its own: it adds a round trip, or plants drops.

`python -m cyan.proof.relay --to 127.0.0.1:8080 --rtt 0.04` prints the port that it listens on and
relays until its standard input closes or SIGTERM comes. Bytes, the end of each direction and
resets are carried as they come, each half the round trip later; with `--jitter`, give or take half
of that, by dice that fall the same each time. With `--planted FILE` it looks at
the requests, too, and, once FILE exists, plants `cyan.proof.planting` on some of them; FILE gets a
line per plant.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import select
import signal
import socket
import struct
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Address = tuple[str, int]
HERE = ("127.0.0.1", 0)
BACKLOG = 1024
DICE = random.Random(1)  # noqa: S311 - no secret
NICE = -10
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


async def serve(listen: Address, target: Address, way: tuple[float, float], planted: str) -> None:
    """Relay until standard input closes, or a signal asks for the end.

    `way` is the round trip and its jitter.
    """
    loop = asyncio.get_running_loop()
    server = await (
        _planting(listen, target, way, Path(planted)) if planted else _carrying(listen, target, way)
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if sys.stdin:
        with contextlib.suppress(PermissionError):  # /dev/null, or a file: it never closes
            loop.add_reader(sys.stdin.fileno(), _ended, ended)
    await ended.wait()


async def _carrying(listen: Address, target: Address, way: tuple[float, float]) -> asyncio.Server:
    loop, (rtt, jitter) = asyncio.get_running_loop(), way
    return await loop.create_server(
        lambda: Client(rtt / 2, target, jitter / 2), *listen, backlog=BACKLOG
    )


async def _planting(
    listen: Address, target: Address, way: tuple[float, float], notes: Path
) -> asyncio.Server:
    """A relay that plants and, where a round trip is wanted, one before it that adds it."""
    from cyan.proof.faulty import Asking, Planting  # noqa: PLC0415 - only calibration needs it

    loop, planting = asyncio.get_running_loop(), Planting(notes)
    where = HERE if way[0] else listen
    server = await loop.create_server(lambda: Asking(target, planting), *where, backlog=BACKLOG)
    return await _carrying(listen, server.sockets[0].getsockname(), way) if way[0] else server


def _ended(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        ended.set()


def address(text: str) -> Address:
    """`127.0.0.1:8080` as host and port."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def come_first() -> None:
    """Ask for the processor as the swarm does: a late relay would look like a slow site."""
    with contextlib.suppress(PermissionError):  # not root
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with contextlib.suppress(PermissionError, AttributeError):  # nor in a container, or on a Mac
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def main() -> None:
    """Read the flags and relay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--listen", type=address, default=HERE)
    parser.add_argument("--to", type=address, required=True)
    parser.add_argument("--rtt", type=float, default=0.0, help="seconds")
    parser.add_argument("--jitter", type=float, default=0.0, help="seconds, at most the round trip")
    parser.add_argument("--planted", default="", help="plant drops once this file exists")
    flags = parser.parse_args()
    come_first()
    asyncio.run(serve(flags.listen, flags.to, (flags.rtt, flags.jitter), flags.planted))


if __name__ == "__main__":
    main()
