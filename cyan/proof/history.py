"""What was done and when: acts performed, switches and drains, on one clock. Needs no pandas."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cyan.journal import entries as journal
from cyan.journal.writer import PUT_BACK
from cyan.proof.scenario import Act, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SECOND = 1_000_000_000
"""Nanoseconds."""

TAIL_NS = SECOND
"""An act's window stays open this long after its command returned."""


SWITCHING = ("switch", "switch-back")
LETTING_GO = (
    (journal.Event.DONE, "drain"),
    (journal.Event.DONE, "clear"),
    (journal.Event.NOTE, "reload"),
    (journal.Event.NOTE, "upgrade"),
)
"""The journal's steps that move the traffic, and its lines of what let requests in flight go."""


HOLDING = ("hold", "switch-back")
ENDING = tuple(
    (event, step)
    for event in (journal.Event.DONE, journal.Event.NOTE)
    for step in (*SWITCHING, PUT_BACK)
)
"""The journal's steps that may have requests wait, and its lines of what ends that."""


@dataclass(frozen=True)
class Container:
    """One running container of a color: enough to tell whether it was touched."""

    id: str
    color: str
    service: str
    version: str
    started_at: str


@dataclass(frozen=True)
class Observation:
    """The application at one instant. `live` is "" where nothing is live."""

    live: str
    containers: tuple[Container, ...] = ()

    @property
    def live_containers(self) -> frozenset[tuple[str, str]]:
        """Identity and start of each container of the live color."""
        return frozenset((c.id, c.started_at) for c in self.containers if c.color == self.live)

    @property
    def version(self) -> str:
        """The version that is live, "" where none or where its containers disagree."""
        versions = {c.version for c in self.containers if c.color == self.live}
        return versions.pop() if len(versions) == 1 else ""


@dataclass(frozen=True)
class Clock:
    """The host's clock minus this machine's, and how wrong that may be; nanoseconds."""

    offset_ns: int = 0
    uncertainty_ns: int = 0

    def until(self, later: Clock) -> Clock:
        """One clock for the time between two readings, wide enough for the drift between them."""
        drift = abs(later.offset_ns - self.offset_ns)
        return Clock(
            (self.offset_ns + later.offset_ns) // 2,
            max(self.uncertainty_ns, later.uncertainty_ns) + (drift + 1) // 2,
        )


@dataclass(frozen=True)
class Performed:
    """An act and what became of it; times are this machine's wall clock in nanoseconds."""

    act: Act
    begun_ns: int
    ended_ns: int
    exit_code: int
    before: Observation
    after: Observation
    loaded: bool = True  # False: nothing was live yet, so no load could be answered
    error: str = ""  # why the act could not be carried out, where it could not


@dataclass(frozen=True)
class Window:
    """A named stretch of the run; `act` is -1 for one without an act."""

    name: str
    act: int
    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / SECOND


@dataclass(frozen=True)
class Switch:
    """One rename of the marker. It happened between `begun_ns` and `done_ns`."""

    begun_ns: int
    done_ns: int
    source: str
    target: str
    version: str
    recorded: bool = True  # False: no line tells of it, but another color was live after the act


@dataclass(frozen=True)
class Drain:
    """A color's requests in flight until it was let go.

    `step` is "drain" after a switch, "clear" before a color is replaced, "reload" of the proxy,
    which lets both go, or "upgrade" of it, which ends their streams. `cut` requests were still in
    flight when it gave up (of the proxy: clients still connected); what then stops the color, or
    the proxy, cuts them.
    """

    color: str
    begun_ns: int
    done_ns: int
    in_flight: tuple[tuple[int, int], ...]
    cut: int
    step: str = "drain"


@dataclass(frozen=True)
class Hold:
    """A stretch in which new requests waited at the proxy, at most."""

    begun_ns: int
    done_ns: int


@dataclass(frozen=True)
class DoneStep:
    """One step of a deploy or rollback as the journal tells of it; `ok` where it ended well."""

    step: str
    color: str
    version: str
    begun_ns: int
    done_ns: int
    ok: bool = True


@dataclass(frozen=True)
class History:
    """A run's acts, and what the host's journal says they did, all on this machine's clock.

    `planned` are the names of the acts that were to be performed, in order; `swarm_exit` is the
    exit code that the load ended with, negative where a signal ended it. `clock_held` says that the
    host's clock was read again after the load, so that `clock` holds for all of it.
    """

    performed: tuple[Performed, ...]
    planned: tuple[str, ...] = ()
    swarm_exit: int = 0
    switches: tuple[Switch, ...] = ()
    drains: tuple[Drain, ...] = ()
    holds: tuple[Hold, ...] = ()
    steps: tuple[DoneStep, ...] = ()
    load_begun_ns: int = 0
    load_ended_ns: int = 0
    clock: Clock = Clock()
    clock_held: bool = True
    journal_present: bool = True
    faults: tuple[str, ...] = ()  # what of the journal cannot be read

    def windows(self) -> tuple[Window, ...]:
        """The acts' windows in order: from the command's start to `TAIL_NS` after its end.

        A window never reaches into the next act's, and that of an act before the load not into it.
        """
        starts = [item.begun_ns for item in self.performed[1:]]
        ends = [item.ended_ns + (TAIL_NS if item.loaded else 0) for item in self.performed]
        bounded = [min(end, start) for end, start in zip(ends, starts, strict=False)] + ends[-1:]
        return tuple(
            Window(item.act.name, number, item.begun_ns, end)
            for number, (item, end) in enumerate(zip(self.performed, bounded, strict=True))
        )

    def steady(self) -> tuple[Window, ...]:
        """The stretches under load in which no act was performed."""
        edges = [self.load_begun_ns]
        for window in self.windows():
            edges += [window.start_ns, window.end_ns]
        edges.append(self.load_ended_ns)
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple(
            Window("steady", -1, max(start, self.load_begun_ns), end)
            for start, end in pairs
            if end > max(start, self.load_begun_ns)
        )


def from_journal(
    entries: Iterable[journal.Entry], offset_ns: int = 0
) -> tuple[tuple[Switch, ...], tuple[Drain, ...]]:
    """The switches and drains of a journal, in order, `offset_ns` taken off the host's times."""
    begun: dict[tuple[str, str], float] = {}
    switches: list[Switch] = []
    drains: list[Drain] = []
    for entry in entries:
        key = (entry.run, entry.step)
        if entry.event is journal.Event.STEP:
            begun[key] = entry.at
        elif entry.event is journal.Event.DONE and entry.step in SWITCHING:
            switches.append(_switch(entry, begun.get(key, entry.at), offset_ns))
        elif (entry.event, entry.step) in LETTING_GO:
            drains.append(_drain(entry, begun.get(key, entry.at), offset_ns))
    return tuple(switches), tuple(drains)


def holds_of(entries: Iterable[journal.Entry], offset_ns: int = 0) -> tuple[Hold, ...]:
    """When requests waited: from the step that has them wait to the rename that ends it."""
    begun: dict[str, float] = {}
    holding: set[str] = set()
    found = []
    for entry in entries:
        if entry.event is journal.Event.BEGIN and entry.detail.get("hold"):
            holding.add(entry.run)
        elif (entry.event, entry.step) in ENDING and entry.run in begun:
            until = _ns(float(entry.detail.get("renamed_at", entry.at)), offset_ns)
            found.append(Hold(_ns(begun.pop(entry.run), offset_ns), until))
        elif entry.event is journal.Event.STEP and entry.step in HOLDING and entry.run in holding:
            begun[entry.run] = entry.at
    return tuple(found)


def steps_of(entries: Iterable[journal.Entry], offset_ns: int = 0) -> tuple[DoneStep, ...]:
    """The steps of a journal that ended, in order; one whose deployer was killed has no end."""
    begun: dict[tuple[str, str, str], float] = {}
    found = []
    for entry in entries:
        key = (entry.run, entry.step, entry.color)
        if entry.event is journal.Event.STEP:
            begun[key] = entry.at
        elif entry.event in (journal.Event.DONE, journal.Event.FAILED) and key in begun:
            since, ok = begun.pop(key), entry.event is journal.Event.DONE
            at = _ns(since, offset_ns), _ns(entry.at, offset_ns)
            found.append(DoneStep(entry.step, entry.color, entry.version, *at, ok))
    return tuple(found)


def unrecorded(
    entries: Sequence[journal.Entry], performed: Iterable[Performed], offset_ns: int = 0
) -> tuple[Switch, ...]:
    """Switches that were done by a deployer which was killed before it could say so.

    It had begun the step, and its act left that color live, which was not live before the step. A
    command that ended well was not killed.
    """
    recorded, _ = from_journal(entries, offset_ns)
    begun: dict[str, journal.Entry] = {}
    for entry in entries:
        if entry.step not in SWITCHING:
            continue
        if entry.event is journal.Event.STEP:
            begun[entry.run] = entry
        else:  # done or failed: it was recorded
            begun.pop(entry.run, None)
    found = []
    for entry in begun.values():
        at = _ns(entry.at, offset_ns)
        for act in performed:
            if not act.begun_ns <= at <= act.ended_ns or not (act.act.program or act.exit_code):
                continue
            within = [s.target for s in recorded if act.begun_ns <= s.done_ns <= at]
            source = within[-1] if within else act.before.live
            if source != act.after.live == entry.color:
                found.append(Switch(at, act.ended_ns, source, entry.color, entry.version))
    return tuple(found)


def unexplained(
    recorded: Sequence[Switch], performed: Iterable[Performed], since_ns: int
) -> tuple[Switch, ...]:
    """Switches that nobody recorded, of acts which another color was live after than before.

    Each happened at some instant of its act. An act before `since_ns`, the load, is left out.
    """
    return tuple(
        Switch(
            act.begun_ns,
            act.ended_ns,
            act.before.live,
            act.after.live,
            act.after.version,
            recorded=False,
        )
        for act in performed
        if act.ended_ns > since_ns
        and act.after.live not in {"", act.before.live}
        and not any(act.begun_ns <= each.done_ns <= act.ended_ns + TAIL_NS for each in recorded)
    )


def _ns(seconds: float, offset_ns: int) -> int:
    return round(seconds * SECOND) - offset_ns


def _switch(entry: journal.Entry, begun: float, offset_ns: int) -> Switch:
    detail = entry.detail
    return Switch(
        begun_ns=_ns(begun, offset_ns),
        done_ns=_ns(float(detail.get("renamed_at", entry.at)), offset_ns),
        source=str(detail.get("from") or ""),
        target=str(detail.get("to") or entry.color),
        version=entry.version,
    )


def _drain(entry: journal.Entry, begun: float, offset_ns: int) -> Drain:
    readings = entry.detail.get("in_flight", ())
    late = entry.at - readings[-1][0] if readings else 0.0  # the last reading is what ends a drain
    return Drain(
        color=entry.color,
        begun_ns=_ns(begun, offset_ns),
        done_ns=_ns(entry.detail.get("cut_at", entry.at), offset_ns),
        in_flight=tuple((_ns(at + late, offset_ns), int(n)) for at, n in readings),
        cut=abs(int(entry.detail.get("left", entry.detail.get("cut", 0)))),
        step=entry.step,
    )


def save(history: History, path: Path) -> None:
    """Write what the journal does not hold, as acts.json."""
    kept = asdict(history)
    for derived in ("switches", "drains", "holds", "steps", "journal_present", "faults"):
        del kept[derived]
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def load(folder: Path, *, believed: bool = True) -> History:
    """The history of a run's folder, from its acts.json and, where `believed`, journal.jsonl."""
    kept = json.loads((folder / "acts.json").read_text(encoding="utf-8"))
    clock = Clock(**kept["clock"])
    performed = tuple(_performed(item) for item in kept["performed"])
    source = folder / "journal.jsonl"
    present = believed and source.exists()
    text = source.read_text(encoding="utf-8") if present else ""
    entries = journal.parse(text)
    switches, drains = from_journal(entries, clock.offset_ns)
    switches = (*switches, *unrecorded(entries, performed, clock.offset_ns))
    switches = (*switches, *unexplained(switches, performed, kept["load_begun_ns"]))
    bad = journal.unreadable(text)
    return History(
        performed=performed,
        planned=tuple(kept["planned"]),
        swarm_exit=kept["swarm_exit"],
        switches=tuple(sorted(switches, key=lambda switch: switch.done_ns)),
        drains=drains,
        holds=holds_of(entries, clock.offset_ns),
        steps=steps_of(entries, clock.offset_ns),
        load_begun_ns=kept["load_begun_ns"],
        load_ended_ns=kept["load_ended_ns"],
        clock=clock,
        clock_held=kept["clock_held"],
        journal_present=present,
        faults=(f"line {bad[0]} of journal.jsonl cannot be read",) if bad else (),
    )


def _performed(kept: dict[str, Any]) -> Performed:
    return Performed(
        **{
            **kept,
            "act": _act(kept["act"]),
            "before": _observation(kept["before"]),
            "after": _observation(kept["after"]),
        }
    )


def _act(kept: dict[str, Any]) -> Act:
    return Act(
        **{
            **kept,
            "traffic": Traffic(kept["traffic"]),
            "arguments": tuple(kept["arguments"]),
            "environment": tuple((key, value) for key, value in kept["environment"]),
            "program": tuple(kept["program"]),
            "heal": tuple(kept["heal"]),
            "prepare": tuple(tuple(words) for words in kept["prepare"]),
        }
    )


def _observation(kept: dict[str, Any]) -> Observation:
    return Observation(kept["live"], tuple(Container(**item) for item in kept["containers"]))
