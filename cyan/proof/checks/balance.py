"""Whether the evidence can be trusted at all. What fails here makes the verdict unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cyan.proof.checks.tools import for_run
from cyan.proof.checks.unexplained import ENDLESS
from cyan.proof.checks.writes import jobs_present, ledger_present
from cyan.proof.client_log import is_in
from cyan.proof.evidence import Evidence, Mask, about, hex_ids, mask
from cyan.proof.findings import MOST_IDS, RUN, Finding, Margin, Verdict
from cyan.proof.requestlog import OVERWHELMED, WHOLE

if TYPE_CHECKING:
    from cyan.proof.requestlog import SignOff

MILLISECOND = 1e6


def rows_balance(evidence: Evidence) -> tuple[Finding, ...]:
    """Scheduled = sent + abandoned, sent = answered + failed, and the rows say the same."""
    faults = [
        fault for signoff in evidence.client.signoffs for fault in _unbalanced(evidence, signoff)
    ]
    n = len(evidence.requests)
    text = "; ".join(faults) if faults else f"{n:,} rows agree with what the workers counted"
    return (for_run("rows balance", len(faults), text, n=n),)


def _unbalanced(evidence: Evidence, signoff: SignOff) -> list[str]:
    own = evidence.requests["worker"].to_numpy() == signoff.worker
    unsent = own & is_in(evidence.requests["failure"], ("unsent",))
    own &= ~unsent
    sums = (
        ("scheduled", signoff.scheduled, "sent + abandoned", signoff.sent + signoff.abandoned),
        ("sent", signoff.sent, "answered + failed", signoff.answered + signoff.failed),
        ("abandoned", signoff.abandoned, "rows that were never sent", int(unsent.sum())),
        ("sent", signoff.sent, "intents", int(own.sum())),
        ("answered", signoff.answered, "good results", int((own & evidence.ok).sum())),
        ("failed", signoff.failed, "failed results", int((own & evidence.failed).sum())),
    )
    return [
        f"worker {signoff.worker}: {left} {a:,} is not {right} {b:,}"
        for left, a, right, b in sums
        if a != b
    ]


def rows_whole(evidence: Evidence) -> tuple[Finding, ...]:
    """No id twice, no result without an intent, no line that cannot be read."""
    client = evidence.client
    count = client.duplicates + client.orphans + client.torn + len(client.faults)
    text = (
        f"{client.duplicates} ids written twice, {client.orphans} results without an intent, "
        f"{client.torn} torn lines"
    )
    text = "; ".join((text, *client.faults))
    return (for_run("rows whole", count, text, n=len(evidence.requests)),)


def lost_by_witness(evidence: Evidence) -> tuple[Finding, ...]:
    """An intent without a result: the witness lost a request."""
    lost = ~mask(evidence.requests["answered"])
    ids = evidence.requests["id"].to_numpy()[lost]
    text = f"{len(ids):,} requests were sent and have no result"
    return (
        for_run("none lost", len(ids), text, n=len(evidence.requests), ids=hex_ids(ids[:MOST_IDS])),
    )


def signed_off(evidence: Evidence) -> tuple[Finding, ...]:
    """Every worker ended in order and said what it counted."""
    signed = {signoff.worker for signoff in evidence.client.signoffs}
    absent = sorted(set(evidence.client.workers) - signed)
    missing = max(len(absent), evidence.bounds.workers - len(signed))
    workers = max(evidence.bounds.workers, len(evidence.client.workers))
    text = f"{len(signed)} of {workers} workers signed off"
    return (for_run("signed off", missing, text, n=evidence.bounds.workers),)


def every_act_performed(evidence: Evidence) -> tuple[Finding, ...]:
    """What was planned was done, each act under load until its command had ended."""
    planned, performed = evidence.history.planned, evidence.history.performed
    done = [item.act.name for item in performed]
    missing = [name for number, name in enumerate(planned) if done[number : number + 1] != [name]]
    last = int(evidence.requests["sent_ns"].max()) if len(evidence.requests) else 0
    alone = [item.act.name for item in performed if item.loaded and item.ended_ns > last]
    text = f"{len(done)} of {len(planned)} acts were performed"
    text += f"; not {', '.join(missing)}" if missing else ""
    text += f"; the load had ended before {', '.join(alone)} had" if alone else ""
    count = len(missing) + len(alone) + max(0, len(done) - len(planned))
    return (for_run("every act performed", count, text, n=len(planned)),)


def swarm_ended(evidence: Evidence) -> tuple[Finding, ...]:
    """The swarm ended in order: its exit code says that it may be believed."""
    code = evidence.history.swarm_exit
    says = "it stopped by itself: too many requests were in flight"
    text = says if code == OVERWHELMED else f"its exit code is {code}"
    return (for_run("swarm ended", int(code != 0), text, n=1),)


def schedule_kept(evidence: Evidence) -> tuple[Finding, ...]:
    """The generator was not overrun: p99 of sent - due is within its bound, in every act."""
    lag = (evidence.requests["sent_ns"] - evidence.requests["due_ns"]).to_numpy() / MILLISECOND
    acts = evidence.requests["act"].to_numpy()
    findings = [_lag(evidence, lag, RUN, -1)]
    for number, item in enumerate(evidence.history.performed):
        if item.loaded:
            findings.append(_lag(evidence, lag[acts == number], item.act.name, number))
    return tuple(findings)


def _lag(evidence: Evidence, lag: np.ndarray, name: str, act: int) -> Finding:
    p99 = float(np.quantile(lag, 0.99)) if len(lag) else float("nan")
    within = p99 <= evidence.bounds.lag_p99_ms
    return Finding(
        "schedule kept",
        Verdict.PASS if within else Verdict.UNKNOWN,
        f"p99 of the lag is {p99:.1f} ms, of {evidence.bounds.lag_p99_ms:g} ms allowed",
        act=act,
        about=name,
        count=0 if within else 1,
        n=len(lag),
        margins=(Margin("p99 of the delay in sending", p99, evidence.bounds.lag_p99_ms, "ms"),),
    )


FIRST = ("login",)
"""Journeys that a user sends once, before others can be sent."""


def nothing_empty(evidence: Evidence) -> tuple[Finding, ...]:
    """Every journey in the run, and in every phase every method and sort of connection, was sent.

    A phase is an act under load or the steady state. It must also have every journey of which it
    is long enough to expect some: of `journey_n` expected by chance none is there once in
    e^journey_n phases.
    """
    whole = np.ones(len(evidence.requests), bool)
    empty = _empty(evidence, "journey", evidence.bounds.journeys, whole)
    run = for_run("no class empty", len(empty), _named(empty), n=len(evidence.requests))
    acts = evidence.requests["act"].to_numpy()
    loaded = [number for number, item in enumerate(evidence.history.performed) if item.loaded]
    return (run, *(_classes(evidence, number, acts == number) for number in (-1, *loaded)))


def _classes(evidence: Evidence, number: int, within: Mask) -> Finding:
    empty = _empty(evidence, "method", evidence.bounds.methods, within)
    empty += _empty(evidence, "connection", evidence.bounds.connections, within)
    empty += _empty(evidence, "journey", _expected(evidence, within), within)
    return Finding(
        "no class empty",
        Verdict.UNKNOWN if empty else Verdict.PASS,
        _named(empty),
        act=number,
        about=about(number, evidence.history),
        count=len(empty),
        n=int(within.sum()),
    )


def _expected(evidence: Evidence, within: Mask) -> tuple[str, ...]:
    """The journeys of which the requests `within` should hold some, by their share of the run.

    None of those that a user begins with: all of them may lie in the first phase.
    """
    sizes = evidence.requests["journey"].value_counts()
    share = float(within.sum()) / max(len(within), 1)
    often = (name for name in evidence.bounds.journeys if name in sizes and name not in FIRST)
    return tuple(name for name in often if sizes[name] * share >= evidence.bounds.journey_n)


def _empty(evidence: Evidence, column: str, wanted: tuple[str, ...], within: Mask) -> list[str]:
    seen = evidence.requests[column][within].unique()
    return [f"{column} {value}" for value in wanted if value not in seen]


def _named(empty: list[str]) -> str:
    return f"no request of {', '.join(empty)}" if empty else "every class has requests"


def answers_named(evidence: Evidence) -> tuple[Finding, ...]:
    """Every good answer says which color gave it; else nobody can tell what was stale."""
    nameless = evidence.ok & is_in(evidence.requests["color"], ("",))
    ids = evidence.requests["id"].to_numpy()[nameless]
    text = f"{len(ids):,} good answers name no color"
    n = int(evidence.ok.sum())
    return (for_run("answers named", len(ids), text, n=n, ids=hex_ids(ids[:MOST_IDS])),)


def answers_measured(evidence: Evidence) -> tuple[Finding, ...]:
    """Every good answer said where it ends; else nobody can tell what was cut short.

    By a length, a digest, a last chunk or HTTP/2's END_STREAM: only an answer that ends with its
    connection does not.

    A WebSocket's messages are looked at one by one instead.
    """
    frame = evidence.requests
    promised = (frame["expected_bytes"].to_numpy() >= 0) | (frame["digest"].to_numpy() >= 0)
    promised |= is_in(frame["framing"], WHOLE)
    looked = evidence.ok & ~is_in(frame["journey"], ENDLESS)
    ids = frame["id"].to_numpy()[looked & ~promised]
    text = f"{len(ids):,} good answers do not say where they end"
    n, kept = int(looked.sum()), hex_ids(ids[:MOST_IDS])
    return (for_run("answers measured", len(ids), text, n=n, ids=kept),)


def clock_known(evidence: Evidence) -> tuple[Finding, ...]:
    """The clocks are compared closely enough to tell a stale answer from one in time."""
    found, bound = evidence.uncertainty_ns / MILLISECOND, evidence.bounds.clock_ns / MILLISECOND
    text = f"the clocks agree within {found:.1f} ms, of {bound:g} ms allowed"
    held = evidence.history.clock_held
    text += "" if held else "; the host's was not read again at the end"
    wrong = evidence.clock_error_ns / MILLISECOND
    if wrong:
        text += f"; requests show that the host's is {wrong:.1f} ms or more from how it was read"
    count = int(found > bound) + (not held) + bool(wrong)
    margin = Margin("what is not known of the clocks", found, bound, "ms")
    return (replace(for_run("clock known", count, text, n=1), margins=(margin,)),)


def logs_present(evidence: Evidence) -> tuple[Finding, ...]:
    """Every witness that the verdict rests on left its log."""
    proxied = evidence.requests["proxied"].to_numpy()
    started = evidence.requests["started"].to_numpy()
    present = {
        "proxy": bool((proxied > 0).any()),
        "application": bool((started > 0).any()),
        "ledger": ledger_present(evidence),
        "jobs": jobs_present(evidence),
        "journal": evidence.history.journal_present,
    }
    absent = [name for name in evidence.bounds.required if not present[name]]
    text = f"missing or empty: {', '.join(absent)}" if absent else "every witness left its log"
    faults = evidence.witnesses.faults
    count = len(absent) + len(faults)
    text = "; ".join((text, *faults))
    return (for_run("logs present", count, text, n=len(evidence.bounds.required)),)
