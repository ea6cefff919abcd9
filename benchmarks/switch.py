"""How late after the rename the old color may still answer a request that started after it.

Run it with the lab up: `.venv/bin/python benchmarks/switch.py`. Both colors are warm, and the
marker is renamed back and forth under load by this script itself. Exits 1 where a request that
started more than 5 ms after a rename was answered by the old color, or where one failed.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent
TRAFFIC = PROJECT / ".lab/host/traffic"
INV = str(PROJECT / ".venv/bin/inv")
PORT = 8080
SECONDS = 15.0
USERS = 8
LATE = 0.005
PAUSE = 0.11  # seconds between two renames


class User(threading.Thread):
    """Sends requests on one kept-alive connection; remembers when each began and who answered."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until
        self.answers: list[tuple[float, float, str]] = []  # started, ended, color
        self.errors: list[str] = []

    def run(self) -> None:
        """Until the time is up."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
        while time.monotonic() < self.until:
            started = time.monotonic()
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:  # noqa: PLR2004
                self.answers.append((started, time.monotonic(), answer.headers["X-Color"]))
            else:
                self.errors.append(str(answer.status))


@dataclass(frozen=True)
class Rename:
    """When a rename was called and returned, and the color that it made live."""

    called: float
    returned: float
    live: str


def renames(until: float) -> list[Rename]:
    """Rename the marker back and forth until the time is up."""
    live = "green" if (TRAFFIC / "green").exists() else "blue"
    done = [Rename(time.monotonic(), time.monotonic(), live)]
    while time.monotonic() < until - 1:
        time.sleep(PAUSE)
        old, live = live, {"green": "blue", "blue": "green"}[live]
        called = time.monotonic()
        os.rename(TRAFFIC / old, TRAFFIC / live)  # noqa: PTH104 - rename(2) is what is measured
        done.append(Rename(called, time.monotonic(), live))
    return done


def lateness(answers: list[tuple[float, float, str]], done: list[Rename]) -> list[float]:
    """Of each answer by the old color: seconds from the rename's return to the request's start.

    An answer may rightly be the next color's, where the next rename was called before it ended.
    """
    times = [rename.returned for rename in done]
    found = []
    for started, ended, color in answers:
        position = bisect_right(times, started) - 1
        next_called = done[position + 1].called if position + 1 < len(done) else float("inf")
        if position >= 0 and color != done[position].live and ended < next_called:
            found.append(started - times[position])
    return found


def main() -> int:
    """Measure, and say how many answers came from the old color, and how late."""
    for version in ("v1", "v2"):
        subprocess.run([INV, "deploy", "--version", version], check=True, cwd=PROJECT)
    until = time.monotonic() + SECONDS
    users = [User(until) for _ in range(USERS)]
    for user in users:
        user.start()
    done = renames(until)
    for user in users:
        user.join()
    answers = [answer for user in users for answer in user.answers]
    stale = lateness(answers, done)
    late = [after for after in stale if after > LATE]
    errors = [error for user in users for error in user.errors]
    print(f"{len(answers)} answers, {len(done)} renames, {len(errors)} errors")
    print(f"answered by the old color: {len(stale)}, of these more than 5 ms late: {len(late)}")
    return int(bool(late or errors))


if __name__ == "__main__":
    sys.exit(main())
