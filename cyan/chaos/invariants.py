"""What must hold after every fault: pure checks on its record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.chaos.fault import GONE
from cyan.proof.findings import Verdict
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cyan.chaos.acted import Ran, Record
    from cyan.chaos.fault import Expectation
    from cyan.chaos.world import World


@dataclass(frozen=True)
class Held:
    """One invariant: whether it held, and in which words."""

    name: str
    verdict: Verdict
    text: str


def judge(
    record: Record, expects: Expectation, services: Sequence[str], shared: Sequence[str] = ()
) -> tuple[Held, ...]:
    """Every invariant of one record. `services` are those that rotate, `shared` those that do not.

    Where the fault did not happen nothing is known of it; what must hold whatever happened is
    judged all the same.
    """
    injected = _injected(record)
    always = (injected, _healed(record), *_whole(record, services, shared))
    if injected.verdict is not Verdict.PASS:
        hung = [_ended(ran) for ran in record.ran if ran.hung]
        return (*always, *hung)
    return (
        *always,
        *_ran(record, expects),
        *_left(record, expects),
        _held("its own clients served", not record.unserved, "; ".join(record.unserved) or "all"),
    )


def _injected(record: Record) -> Held:
    why = record.error
    if not why and (record.before is None or not record.injected_ns):
        why = "the fault was not injected"
    return Held("fault injected", Verdict.UNKNOWN if why else Verdict.PASS, why or "it happened")


def unwhole(world: World, services: Sequence[str], shared: Sequence[str] = ()) -> tuple[str, ...]:
    """Why not one color is live, complete and the one that answers; () where it is so."""
    return tuple(_unwhole(world, services, shared))


def _unwhole(world: World, services: Sequence[str], shared: Sequence[str]) -> Iterator[str]:
    if len(world.colors) != 1:
        yield f"markers of {', '.join(world.colors) or 'no color'}"
        return
    up = {piece.service for piece in world.of(world.live) if piece.up}
    for name in services:
        if name not in up:
            yield f"live {world.live} lacks a healthy {name}"
    sharing = {piece.service for piece in world.of("") if piece.up}
    for name in shared:
        if name not in sharing:
            yield f"the shared {name} is not up"
    color, version = world.answering
    versions = {piece.version for piece in world.of(world.live)}
    if color != world.live:
        yield f"the marker says {world.live}, and {color or 'nobody'} answers"
    elif {version} != versions:
        yield f"{version or 'nothing'} answers, and the containers are {', '.join(versions)}"


def _held(name: str, good: bool, text: str) -> Held:  # noqa: FBT001 - that is what it is about
    return Held(name, Verdict.PASS if good else Verdict.FAIL, text)


def _healed(record: Record) -> Held:
    return _held("fault healed", not record.unhealed, record.unhealed or "nothing of it is left")


def _ran(record: Record, expects: Expectation) -> Iterator[Held]:
    codes = [ran.code for ran in record.ran]
    wanted = expects.exits
    good = len(codes) == len(wanted) and all(c in w for c, w in zip(codes, wanted, strict=True))
    text = (
        f"exit codes {_listed(codes)}, wanted {_listed(' or '.join(map(str, w)) for w in wanted)}"
    )
    hung = [_ended(ran) for ran in record.ran if ran.hung]
    yield from hung or [_held("deployer ended", good, text)]
    for ran, says in zip(record.ran, expects.says, strict=False):
        if says:
            found = re.search(says, " ".join(ran.output.split()))
            last = " ".join(ran.output.split())[-300:]
            words = f"“{found[0]}”" if found else f"no “{says}” in: … {last}"
            yield _held("deployer says", found is not None, words)


def _ended(ran: Ran) -> Held:
    return _held("deployer ended", not ran.hung, f"{' '.join(ran.words)} {ran.hung}")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values) or "none"


def _whole(record: Record, services: Sequence[str], shared: Sequence[str]) -> Iterator[Held]:
    after = record.after
    if after is None:
        yield Held("world whole", Verdict.UNKNOWN, "the host could not be looked at afterwards")
        return
    faults = unwhole(after, services, shared)
    yield _held("world whole", not faults, "; ".join(faults) or f"{after.live} is live and whole")
    yield _held("lock free", not after.owner, after.owner or "nobody holds it")


def _left(record: Record, expects: Expectation) -> Iterator[Held]:
    before, after = record.before, record.after
    if before is None or after is None:
        return
    if expects.traffic in (Traffic.UNTOUCHED, Traffic.BACK):
        same = after.live == before.live and after.live_identity == before.live_identity
        text = "same containers, same start" if same else "other containers, or other starts"
        yield _held("live color untouched", same, f"{before.live}: {text}")
    if expects.standby == GONE:
        left = [p.service for p in after.pieces if p.color not in ("", after.live)]
        yield _held("standby removed", not left, _listed(left))


def converged(record: Record) -> tuple[Held, ...]:
    """What must hold besides after the deploy that follows a fault: nothing to complain of."""
    if record.after is None or record.error:
        return ()
    drift = record.after.drift
    return (_held("converged unaided", not drift, "; ".join(drift) or "no drift"),)
