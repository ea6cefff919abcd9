"""Every check: a pure function from evidence to findings. One that crashes is unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cyan.proof.checks import (
    acts,
    agreement,
    allowance,
    balance,
    client,
    order,
    pace,
    roll_call,
    unexplained,
    writes,
)
from cyan.proof.evidence import Evidence
from cyan.proof.findings import DROPS, Finding, Verdict

Check = Callable[[Evidence], tuple[Finding, ...]]
Further = Callable[[Evidence, Sequence[Finding]], tuple[Finding, ...]]
"""One that also looks at what the others found dropped."""

CHECKS: tuple[Check, ...] = (
    acts.command,
    acts.live_color,
    acts.journaled,
    order.who_answers,
    *allowance.OF_DROPS,
    pace.stood_still,
    client.streams_cut,
    client.replaced_idle,
    writes.recovered,
    writes.foreign_writes,
    unexplained.doubted,
    writes.unledgered,
    agreement.agree,
    unexplained.foreign,
    unexplained.sent_twice,
    roll_call.collected,
    roll_call.instrument,
    roll_call.known,
    roll_call.counted,
    roll_call.containers,
    roll_call.switches,
    balance.rows_balance,
    balance.rows_whole,
    balance.lost_by_witness,
    balance.signed_off,
    balance.every_act_performed,
    balance.swarm_ended,
    pace.unsent,
    pace.looked,
    pace.received,
    balance.schedule_kept,
    balance.nothing_empty,
    balance.answers_named,
    balance.answers_measured,
    balance.clock_known,
    balance.logs_present,
)


def run_all(evidence: Evidence, further: Iterable[Further] = ()) -> tuple[Finding, ...]:
    """The findings of every check, in their order, and of what looks `further` at what was dropped.

    Two are at work at a time.
    """
    with ThreadPoolExecutor(2) as pool:
        found = _flat(pool.map(lambda check: _guarded(check, evidence), CHECKS))
        drops = [finding for finding in found if finding.kind in DROPS]
        more = (allowance.drops_allowed, *further)
        return found + _flat(pool.map(lambda check: _guarded(check, evidence, drops), more))


def _flat(found: Iterable[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    return tuple(finding for findings in found for finding in findings)


def _guarded(check: Callable[..., tuple[Finding, ...]], *given: object) -> tuple[Finding, ...]:
    try:
        return check(*given)
    except Exception as error:  # noqa: BLE001 - a check that crashes has found nothing out
        name = check.__name__.replace("_", " ")
        return (Finding(name, Verdict.UNKNOWN, f"the check crashed: {error!r}", count=1),)
