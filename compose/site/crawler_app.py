"""crawler: works the queue of jobs; no HTTP. Run as `python3 crawler_app.py`."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from types import FrameType

ALIVE = Path("/tmp/alive")  # noqa: S108 - a tmpfs of this container; its health check reads it
PAUSE = 0.2  # seconds without a job
TAKE = """
    WITH job AS (
        SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 20 FOR UPDATE SKIP LOCKED
    ), done AS (
        UPDATE jobs SET state = 'done', done_at = now() FROM job WHERE jobs.id = job.id
        RETURNING jobs.id
    )
    INSERT INTO job_runs (job_id, worker, color, version) SELECT id, %s, %s, %s FROM done
"""
"""Takes jobs, does them (their work is the row that says so) and commits, all or nothing: a crawler
that is killed leaves its jobs to the next one, of whichever color."""


class Stop:
    """Whether SIGTERM was received; the job at hand is finished first."""

    asked = False

    def ask(self, _signal: int, _frame: FrameType | None) -> None:
        """Remember the signal."""
        self.asked = True


def work(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """Do some jobs; how many."""
    worker = socket.gethostname()
    identity = (worker, os.environ.get("COLOR", ""), os.environ.get("VERSION", ""))
    with connection.transaction():
        return connection.execute(TAKE, identity).rowcount


def run(stop: Stop) -> None:
    """Work until told to stop; a database that is away is asked again."""
    while not stop.asked:
        try:
            with psycopg.connect(os.environ["DATABASE"], autocommit=True) as connection:
                while not stop.asked:
                    done = work(connection)
                    ALIVE.touch()
                    if not done:
                        time.sleep(PAUSE)
        except psycopg.OperationalError as error:
            print(f"the database is away: {error}", flush=True)  # noqa: T201 - the container's log
            time.sleep(1)


def main() -> None:
    """Start."""
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.ask)
    signal.signal(signal.SIGINT, stop.ask)
    run(stop)


if __name__ == "__main__":
    main()
