"""Stored runs, as their verdict.json tells of them, and what they say together."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan.proof.statistics import upper_bound
from cyan.proof.verdict import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

KINDS = ("verify", "chaos")
BESIDE = ("deploy before", "the deploy after it")
"""Acts of a chaos run that hold no fault; the others begin with their fault's name."""

RECENT = 10
"""How many earlier runs a run is compared with."""


@dataclass(frozen=True)
class StoredAct:
    """One act of a stored run; latencies in ms, NaN where nothing was measured."""

    name: str
    verdict: str
    switches: bool
    seconds: float
    n: int
    drops: int
    p50: float
    p99: float
    raw_p99: float
    gap: float
    allowed: int = 0  # drops that the act's fault excuses


@dataclass(frozen=True)
class StoredRun:
    """One run. `kinds` counts its findings of each kind of drop."""

    name: str
    begun: str
    verdict: str
    sentence: str
    n: int
    drops: int
    bound: float
    steady_p99: float
    acts: tuple[StoredAct, ...]
    kinds: tuple[tuple[str, int], ...]
    measured_on: tuple[tuple[str, str], ...]

    @property
    def rotations(self) -> tuple[StoredAct, ...]:
        """The acts that switch under load and were judged; an unknown one proves nothing.

        Nor does any of a run that is unknown, nor one in which a fault may drop requests.
        """
        judged = (a for a in self.judged if a.n)
        return tuple(a for a in judged if a.switches and not a.allowed)

    @property
    def judged(self) -> tuple[StoredAct, ...]:
        """The acts that carry a verdict; none where the run's evidence does not carry one."""
        known = {"pass", "fail"}
        return tuple(a for a in self.acts if a.verdict in known and self.verdict in known)

    @property
    def kind(self) -> str:
        """What sort of run it is: verify or chaos. Its folder's name ends with it."""
        return self.name.rpartition("-")[2]

    @property
    def switch_p99(self) -> float:
        """The slowest p99 (ms) of the acts that switch."""
        return max((act.p99 for act in self.rotations if not math.isnan(act.p99)), default=math.nan)

    @property
    def deploy_seconds(self) -> float:
        """The median time of the acts that are a deploy, under no fault, and switch."""
        plain = (a for a in self.rotations if a.name.startswith("deploy ") or a.name in BESIDE)
        times = sorted(a.seconds for a in plain)
        return times[len(times) // 2] if times else math.nan


@dataclass(frozen=True)
class Rotations:
    """How many judged rotations are stored, and how many of them dropped anything."""

    counted: int
    dropped: int

    @property
    def bound(self) -> float:
        """The one-sided exact 95 % bound of the probability that a rotation drops anything.

        Clopper-Pearson over rotations (`statistics.upper_bound`); about 3 / counted where none did.
        """
        return upper_bound(self.dropped, self.counted) if self.counted else 1.0

    @property
    def sentence(self) -> str:
        """What the stored rotations claim."""
        if not self.counted:
            return "No rotation has been judged yet."
        share = f"{self.dropped or 'None'} of {self.counted:,} stored rotations dropped anything"
        return f"{share}: at most {self.bound:.2g} of rotations do (95 %)."


@dataclass(frozen=True)
class Survival:
    """How often a fault was tried in stored chaos runs, survived, and what it cost in requests."""

    fault: str
    tried: int
    survived: int
    drops: int


def survivals(runs: Iterable[StoredRun]) -> tuple[Survival, ...]:
    """What became of each fault, by name; in acts or runs that are unknown none was tried."""
    acts: dict[str, list[StoredAct]] = {}
    for run in runs:
        for act in run.judged if run.kind == "chaos" else ():
            if act.name not in BESIDE:
                acts.setdefault(act.name.split(" ", maxsplit=1)[0], []).append(act)
    return tuple(
        Survival(
            name,
            len(found),
            sum(act.verdict == "pass" for act in found),
            sum(act.drops for act in found),
        )
        for name, found in sorted(acts.items())
    )


def read(reports: Path) -> tuple[tuple[StoredRun, ...], tuple[str, ...]]:
    """The stored runs under `reports`, oldest first; the names of those that cannot be read."""
    runs, unreadable = [], []
    for path in sorted(each for kind in KINDS for each in reports.glob(f"*-{kind}/verdict.json")):
        try:
            runs.append(parse(path.parent.name, json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, KeyError, TypeError):
            unreadable.append(path.parent.name)
    return tuple(runs), tuple(unreadable)


def parse(name: str, kept: dict[str, Any]) -> StoredRun:
    """A verdict.json. Raises ValueError for another schema, KeyError for a missing key."""
    if kept["schema"] != SCHEMA:
        message = f"schema {kept['schema']} is not {SCHEMA}"
        raise ValueError(message)
    kinds: dict[str, int] = {}
    for finding in kept["checks"]:
        if finding["kind"] and finding["verdict"] == "fail":
            kinds[finding["kind"]] = kinds.get(finding["kind"], 0) + finding["count"]
    return StoredRun(
        name=name,
        begun=kept["begun"],
        verdict=kept["verdict"],
        sentence=kept["sentence"],
        n=kept["requests"],
        drops=kept["drops"],
        bound=kept["bound"],
        steady_p99=_ms(kept["steady"]["latency_ms"]["corrected"]["p99"]),
        acts=tuple(_act(act) for act in kept["acts"]),
        kinds=tuple(sorted(kinds.items())),
        measured_on=tuple(_flat(kept["measured_on"])),
    )


def _act(kept: dict[str, Any]) -> StoredAct:
    latency = kept["latency_ms"]
    return StoredAct(
        name=kept["name"],
        verdict=kept["verdict"],
        switches=kept["must_switch"],
        seconds=kept["seconds"],
        n=kept["requests"],
        drops=kept["drops"],
        p50=_ms(latency["corrected"]["p50"]),
        p99=_ms(latency["corrected"]["p99"]),
        raw_p99=_ms(latency["raw"]["p99"]),
        gap=_ms(kept["longest_gap_ms"]),
        allowed=kept.get("allowed_drops", 0),
    )


def _ms(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _flat(kept: dict[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for key, value in kept.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key} ")
        else:
            yield f"{before}{key}", str(value)


def rotations(runs: Iterable[StoredRun]) -> Rotations:
    """All judged rotations of some runs."""
    acts = [act for run in runs for act in run.rotations]
    return Rotations(len(acts), sum(act.drops > 0 or act.verdict == "fail" for act in acts))


def worse(run: StoredRun, earlier: Sequence[StoredRun]) -> tuple[str, ...]:
    """In what `run` is worse than each of the RECENT runs of its kind before it, oldest first."""
    recent = [each for each in earlier if each.kind == run.kind][-RECENT:]
    if not recent:
        return ()
    figures = (
        ("drops", run.drops, [each.drops for each in recent]),
        ("p99 at the switch", run.switch_p99, [each.switch_p99 for each in recent]),
        ("deploy time", run.deploy_seconds, [each.deploy_seconds for each in recent]),
    )
    return tuple(name for name, own, others in figures if own > _largest(others))


def _largest(values: Iterable[float]) -> float:
    """The largest of those that were measured; infinite where none was."""
    return max((value for value in values if not math.isnan(value)), default=math.inf)
