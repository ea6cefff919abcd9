"""What the witness's log costs: the swarm's rate with its rows written, against without.

Run it alone: `.venv/bin/python benchmarks/logging_cost.py`. A local server answers at once, users
call as fast as they can, with and without the log, pair by pair. Exits 1 where the median ratio is
under 0.9.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
from gevent.server import StreamServer

from loadtests.log import Log
from loadtests.schedule import Due
from loadtests.swarm import Orders, Swarm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtests.client import Answer, Call

PAIRS = 7
REQUESTS = 4000
USERS = 10
BAR = 0.9
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(connection: gevent.socket.socket, _address: object) -> None:
    """Answer each request of a connection at once."""
    while connection.recv(65_536):
        connection.sendall(ANSWER)


def rate(url: str, log: Log, folder: Path) -> float:
    """Requests a second of so many users in a closed loop."""
    swarm = Swarm(Orders(url, folder, USERS), log, told)
    per_user = REQUESTS // USERS

    def user() -> None:
        for _ in range(per_user):
            swarm._arrival(Due(time.monotonic_ns(), "get"))  # noqa: SLF001 - without the schedule

    began = time.perf_counter()
    gevent.joinall([gevent.spawn(user) for _ in range(USERS)])
    log.flush()
    return REQUESTS / (time.perf_counter() - began)


class Unwritten(Log):
    """A log that writes nothing."""

    def intent(self, row: Sequence[object]) -> None:
        """Nothing."""

    def result(self, row: Sequence[object]) -> None:
        """Nothing."""


def told(_call: Call, _answer: Answer, _due: Due) -> None:
    """Nobody listens."""


def main() -> int:
    """Measure the pairs and print the median ratio."""
    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    url = f"http://127.0.0.1:{server.server_port}"
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pair in range(PAIRS):  # a log is never written over: each has a number of its own
            with Log(folder, 2 * pair) as log:
                written = rate(url, log, folder)
            with Unwritten(folder, 2 * pair + 1) as log:
                ratios.append(written / rate(url, log, folder))
    median = statistics.median(ratios)
    print(f"with the log against without: median {median:.3f}, bar {BAR}")
    return int(median < BAR)


if __name__ == "__main__":
    sys.exit(main())
