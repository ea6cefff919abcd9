"""From a mask over the requests to findings: the one shape that all checks of requests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyan.proof.evidence import Evidence, Mask, about, hex_ids
from cyan.proof.findings import GRAVE, Finding, Kind, Verdict
from cyan.proof.statistics import upper_bound

if TYPE_CHECKING:
    from cyan.proof.scenario import Act


def per_act(  # noqa: PLR0913 - what differs between checks
    evidence: Evidence,
    kind: Kind,
    found: Mask,
    sentence: str,
    *,
    bad: Verdict = Verdict.FAIL,
    among: Mask | None = None,
) -> tuple[Finding, ...]:
    """One finding for the steady state and one for each act.

    `found` marks the requests that the check is about, `among` those that it looked at (all where
    None). One that the act does not excuse, or more than it allows, make the finding `bad`.
    """
    found = found & ~evidence.planted
    acts = evidence.requests["act"].to_numpy()
    number = len(evidence.history.performed)
    looked_at = np.bincount((acts if among is None else acts[among]) + 1, minlength=number + 1)
    rows = np.flatnonzero(found)
    findings = []
    for act in range(-1, number):
        n, mine = int(looked_at[act + 1]), rows[acts[rows] == act]
        ids = evidence.requests["id"].to_numpy()[mine]
        performed = evidence.history.performed[act].act if act >= 0 else None
        excused = performed and not _grave(kind, performed, evidence.ok[mine]).any()
        allowed = performed.allowed_drops if performed and excused else 0
        findings.append(
            Finding(
                check=str(kind),
                verdict=bad if len(ids) > allowed else Verdict.PASS,
                text=f"{len(ids):,} of {n:,} requests {sentence}",
                kind=kind,
                act=act,
                about=about(act, evidence.history),
                count=len(ids),
                n=n,
                bound=upper_bound(min(len(ids), n), n) if n else None,
                ids=hex_ids(ids),
            )
        )
    return tuple(findings)


def _grave(kind: Kind, act: Act, good: Mask) -> Mask:
    """The requests on which a drop of this kind is excused by no act.

    Only what failed at the client may be: not an answer that the client took for `good`, and never
    what became of a write, a job, a session or the order of versions.
    """
    if kind in {Kind.UNEXPLAINED, Kind.DOUBT}:
        return np.full(len(good), not act.loses_lines)
    return np.ones(len(good), bool) if kind in GRAVE else good


def for_run(  # noqa: PLR0913 - what differs between checks
    check: str,
    count: int,
    sentence: str,
    *,
    bad: Verdict = Verdict.UNKNOWN,
    n: int = 0,
    kind: Kind = Kind.NONE,
    ids: tuple[str, ...] = (),
) -> Finding:
    """One finding about the whole run: `bad` where `count` is not zero."""
    verdict = bad if count else Verdict.PASS
    return Finding(check, verdict, sentence, kind=kind, count=count, n=n, ids=ids)
