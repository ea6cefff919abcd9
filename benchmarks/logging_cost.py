"""What the witness's log costs: the swarm's rate with its rows written, against without.

Run it alone: `.venv/bin/python benchmarks/logging_cost.py`. A server in a process of its own
answers at once; in one Locust the witness's user lets as many greenlets as there are sessions call
it as fast as they can, with and without the log, pair by pair, each first in turn. Exits 1 where
the median ratio is under 0.9.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
from gevent.server import StreamServer

from loadtests import locustfile
from loadtests.log import Log
from loadtests.place import Place
from loadtests.schedule import Due
from loadtests.swarm import Swarm, SwarmOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIRS = 10
REQUESTS = 6000
SESSIONS = 10
BAR = 0.9
LIMIT = 300  # seconds
RATES = "rates.json"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Unwritten(Log):
    """A log that writes nothing."""

    def intent(self, row: Sequence[object]) -> None:
        """Nothing."""

    def result(self, row: Sequence[object]) -> None:
        """Nothing."""


class Measured(locustfile.Witness):
    """The witness, but for its schedule: each session calls again once it was answered."""

    def _run(self) -> int:
        """Measure the pairs; rates.json in the log's folder has both rates of each."""
        options = self.environment.parsed_options
        assert options is not None  # noqa: S101 - for the type checker
        folder, rates = Path(options.log_dir), []
        locustfile._come_first()  # noqa: SLF001 - as the witness does
        for pair in range(PAIRS):
            of_pair = {}
            for written in (pair % 2 == 0, pair % 2 == 1):
                log = (Log if written else Unwritten)(folder, 2 * pair + written)
                of_pair[written] = self._rate(log, folder)
            rates.append((of_pair[True], of_pair[False]))
        (folder / RATES).write_text(json.dumps(rates), encoding="utf-8")
        (folder / "stop").touch()
        return 0

    def _rate(self, log: Log, folder: Path) -> float:
        """Requests a second of all sessions together."""
        place = Place(self.environment.host or "")
        with log:
            swarm = Swarm(SwarmOptions(place, folder, SESSIONS), log, self._tell)
            writing = gevent.spawn(swarm.keep_writing)
            began = time.perf_counter()
            gevent.joinall([gevent.spawn(self._calls, swarm) for _ in range(SESSIONS)])
            seconds = time.perf_counter() - began
            swarm.finished = True
            writing.get()
        if swarm.counts.answered != REQUESTS:
            raise RuntimeError(f"{swarm.counts.failed} requests failed, {swarm.broken[:1]}")
        return REQUESTS / seconds

    def _calls(self, swarm: Swarm) -> None:
        for _ in range(REQUESTS // SESSIONS):
            swarm._arrival(Due(time.monotonic_ns(), "get"))  # noqa: SLF001 - without the schedule


def answer(connection: gevent.socket.socket, _address: object) -> None:
    """Answer each request of a connection at once."""
    while connection.recv(65_536):
        connection.sendall(ANSWER)


def serve() -> None:
    """Print the port, and answer until the process is ended."""
    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()


def measured(url: str) -> list[tuple[float, float]]:
    """Each pair's rates, with the log and without, of one Locust."""
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, "-m", "locust", "-f", __file__, "--headless", "--only-summary")
        flags = ("--host", url, "--log-dir", folder, "--run-limit", str(LIMIT))
        done = subprocess.run((*command, *flags), check=False, capture_output=True, text=True)
        path = Path(folder) / RATES
        if not path.exists():
            raise SystemExit(done.stdout + done.stderr)
        pairs: list[tuple[float, float]] = json.loads(path.read_text(encoding="utf-8"))
        return pairs


def main() -> int:
    """Measure the pairs and print the median ratio."""
    if sys.argv[1:] == ["--serve"]:
        serve()
    with subprocess.Popen(
        (sys.executable, __file__, "--serve"), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
            pairs = measured(f"http://127.0.0.1:{int(server.stdout.readline())}")
        finally:
            server.terminate()
    ratios = sorted(written / unwritten for written, unwritten in pairs)
    median = statistics.median(ratios)
    with_, without = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    print(f"{with_:.0f} requests/s with the log, {without:.0f} without it (medians)")
    print(f"ratio: median {median:.3f}, from {ratios[0]:.3f} to {ratios[-1]:.3f}, bar {BAR}")
    return int(median < BAR)


if __name__ == "__main__":
    sys.exit(main())
