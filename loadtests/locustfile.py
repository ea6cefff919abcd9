"""The witness for Locust: `locust -f loadtests/locustfile.py --headless --host URL --log-dir DIR`.

Locust has no open loop of its own, so its one user owns the schedule and makes a greenlet for each
request. Locust's statistics hear of every request too, but the raw log is what is judged. With
Locust's `--processes N` or `--master` and workers, and as many `--users`, each worker takes its
share of the rate and writes a log of its own.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from locust import User, events, task
from locust.runners import WorkerRunner

from cyan.proof.loadfile import read
from cyan.proof.requestlog import OVERWHELMED
from loadtests import journeys, selftest
from loadtests.log import Log
from loadtests.own import Own
from loadtests.place import Place
from loadtests.schedule import SECOND, Due, arrivals, chosen
from loadtests.swarm import Swarm, SwarmOptions
from loadtests.workers import (
    DONE,
    FINISH,
    PROGRESS,
    STOP,
    UNBELIEVABLE,
    WATCH,
    Workers,
    lead,
    stopping,
    told_to_stop,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from locust.env import Environment

    from loadtests.client import Answer, Call

NICE = -10
LOG_DIR = "CYAN_LOG_DIR"
"""Where a worker on another machine writes; the master's folder is not there."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_arguments(parser: ArgumentParser) -> None:
    """The swarm's own flags."""
    add = parser.add_argument
    add("--log-dir", required=True, help="where the witness's log goes")
    add("--rate", type=float, default=100.0, help="requests a second")
    add("--sessions", type=int, default=60, help="connections that are kept open")
    add("--seed", type=int, default=1, help="of the choice of journeys")
    add("--run-limit", type=float, default=900.0, help="seconds after which it ends by itself")
    add("--in-flight", type=int, default=2000, help="requests at once at which it stops")
    add("--journeys", default="", help="a comma list of journeys (all of the demo's)")
    add("--load", default="", metavar="FILE", help="what users ask for: load.yaml")
    add("--path", default="/", help="what the journey 'get' asks for")
    add(
        "--refuse",
        action="append",
        default=[],
        metavar="NUMBER=URL",
        help="a planted fault: send that request, counted from 1, to a URL where nobody listens",
    )
    add("--plant", default="", metavar="URL", help="where nobody listens: one request goes there")
    add("--secure", default="", metavar="URL", help="the site over TLS, for the HTTP/2 journey")
    add("--through", default="", metavar="URL", help="where to connect to in the place of that")
    add("--connect", default="", metavar="HOST:PORT", help="what to connect to in its place")
    add("--authority", default="", metavar="PEM", help="the certificate authority to trust there")
    add("--fresh-connections", action="store_true", help="a new connection for every request")


@events.init.add_listener  # type: ignore[untyped-decorator]
def join(environment: Environment, runner: Any, **_: object) -> None:  # noqa: ANN401 - Locust's
    """Workers listen for the stop; the leading process, which may be the only one, leads."""
    runner.register_message(STOP, told_to_stop)
    if isinstance(runner, WorkerRunner):
        return
    options = environment.parsed_options
    assert options is not None  # noqa: S101 - for the type checker
    workers = Workers(Path(options.log_dir), options.expect_workers)
    runner.register_message(PROGRESS, workers.heard)
    runner.register_message(DONE, workers.done)
    gevent.spawn(lead, environment, workers)


def _planted(texts: list[str]) -> dict[int, str]:
    pairs = (text.partition("=") for text in texts)
    return {int(number): url for number, _, url in pairs}


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
        weights = chosen(options.journeys, secure=bool(options.secure))
        theirs = None
        if options.load:
            theirs = Own(read(Path(options.load)), options.seed + self._worker())
            weights = theirs.weights
        size, own = options.expect_workers, self._worker()
        _come_first()
        folder = Path(os.environ.get(LOG_DIR, options.log_dir))
        orders = SwarmOptions(
            Place(self.environment.host or "", options.connect, options.authority),
            folder,
            -(-options.sessions // size),
            options.path,
            options.fresh_connections,
            own,
            options.secure,
            options.through,
            in_flight=-(-options.in_flight // size),
            refuse=_planted(options.refuse) if own == 0 else {},
            journeys=theirs or journeys,
            plant=options.plant if own == 0 else "",
        )
        journeys.dice.seed(options.seed + own)
        with Log(folder, own) as log:
            swarm = Swarm(orders, log, self._tell, self._report)
            writing = gevent.spawn(swarm.keep_writing)
            watching = gevent.spawn(_stop_when_told, swarm)
            start = time.monotonic_ns() + SECOND // 5
            rate = options.rate / size
            swarm.run(arrivals(start, rate, options.seed + own, weights), start, rate)
            watching.kill()
            writing.get()
            swarm.sign_off()
        for fault in swarm.broken[:20]:
            print(f"the witness failed: {fault}", flush=True)  # noqa: T201
        if swarm.overwhelmed:
            print(f"stopped: {orders.in_flight} requests were in flight", flush=True)  # noqa: T201
            return OVERWHELMED
        return UNBELIEVABLE if swarm.broken or swarm.counts.in_flight else 0

    def _worker(self) -> int:
        """Which of the workers this is, from 0."""
        return int(self.environment.runner.worker_index)

    def _report(self, figures: dict[str, float]) -> None:
        self.environment.runner.send_message(
            PROGRESS, {"worker": self._worker(), "figures": figures}
        )

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
        self.environment.process_exit_code = code
        self.environment.runner.send_message(DONE, {"worker": self._worker(), "code": code})
        gevent.sleep(FINISH)  # until the leading process ends this user


def _stop_when_told(swarm: Swarm) -> None:
    """End the schedule when the leading process says so, or is gone."""
    parent = os.getppid()
    while os.getppid() == parent and not stopping.wait(WATCH):
        pass
    swarm.stopping = True
