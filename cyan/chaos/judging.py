"""The invariants as checks of the proof, so that one verdict and one report hold them all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cyan.chaos import acted, invariants
from cyan.chaos.catalogue import fault
from cyan.chaos.draw import Drawn
from cyan.chaos.faults.deployer import Nothing
from cyan.proof.checks import allowance
from cyan.proof.evidence import hex_ids
from cyan.proof.findings import GRAVE, MOST_IDS, Finding, Verdict
from cyan.proof.history import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cyan.chaos.acted import Record
    from cyan.chaos.fault import Expectation
    from cyan.chaos.invariants import Held
    from cyan.proof.checks import Further
    from cyan.proof.evidence import Evidence, Mask

DRAWN = "drawn.json"
EXPERIMENTS = "experiments"

BEFORE_NS = SECOND // 2
"""A container that is killed takes up to this much of its own witness log with it."""

AFTER_NS = 3 * SECOND
"""Clients come back, and pools reconnect, within this after a fault was healed."""


@dataclass(frozen=True)
class Controls:
    """How the controls came out: what is `wrong`, what they `dropped`, and which folder says more.

    Where anything is wrong nothing is known of what was found besides, but that what failed failed.
    """

    wrong: tuple[str, ...]
    dropped: str = ""
    folder: str = ""

    @property
    def text(self) -> str:
        """In one sentence."""
        found = "; ".join(self.wrong) or f"no drop without a deploy; {self.dropped}"
        return f"{found} (reports/{self.folder})" if self.folder else found

    @property
    def kept(self) -> dict[str, Any]:
        """As the run's folder keeps them."""
        return asdict(self)


def checks(folder: Path) -> tuple[Further, ...]:
    """The checks of the chaos run in `folder`."""
    told = json.loads((folder / DRAWN).read_text(encoding="utf-8"))
    services = tuple(told["services"]), tuple(told["shared"])
    acts = [_read(folder, number, kept) for number, kept in told["acts"].items()]
    found = [
        _named(partial(_invariants, acts, *services), "invariants"),
        _named(partial(_inside, acts), "drops inside the fault's window"),
    ]
    if "controls" in told:
        kept = told["controls"]
        controls = Controls(**{**kept, "wrong": tuple(kept["wrong"])})
        found.append(_named(partial(_controls, controls), "controls"))
    return tuple(found)


def _named(check: partial[tuple[Finding, ...]], name: str) -> Further:
    check.__name__ = name  # type: ignore[attr-defined] # a crash is told by it
    return check


def _read(folder: Path, number: str, kept: dict[str, Any]) -> tuple[int, Drawn, Record]:
    values = tuple((key, value) for key, value in kept["values"])
    drawn = Drawn(kept["name"], int(kept["round"]), values)
    return int(number), drawn, acted.load(folder / EXPERIMENTS / f"{kept['file']}.json")


def _controls(told: Controls, _case: Evidence, _drops: Sequence[Finding]) -> tuple[Finding, ...]:
    """Whether the controls came out as they must."""
    verdict = Verdict.UNKNOWN if told.wrong else Verdict.PASS
    return (Finding("controls", verdict, told.text, count=len(told.wrong), n=1),)


def _invariants(
    acts: Iterable[tuple[int, Drawn, Record]],
    services: tuple[str, ...],
    shared: tuple[str, ...],
    evidence: Evidence,
    _drops: Sequence[Finding],
) -> tuple[Finding, ...]:
    """Every invariant of every record."""
    found: list[Finding] = []
    for number, drawn, seen in acts:
        if number >= len(evidence.history.performed):
            continue  # that every act was performed is a check of every run's
        expects = fault(drawn.name, dict(drawn.values)).expects
        held = invariants.judge(seen, expects, services, shared)
        if drawn.name == Nothing.name:
            held += invariants.converged(seen)
        found += [_finding(evidence, number, each) for each in held]
    return tuple(found)


def _finding(evidence: Evidence, number: int, held: Held) -> Finding:
    about = evidence.history.performed[number].act.name
    count = 0 if held.verdict is Verdict.PASS else 1
    return Finding(held.name, held.verdict, held.text, act=number, about=about, count=count, n=1)


def _inside(
    acts: Iterable[tuple[int, Drawn, Record]], evidence: Evidence, found: Sequence[Finding]
) -> tuple[Finding, ...]:
    """Where drops are allowed, each was in flight while the fault was there, and none was grave."""
    expected = [(n, seen, fault(d.name, dict(d.values)).expects) for n, d, seen in acts]
    allowed = [e for e in expected if e[2].outage and e[0] < len(evidence.history.performed)]
    if not allowed:
        return ()
    drops = drops_of(evidence, found)
    return tuple(
        _attributed(evidence, number, seen, expects, drops) for number, seen, expects in allowed
    )


@dataclass(frozen=True)
class Drops:
    """What was dropped in a run: the requests, and the findings that no fault excuses."""

    requests: Mask
    grave: tuple[Finding, ...]


def drops_of(evidence: Evidence, found: Sequence[Finding]) -> Drops:
    """What was dropped in a run, by the findings of its drops."""
    grave = tuple(each for each in found if each.kind in GRAVE and each.count)
    return Drops(allowance.dropped(evidence, found), grave)


def _attributed(
    evidence: Evidence, number: int, seen: Record, expects: Expectation, drops: Drops
) -> Finding:
    frame, item = evidence.requests, evidence.history.performed[number]
    sent, ended = frame["sent_ns"].to_numpy(), frame["end_ns"].to_numpy()
    of_act = frame["act"].to_numpy() == number
    begin, end = seen.injected_ns - BEFORE_NS, seen.healed_ns + AFTER_NS
    dropped = of_act & drops.requests
    outside = dropped & ((ended < begin) | (sent > end))
    grave = [each for each in drops.grave if each.act == number]
    if expects.spared:
        outside |= dropped & (frame["color"] == item.after.live).to_numpy()
    total, bound = int(dropped.sum()), item.act.allowed_drops
    count = int(outside.sum()) + sum(each.count for each in grave) + max(0, total - bound)
    seconds = (seen.healed_ns - seen.injected_ns) / SECOND
    return Finding(
        "drops inside the fault's window",
        Verdict.FAIL if count else Verdict.PASS,
        f"{total:,} dropped, of {bound:,} allowed; {int(outside.sum()):,} of them outside the "
        f"{seconds:.1f} s in which the fault was there"
        + (f" or answered by {item.after.live}; " if expects.spared else "; ")
        + (", ".join(f"{each.count} {each.kind}" for each in grave) or "nothing lost or doubled"),
        act=number,
        about=item.act.name,
        count=count,
        n=int(of_act.sum()),
        ids=hex_ids(frame["id"].to_numpy()[outside][:MOST_IDS]),
    )
