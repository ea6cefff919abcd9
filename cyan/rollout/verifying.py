"""Asking the site itself, as its users do, who answers after a switch."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from cyan.errors import DeployError
from cyan.hosts import site
from cyan.proxies.log_line import identified
from cyan.rollout.health import Look, State
from cyan.rollout.job import Done
from cyan.rollout.logged import Log
from cyan.rollout.preflight import CERTIFICATE, unneeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from cyan.rollout.job import Job

ANSWERS = 3  # answers of the right color that verify a switch
PATIENCE = 5.0  # seconds that the site may take to answer as the new color
LOGGED = 2.0  # seconds that the proxy may take to log an answer
RECENT = 2**20  # bytes of its log that hold what was just answered


def verify(job: Job, ask: Callable[[httpx.Client, Mapping[str, str]], Look]) -> Done:
    """Ask on new connections, until the right release answers often enough.

    An application that does not say its color is known by the request's id in the proxy's log.
    Raises DeployError.
    """
    if "maintenance" in job.world.markers:
        return Done("skipped: the site is in maintenance")
    good, last, deadline = 0, Look(State.WAITING), time.monotonic() + PATIENCE
    log = Log(job, RECENT) if job.settings.adopted else None
    tls = site.trusted(job.host, job.settings, job.world)
    if tls and CERTIFICATE in (*job.plan.run.forced, *unneeded(job.plan)):
        tls = replace(tls, checked=False)  # preflight has told what is wrong with it
    while good < ANSWERS:
        request = f"{site.OURS}{uuid.uuid4().hex}"
        with site.site(job.host, job.settings, tls) as asked:
            last = ask(asked, {"X-Request-ID": request})
        if log and last.state is State.PASSING:
            last = _logged(job, log, request)
        good = good + 1 if last.state is State.PASSING else 0
        if good == 0 and time.monotonic() > deadline:
            raise DeployError(
                f"the traffic was switched, but the site does not answer as {job.plan.target}: "
                f"{last.reason}",
                where=f"{job.settings.site.url} on {job.host.name}",
            )
    warnings = (f"which color answers could not be told: {log.doubt}",) if log and log.doubt else ()
    return Done(f"{good} of {good} answers are {job.plan.target}", warnings=warnings)


def _logged(job: Job, log: Log, request: str) -> Look:
    """Whether the target answered a request, by the proxy's log."""
    wanted, deadline = job.plan.target.color, time.monotonic() + LOGGED
    while not log.doubt:
        for line in log.more():
            color, found = _who(line)
            if found == request:
                wrong = f"the proxy's log says that {color or 'nobody'} answered"
                return Look(State.PASSING) if color == wanted else Look(State.WAITING, wrong)
        if time.monotonic() > deadline:
            return Look(State.WAITING, "the proxy's log does not have what it answered")
        time.sleep(0.05)
    return Look(State.PASSING)


def _who(line: str) -> tuple[str, str]:
    try:
        return identified(json.loads(line))
    except (ValueError, AttributeError):  # torn
        return "", ""
