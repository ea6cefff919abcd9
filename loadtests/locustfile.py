"""The witness for Locust: `locust -f loadtests/locustfile.py --headless --host URL --log-dir DIR`.

Locust has no open loop of its own, so its one user owns the schedule and makes a greenlet for each
request. Locust's statistics hear of every request too, but the raw log is what is judged.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
from locust import User, events, task

from loadtests import journeys, selftest
from loadtests.log import Log
from loadtests.schedule import SECOND, Due, arrivals, chosen
from loadtests.swarm import Orders, Swarm

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from locust.env import Environment

    from loadtests.client import Answer, Call

NICE = -10
WATCH = 0.1  # seconds between two looks at what may end the run
UNBELIEVABLE = 3  # exit code of a witness that must not be believed


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_arguments(parser: ArgumentParser) -> None:
    """The swarm's own flags."""
    add = parser.add_argument
    add("--log-dir", type=Path, required=True, help="where the witness's log goes")
    add("--rate", type=float, default=100.0, help="requests a second")
    add("--sessions", type=int, default=60, help="connections that are kept open")
    add("--seed", type=int, default=1, help="of the choice of journeys")
    add("--run-limit", type=float, default=900.0, help="seconds after which it ends by itself")
    add("--journeys", default="", help="a comma list of journeys (all of the demo's)")
    add("--path", default="/", help="what the journey 'get' asks for")
    add(
        "--refuse",
        type=_planted,
        action="append",
        default=[],
        metavar="NUMBER=URL",
        help="a planted fault: send that request, counted from 1, to a URL where nobody listens",
    )
    add("--fresh-connections", action="store_true", help="a new connection for every request")


def _planted(text: str) -> tuple[int, str]:
    number, _, url = text.partition("=")
    return int(number), url


def _come_first() -> None:
    """Ask for the processor before the system that is measured, where the user may.

    Clients have machines of their own; on a shared one a late witness would have to call its own
    verdict unknown. A nice value alone is too little: containers are groups of their own beside us.
    """
    with suppress(PermissionError):  # not root
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with suppress(PermissionError, AttributeError):  # nor in a container, or on a Mac
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    gc.freeze()  # what Locust loaded stays: no need to look through it at every collection


class Witness(User):
    """The one user: it proves itself, keeps the schedule, and ends the run."""

    @task
    def keep_schedule(self) -> None:
        """All of the run, in one task. Locust would begin a task that raises again, for ever."""
        try:
            code = self._run()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may believe this run
            print(f"the witness failed: {error!r}", file=sys.stderr, flush=True)  # noqa: T201
            code = UNBELIEVABLE
        self._end(code)

    def _run(self) -> int:
        """The exit code."""
        faults = selftest.faults()
        if faults:
            print("the witness must not be believed:", *faults, sep="\n  ", flush=True)  # noqa: T201
            return UNBELIEVABLE
        options = self.environment.parsed_options
        weights = chosen(options.journeys)
        _come_first()
        orders = Orders(
            options.host,
            options.log_dir,
            options.sessions,
            options.path,
            options.fresh_connections,
            refuse=dict(options.refuse),
        )
        journeys.dice.seed(options.seed)
        with Log(options.log_dir, orders.worker) as log:
            swarm = Swarm(orders, log, self._tell)
            writing = gevent.spawn(swarm.keep_writing)
            watching = gevent.spawn(self._watch, swarm)
            start = time.monotonic_ns() + SECOND // 5
            swarm.run(arrivals(start, options.rate, options.seed, weights))
            watching.kill()
            writing.get()
            swarm.sign_off()
        for fault in swarm.broken[:20]:
            print(f"the witness failed: {fault}", flush=True)  # noqa: T201
        return UNBELIEVABLE if swarm.broken or swarm.counts.in_flight else 0

    def _watch(self, swarm: Swarm) -> None:
        """Stop at the stop file, at the run's limit, and when nobody is there to read the log."""
        options = self.environment.parsed_options
        parent, limit = os.getppid(), time.monotonic() + options.run_limit
        stop = options.log_dir / "stop"
        while not stop.exists() and os.getppid() == parent and time.monotonic() < limit:
            gevent.sleep(WATCH)
        swarm.stopping = True

    def _tell(self, call: Call, answer: Answer, due: Due) -> None:
        self.environment.events.request.fire(
            request_type=call.method,
            name=call.journey,
            response_time=(answer.end_ns - due.at) / 1e6,
            response_length=answer.received,
            exception=None if not answer.failure else RuntimeError(answer.error),
            context={},
        )

    def _end(self, code: int) -> None:
        environment: Environment = self.environment
        environment.process_exit_code = code
        assert environment.runner is not None  # noqa: S101 - a user runs in a runner
        gevent.spawn_later(0, environment.runner.quit)
        gevent.sleep(60)  # until the runner ends this user
