"""A relay between swarm and proxy, as a process of its own: it adds a round trip, or plants drops.

`python -m cyan.proof.relay --to 127.0.0.1:8080 --rtt 0.04` prints the port that it listens on and
relays until its standard input closes or SIGTERM comes. Bytes, the end of each direction and
resets are carried as they come, each half the round trip later; with `--jitter`, give or take half
of that, by dice that fall the same each time. With `--planted FILE` it looks at
the requests, too, and, once FILE exists, plants `cyan.proof.relay.plants` on some of them; FILE
gets a line per plant.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.proof.relay.connection import Client
from cyan.proof.relay.plants import Draw, Planter

if TYPE_CHECKING:
    from cyan.proof.relay.connection import Address

HERE = ("127.0.0.1", 0)
BACKLOG = 1024
NICE = -10


async def serve(
    listen: Address,
    target: Address,
    way: tuple[float, float],
    planted: str,
    drawn: Draw | None = None,
) -> None:
    """Relay until standard input closes, or a signal asks for the end.

    `way` is the round trip and its jitter; what is planted may be `drawn`.
    """
    loop = asyncio.get_running_loop()
    server = await (
        _planting(listen, target, way, Path(planted), drawn)
        if planted
        else _carrying(listen, target, way)
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
    listen: Address, target: Address, way: tuple[float, float], notes: Path, drawn: Draw | None
) -> asyncio.Server:
    """A relay that plants and, where a round trip is wanted, one before it that adds it."""
    from cyan.proof.relay.planting import Asking, Planting  # noqa: PLC0415 - only calibration needs it

    loop, planting = asyncio.get_running_loop(), Planting(notes, Planter(drawn=drawn))
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
    parser.add_argument("--draw", type=int, nargs=3, metavar=("COUNT", "WITHIN", "SEED"))
    flags = parser.parse_args()
    come_first()
    drawn, way = Draw(*flags.draw) if flags.draw else None, (flags.rtt, flags.jitter)
    asyncio.run(serve(flags.listen, flags.to, way, flags.planted, drawn))


if __name__ == "__main__":
    main()
