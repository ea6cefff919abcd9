"""The swarm: one greenlet keeps the open schedule, and one more carries each request out."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import gevent

from cyan.proof.requestlog import PLANTED, STREAMS, Failure, SignOff
from loadtests import journeys
from loadtests.client import Answer, Call, Session
from loadtests.log import Log, escaped
from loadtests.schedule import SECOND, Due
from loadtests.secure import SecureSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from loadtests.place import Place

GENEROUS = 50  # sessions may be this many times what was asked for; then arrivals are abandoned
FINISH = 40.0  # seconds that requests in flight may take to end
FLUSH = 0.25  # seconds between two writes of the log
PLANT_AFTER = 200


class Journeys(Protocol):
    """What the users do: the demo's (loadtests.journeys), or any site's (loadtests.own).

    `pools` are the journeys that have sessions of their own; `alone` says whether an arrival opens
    a connection of its own.
    """

    pools: tuple[str, ...]

    def alone(self, journey: str) -> bool: ...  # noqa: D102
    def call_of(self, name: str, session: Any, path: str) -> Call: ...  # noqa: ANN401, D102
    def perform(self, call: Call, session: Any, request_id: str) -> Answer: ...  # noqa: ANN401, D102


@dataclass(frozen=True)
class SwarmOptions:
    """What the swarm was asked to do."""

    place: Place
    folder: Path
    sessions: int
    path: str = "/"
    fresh_connections: bool = False
    worker: int = 0
    secure: str = ""  # the site's address over TLS
    through: str = ""  # where that is connected to in its place
    in_flight: int = 2000  # requests of this process: more would overwhelm the site, or us
    refuse: Mapping[int, str] = field(default_factory=dict)
    """Calibration's plants: the so-manieth request sent goes to that URL, where nobody listens."""
    journeys: Journeys = journeys
    plant: str = ""
    """A URL where nobody listens, for one request beside the schedule, after PLANT_AFTER others."""


@dataclass
class Counts:
    """What was counted beside the rows."""

    scheduled: int = 0
    sent: int = 0
    abandoned: int = 0
    answered: int = 0
    failed: int = 0
    in_flight: int = 0
    beside: int = 0
    planted: int = 0
    lags: deque[int] = field(default_factory=lambda: deque(maxlen=1000))

    @property
    def lag_p99_ms(self) -> float:
        """How late the latest thousand requests were sent, at the 99th percentile."""
        ordered = sorted(self.lags)
        return ordered[int(len(ordered) * 0.99)] / 1e6 if ordered else 0.0


class Swarm:
    """Sessions, and the requests that they make.

    `tell` hears of each: (call, answer, due); `report` of the figures so far, once a second.
    """

    def __init__(
        self,
        orders: SwarmOptions,
        log: Log,
        tell: Callable[[Call, Answer, Due], None],
        report: Callable[[dict[str, float]], None] = lambda _figures: None,
    ) -> None:
        self.counts = Counts()
        self.broken: list[str] = []
        self.stopping = False
        self.finished = False
        self.overwhelmed = False
        self._orders = orders
        self._log = log
        self._tell = tell
        self._report = report
        self._users = 0  # of all time: a number is never given twice
        self._sessions = 0  # of now
        self._replaced = 0
        self._begun, self._rate = 0, 0.0
        self._id = secrets.randbits(23) << 40 | orders.worker << 32
        self._free: dict[str, deque[Any]] = {
            kind: deque() for kind in ("any", *orders.journeys.pools)
        }
        self._free["any"].extend(self._session("any") for _ in range(orders.sessions))

    def run(self, arrivals: Iterable[Due], begun: int, rate: float) -> None:
        """Keep the schedule until told to stop, then let what is in flight end.

        The schedule has begun at `begun` (ns, monotonic) and has `rate` arrivals a second.

        It stops by itself where too much is in flight: to go on would bring the site down.
        """
        self._begun, self._rate = begun, rate
        for due in arrivals:
            wait = (due.at - time.monotonic_ns()) / SECOND
            if wait > 0:
                gevent.sleep(wait)
            self.overwhelmed = self.counts.in_flight >= self._orders.in_flight
            if self.stopping or self.overwhelmed:
                break
            self.counts.scheduled += 1
            gevent.spawn(self._arrival, due)
            if self._orders.plant and self.counts.scheduled == PLANT_AFTER:
                self._beside()
                gevent.spawn(self._arrival, Due(time.monotonic_ns(), PLANTED))
        deadline = time.monotonic() + FINISH
        while self.counts.in_flight and time.monotonic() < deadline:
            gevent.sleep(0.02)
        self.finished = True

    def keep_writing(self) -> None:
        """Flush the log and tell the progress until `finished`.

        It must end by itself: one killed while another thread writes would leave two writers.
        """
        threads, told = gevent.get_hub().threadpool, 0.0
        while not self.finished:
            gevent.sleep(FLUSH)
            threads.apply(self._log.write, (self._log.take(),))
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                self._report(self._figures())

    def sign_off(self) -> None:
        """Write the sign-off, unless the witness broke or lost something."""
        self._report(self._figures())
        count = self.counts
        if self.broken or count.in_flight:
            self._log.flush()
            return
        self._log.sign_off(
            SignOff(
                worker=self._orders.worker,
                scheduled=count.scheduled,
                sent=count.sent,
                abandoned=count.abandoned,
                answered=count.answered,
                failed=count.failed,
                replaced_idle=self._replaced,
                begun_ns=self._begun,
                rate=self._rate,
                beside=count.beside,
            )
        )

    def _arrival(self, due: Due) -> None:
        self.counts.in_flight += 1
        try:
            self._one(due)
        except Exception as error:  # noqa: BLE001 - a fault of ours must be loud, not lost
            self.broken.append(repr(error))
        finally:
            self.counts.in_flight -= 1

    def _beside(self) -> None:
        """One more, which the schedule does not hold."""
        self.counts.scheduled += 1
        self.counts.beside += 1

    def _one(self, due: Due) -> None:
        if due.journey == PLANTED:
            session = Session(self._orders.plant, 0)
            self._sent(due, Call(PLANTED, "GET", "/"), session)
            self.counts.planted += 1
            return
        kind = due.journey if due.journey in self._free else "any"
        fresh = self._orders.fresh_connections
        alone = self._orders.journeys.alone(due.journey) or (fresh and kind == "any")
        session = self._taken(kind, alone=alone)
        if session is None:
            self._unsent(due)
            return
        call = self._orders.journeys.call_of(due.journey, session, self._orders.path)
        replaced = session.replaced
        try:
            answer = self._sent(due, call, session)
            if answer.failure and due.journey in STREAMS and not self.stopping:
                self._beside()  # as any client of a stream: it is back at once
                self._sent(Due(time.monotonic_ns(), due.journey), call, session)
        finally:
            self._replaced += session.replaced - replaced
            if alone or fresh:
                session.close()
            if alone:
                self._sessions -= 1
            else:  # also where its connection is gone: its user is still logged in
                self._free[kind].append(session)

    def _unsent(self, due: Due) -> None:
        """Tell of an arrival for which there is no session: nobody looked at the site then."""
        self.counts.abandoned += 1
        number, now = self._intent(due, Call(due.journey, "GET", ""), 0)
        answer = Answer(end_ns=now)
        answer.fail(Failure.UNSENT, "no session was free")
        self._row(number, answer)

    def _intent(self, due: Due, call: Call, user: int) -> tuple[int, int]:
        """Write that a request is about to be sent; its id, and when that was."""
        self._id += 1
        number, sent = self._id, time.monotonic_ns()
        self._log.intent(
            (number, user, call.journey, call.method, call.path, due.at, sent, time.time_ns())
        )
        return number, sent

    def _sent(self, due: Due, call: Call, session: Session) -> Answer:
        number, sent = self._intent(due, call, session.user)
        self.counts.sent += 1
        if self.counts.sent in self._orders.refuse:
            session = Session(self._orders.refuse[self.counts.sent], session.user)
        self.counts.lags.append(sent - due.at)
        try:
            answer = self._orders.journeys.perform(call, session, f"{number:016x}")
        except Exception as error:  # noqa: BLE001 - as above
            self.broken.append(f"{call.journey}: {error!r}")
            answer = Answer(end_ns=time.monotonic_ns(), failure=Failure.STATUS)
            answer.error = f"the witness itself failed: {error!r}"
        self._result(number, answer)
        self._tell(call, answer, due)
        return answer

    def _result(self, number: int, answer: Answer) -> None:
        good = answer.failure is Failure.NONE
        self.counts.answered += good
        self.counts.failed += not good
        self._row(number, answer)

    def _row(self, number: int, answer: Answer) -> None:
        self._log.result(
            (
                number,
                answer.first_ns,
                answer.end_ns,
                answer.status,
                answer.expected,
                answer.received,
                answer.digest,
                answer.connection,
                answer.age_ns,
                answer.color,
                answer.version,
                answer.framing,
                answer.failure,
                escaped(answer.error),
            )
        )

    def _taken(self, kind: str, *, alone: bool) -> Any:  # noqa: ANN401 - either sort of session
        if not alone and self._free[kind]:
            return self._free[kind].popleft()
        if self._sessions >= self._orders.sessions * GENEROUS:
            return None
        return self._session(kind)

    def _session(self, kind: str) -> Any:  # noqa: ANN401 - either sort of session
        self._users += 1
        self._sessions += 1
        if kind == "secure":
            secure, authority = self._orders.secure, self._orders.place.authority
            return SecureSession(secure, self._users, authority, through=self._orders.through)
        return Session(self._orders.place, self._users)

    def _figures(self) -> dict[str, float]:
        count = self.counts
        return {
            "sent": count.sent,
            "answered": count.answered,
            "failed": count.failed - count.planted,
            "in_flight": count.in_flight,
            "lag_p99_ms": round(count.lag_p99_ms, 2),
        }
