"""Everything a check may look at: the requests with all witnesses beside them, and the history."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cyan.proof import reigns
from cyan.proof.client_log import is_in
from cyan.proof.findings import STEADY
from cyan.proof.requestlog import PLANTED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from cyan.proof.client_log import ClientLog
    from cyan.proof.history import History, Window
    from cyan.proof.witnesses import Witnesses

Mask = npt.NDArray[np.bool_]
"""One truth value per row of the requests frame."""

JOURNEYS = (
    "page", "items", "order", "login", "me", "slow", "download", "ask", "events", "socket", "fresh",
)  # fmt: skip
WITNESSES = ("proxy", "application", "ledger", "jobs", "journal")
MILLISECOND = 1_000_000  # nanoseconds
ROUNDED_NS = 1_000
"""What is lost of an instant that a log tells as seconds in a double."""

NOTHING: Mapping[str, str] = MappingProxyType({})
ABSENT = -1
"""Count of a witness that is missing as a whole, which is not the same as having seen nothing."""


@dataclass(frozen=True)
class Stall:
    """How long the site may stand still during an act: seconds, and a share of the answers.

    `gap` is the longest time without an answer; `p99` (counted from when requests were due) and
    `slow`, the share that took over a second, are what an act may have more than the steady state.
    """

    gap: float = 1.0
    p99: float = 5.0
    slow: float = 0.2


@dataclass(frozen=True)
class Bounds:
    """What the evidence must live up to.

    `stale_ns`: how long after a switch the old color may still answer, before the clocks'
    uncertainty. `clock_ns`: the most that this uncertainty may be, since it hides what is stale.
    `journey_n`: of a journey that sends as many on average in the time of an act, some must be
    there. `required`: the witnesses without which the verdict is unknown. `blind_ms`: the longest
    time without a request in an act; `received_p99_ms`: how much later than the proxy's end the
    client may have had an answer. `writes` are the journeys whose
    ids the ledger holds (the demo's orders where there are none). `planted` requests were sent
    where nobody listens. `public` is the service whose containers leave the application's logs.
    """

    stale_ns: int = 5_000_000
    clock_ns: int = 100_000_000
    journey_n: float = 20
    lag_p99_ms: float = 100
    blind_ms: float = 500
    received_p99_ms: float = 1000
    stall: Stall = Stall()
    journeys: tuple[str, ...] = JOURNEYS
    methods: tuple[str, ...] = ("GET", "POST")
    connections: tuple[str, ...] = ("new", "reused")
    required: tuple[str, ...] = WITNESSES
    writes: tuple[str, ...] = ()
    workers: int = 1
    planted: int = 0
    public: str = "platform"


@dataclass(frozen=True)
class Ranked:
    """Request ids in rising order, and the row of each: what witnesses are joined on.

    Both sides of a join are sorted first, because looking up millions of ids in random order
    misses every cache.
    """

    ids: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]

    def count(self, found: npt.NDArray[np.uint64] | None) -> npt.NDArray[np.int16]:
        """How often each row's id is among `found`; ABSENT everywhere where that is None."""
        counts = np.full(len(self.ids), ABSENT, np.int16)
        if found is not None:
            inside = np.sort(found)
            above = np.searchsorted(inside, self.ids, side="right")
            counts[self.rows] = above - np.searchsorted(inside, self.ids, side="left")
        return counts

    def lines(self, found: npt.NDArray[np.uint64] | None) -> npt.NDArray[np.int64]:
        """The place in `found` of each row's id; -1 where there is none, any where it is twice."""
        places = np.full(len(self.ids), ABSENT, np.int64)
        if found is None or not len(found):
            return places
        order = np.argsort(found, kind="stable")
        inside = found[order]
        place = np.minimum(np.searchsorted(inside, self.ids), len(inside) - 1)
        there = mask(inside[place] == self.ids)
        places[self.rows[there]] = order[place[there]]
        return places

    def unknown(self, found: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Those of `found` that are the id of no row, in rising order."""
        inside = np.sort(found)
        if not len(self.ids):
            return inside
        place = np.minimum(np.searchsorted(self.ids, inside), len(self.ids) - 1)
        return inside[mask(self.ids[place] != inside)]


@dataclass(frozen=True)
class Evidence:
    """What the checks judge.

    `ranked` joins further frames to `requests`, which has the columns and the order of
    ClientLog.requests and:
    `act` (int16: number of the act in whose
    window the request was sent or, sent outside any, ended; -1 steady), `proxied`, `proxy_status`,
    `started`, `finished`, `written` (int16 counts by that witness, ABSENT where it is missing).
    """

    client: ClientLog
    requests: pd.DataFrame
    ranked: Ranked
    witnesses: Witnesses
    history: History
    bounds: Bounds = field(default_factory=Bounds)
    changed: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def reigns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The first and the last reign in which each request was on its way: cyan.proof.reigns."""
        stale_ns = self.bounds.stale_ns
        return reigns.spans(self.requests, self.history, self.uncertainty_ns, stale_ns)

    @cached_property
    def of_proxy(self) -> Told | None:
        """What the proxy's log says of each request; None without that log."""
        return _told(self.ranked, self.witnesses.proxy)

    @cached_property
    def of_start(self) -> Told | None:
        """What the application's log says of each request's start; None without that log."""
        lines = self.witnesses.application
        return None if lines is None else _told(self.ranked, lines[~mask(lines["end"])])

    @cached_property
    def planted(self) -> Mask:
        """The requests that were sent where nobody listens, to see that it is found."""
        return is_in(self.requests["journey"], (PLANTED,))

    @cached_property
    def ok(self) -> Mask:
        """The requests that the client took as well answered."""
        return mask(self.requests["answered"]) & is_in(self.requests["failure"], ("",))

    @cached_property
    def failed(self) -> Mask:
        """The requests whose failure the client recorded."""
        return mask(self.requests["answered"]) & ~self.ok

    @cached_property
    def by_user(self) -> npt.NDArray[np.int64]:
        """The rows, user after user, and each user's in the order of sending."""
        return np.argsort(users(self), kind="stable")  # the rows are in that order already

    @property
    def uncertainty_ns(self) -> int:
        """How far a journal's instant may be from a client's clock."""
        read = self.history.clock.uncertainty_ns + self.client.uncertainty_ns
        return read + self.clock_error_ns

    @cached_property
    def clock_error_ns(self) -> int:
        """How far at least the host's clock is from where it was read to be; 0 where it may be.

        Each request is a reading: the host cannot have begun it before it was sent, nor after its
        answer was there. Where the proxy's and the application's log disagree it is the smaller.
        """
        witnesses = [told for told in (self.of_proxy, self.of_start) if told and told.timed]
        return min((told.clock_error_ns(self) for told in witnesses), default=0)


@dataclass(frozen=True)
class Told:
    """What one witness tells of each request: its `frame`, and each row's line in it, or -1."""

    frame: pd.DataFrame
    lines: npt.NDArray[np.int64]

    def column(self, name: str) -> Any:  # noqa: ANN401 - a pandas column
        """What the witness tells, a value for each row; any where there is no line."""
        column = self.frame[name]
        return column.iloc[np.maximum(self.lines, 0)] if len(column) else column

    @cached_property
    def there(self) -> Mask:
        """The rows that it tells of."""
        return mask(self.lines >= 0)

    @cached_property
    def timed(self) -> bool:
        """Whether it says when; an adopted application's own log does not."""
        return bool((self.frame["at_ns"].to_numpy() > 0).any())

    @cached_property
    def resolution_ns(self) -> int:
        """How coarse its clock is: nginx's tells whole milliseconds."""
        off = self.frame["at_ns"].to_numpy() % MILLISECOND
        coarse = bool((np.minimum(off, MILLISECOND - off) < ROUNDED_NS).all())
        return MILLISECOND + ROUNDED_NS if coarse else ROUNDED_NS

    def begun_ns(self, history: History) -> npt.NDArray[np.int64]:
        """When it saw each request begin, on our clock as the host's was read."""
        begun: npt.NDArray[np.int64] = self.column("at_ns").to_numpy() - history.clock.offset_ns
        if "duration_ns" in self.frame:
            begun -= self.column("duration_ns").to_numpy()
        return begun

    def clock_error_ns(self, evidence: Evidence) -> int:
        """How far at least this witness's clock is from where it was read to be."""
        looked = self.there & evidence.ok
        if not looked.any():
            return 0
        begun = self.begun_ns(evidence.history)[looked]
        frame = evidence.requests
        early = frame["sent_ns"].to_numpy()[looked] - begun
        late = begun - frame["end_ns"].to_numpy()[looked]
        known = evidence.history.clock.uncertainty_ns + evidence.client.uncertainty_ns
        known += self.resolution_ns
        return max(0, int(max(early.max(), late.max())) - known)


def _told(ranked: Ranked, frame: pd.DataFrame | None) -> Told | None:
    return None if frame is None else Told(frame, ranked.lines(_ids(frame)))


def build(
    client: ClientLog,
    witnesses: Witnesses,
    history: History,
    bounds: Bounds | None = None,
    changed: Mapping[str, str] = NOTHING,
) -> Evidence:
    """Join the witnesses on the request id and give every request its act.

    `changed` says what of the files is not as it was collected.
    """
    requests = client.requests.copy(deep=False)
    requests["act"] = acts_of(requests, history.windows())
    known = ranked(requests)
    lines, proxy, orders = witnesses.application, witnesses.proxy, witnesses.orders
    ends = None if lines is None else mask(lines["end"])
    columns: dict[str, Callable[[], npt.NDArray[np.int16]]] = {
        "proxied": lambda: known.count(None if proxy is None else _ids(proxy)),
        "proxy_status": lambda: _proxy_status(known, proxy),
        "started": lambda: known.count(None if ends is None else _ids(lines)[~ends]),
        "finished": lambda: known.count(None if ends is None else _ids(lines)[ends]),
        "written": lambda: known.count(None if orders is None else _ids(orders)),
    }
    with ThreadPoolExecutor(2) as pool:  # sorting and searching leave the interpreter's lock
        counted = dict(zip(columns, pool.map(lambda count: count(), columns.values()), strict=True))
    for name, values in counted.items():
        requests[name] = values
    made = Evidence(client, requests, known, witnesses, history, bounds or Bounds(), changed)
    return _named(made)


def _named(evidence: Evidence) -> Evidence:
    """The evidence with who answered, where none of the answers themselves says.

    The color is what the proxy's log names, the version what that color's containers said.
    """
    requests, told = evidence.requests, evidence.of_proxy
    silent = is_in(requests["color"], ("",))
    if told is None or not silent[evidence.ok].all():
        return evidence
    color = told.column("color").astype(str).where(told.there & silent, "").to_numpy()
    requests["color"] = requests["color"].astype(str).mask(silent, color).astype("category")
    if is_in(requests["version"], ("",))[evidence.ok].all():
        requests["version"] = reigns.versions(requests["color"], evidence.history, evidence.reigns)
    return evidence


def _ids(frame: pd.DataFrame | None) -> npt.NDArray[np.uint64]:
    return np.zeros(0, np.uint64) if frame is None else frame["id"].to_numpy()


def ranked(frame: pd.DataFrame) -> Ranked:
    """The ids of a frame, ready to be joined on."""
    ids = frame["id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    return Ranked(ids[order], order)


def _proxy_status(ranked: Ranked, proxy: pd.DataFrame | None) -> npt.NDArray[np.int16]:
    """The status that the proxy answered to each request; 0 where it saw none."""
    status = np.zeros(len(ranked.ids), np.int16)
    if proxy is None or not len(proxy):
        return status
    order = np.argsort(_ids(proxy), kind="stable")
    inside = _ids(proxy)[order]
    place = np.minimum(np.searchsorted(inside, ranked.ids), len(inside) - 1)
    there = inside[place] == ranked.ids
    status[ranked.rows[there]] = proxy["status"].to_numpy()[order[place[there]]]
    return status


def acts_of(requests: pd.DataFrame, windows: tuple[Window, ...]) -> npt.NDArray[np.int16]:
    """The act of each request: the one in whose window it was sent, else in which it ended."""
    sent = _act_at(requests["sent_ns"].to_numpy(), windows)
    ended = _act_at(requests["end_ns"].to_numpy(), windows)
    return np.where(sent >= 0, sent, ended).astype(np.int16)


def _act_at(instants: Any, windows: tuple[Window, ...]) -> npt.NDArray[np.int16]:  # noqa: ANN401
    if not windows:
        return np.full(len(instants), -1, np.int16)
    starts = np.array([window.start_ns for window in windows])
    ends = np.array([window.end_ns for window in windows])
    place = np.searchsorted(starts, instants, side="right") - 1
    inside = (place >= 0) & (instants <= ends[np.maximum(place, 0)])
    return np.where(inside, place, -1).astype(np.int16)


def about(act: int, history: History) -> str:
    """The name under which findings about an act, or about none, are listed."""
    return history.performed[act].act.name if act >= 0 else STEADY


def mask(column: Any) -> Mask:  # noqa: ANN401 - a pandas column
    """A column of truth values as an array."""
    return np.asarray(column, dtype=bool)


def users(evidence: Evidence) -> npt.NDArray[np.int64]:
    """Who sent each request, over all workers: each of them numbers its own users."""
    frame = evidence.requests
    sent: npt.NDArray[np.int64] = frame["worker"].to_numpy(np.int64) << 32
    sent |= frame["user"].to_numpy(np.int64)
    return sent


def hex_ids(ids: Any) -> tuple[str, ...]:  # noqa: ANN401 - numpy array
    """Ids as they were sent."""
    return tuple(f"{int(number):016x}" for number in ids)
