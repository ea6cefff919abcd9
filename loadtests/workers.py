"""One load by one process or many: who is ready, how far they are, when all stop, how they ended.

Locust carries the messages between its master and its workers; where there is only one process it
calls the listeners itself, so that both ways are one.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from locust.runners import MasterRunner

if TYPE_CHECKING:
    from locust.env import Environment

PROGRESS, DONE, STOP = "witness-progress", "witness-done", "witness-stop"
WATCH = 0.1  # seconds between two looks at what may end the run
FINISH = 50.0  # seconds after the stop in which every worker must have ended
UNBELIEVABLE = 3  # exit code of a witness that must not be believed

stopping = Event()
"""Set in every process that holds sessions once the schedule ends."""


class Workers:
    """What the leading process keeps of its `size` workers; writes progress.json and ready.json."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._figures: dict[int, dict[str, float]] = {}
        self._codes: dict[int, int] = {}

    @property
    def ended(self) -> bool:
        """Whether every worker has said how it ended."""
        return len(self._codes) == self._size

    @property
    def heard_of(self) -> int:
        """How many workers have said how they ended."""
        return len(self._codes)

    @property
    def failed(self) -> bool:
        """Whether one ended that must not be believed."""
        return any(self._codes.values())

    @property
    def code(self) -> int:
        """The exit code of the whole."""
        return max(self._codes.values()) if self.ended else UNBELIEVABLE

    def heard(self, environment: Environment, msg: Any, **_: object) -> None:  # noqa: ARG002, ANN401
        """A worker tells how far it is."""
        self._figures[msg.data["worker"]] = msg.data["figures"]
        threads = gevent.get_hub().threadpool  # a busy disk must not hold up a schedule
        threads.apply(self._write)

    def done(self, environment: Environment, msg: Any, **_: object) -> None:  # noqa: ARG002, ANN401
        """A worker tells how it ended."""
        self._codes[msg.data["worker"]] = msg.data["code"]

    def _write(self) -> None:
        all_of = list(self._figures.values())
        worst = {"lag_p99_ms"}
        together = {
            name: (max if name in worst else sum)(figures[name] for figures in all_of)
            for name in all_of[0]
        }
        _replace(self._folder / "progress.json", together)
        begun = [figures["answered"] + figures["failed"] > 0 for figures in all_of]
        ready = self._folder / "ready.json"
        if sum(begun) == self._size and not ready.exists():
            _replace(ready, {"at": time.time()})


def lead(environment: Environment, workers: Workers) -> None:
    """Stop everybody at the stop file, at the run's limit, and when nobody reads the log; then end.

    A worker that does not end in time makes the exit code say that nothing may be believed.
    """
    options, runner = environment.parsed_options, environment.runner
    assert options is not None  # noqa: S101 - for the type checker, as the next
    assert runner is not None  # noqa: S101
    parent, limit = os.getppid(), time.monotonic() + options.run_limit
    stop = Path(options.log_dir) / "stop"
    while not (
        stop.exists() or os.getppid() != parent or time.monotonic() > limit or workers.failed
    ):
        gevent.sleep(WATCH)
    runner.send_message(STOP)
    deadline = time.monotonic() + FINISH
    while not workers.ended and time.monotonic() < deadline:
        if isinstance(runner, MasterRunner) and runner.worker_count <= workers.heard_of:
            break  # the others are dead: nobody is left to wait for
        gevent.sleep(WATCH)
    environment.process_exit_code = workers.code
    runner.quit()


def told_to_stop(environment: Environment, msg: object, **_: object) -> None:  # noqa: ARG001
    """The leading process says that the schedule ends."""
    stopping.set()


def _replace(path: Path, content: dict[str, float]) -> None:
    """Write a small file in one rename, so that its reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content) + "\n", encoding="utf-8")
    new.replace(path)
