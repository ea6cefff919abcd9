"""From a mask over the requests to findings: the one shape that all checks of requests share."""

from __future__ import annotations

import numpy as np

from cyan.proof.case import Case, Mask, about, hex_ids
from cyan.proof.findings import MOST_IDS, Finding, Kind, Verdict
from cyan.proof.statistics import upper_bound


def per_act(  # noqa: PLR0913 - what differs between checks
    case: Case,
    kind: Kind,
    found: Mask,
    sentence: str,
    *,
    bad: Verdict = Verdict.FAIL,
    among: Mask | None = None,
) -> tuple[Finding, ...]:
    """One finding for the steady state and one for each act.

    `found` marks the requests that the check is about, `among` those that it looked at (all where
    None). More of them than the act allows make the finding `bad`.
    """
    acts = case.requests["act"].to_numpy()
    looked = np.ones(len(acts), bool) if among is None else among
    findings = []
    for act in range(-1, len(case.history.performed)):
        within = acts == act
        n = int((within & looked).sum())
        ids = case.requests["id"].to_numpy()[within & found]
        allowed = case.history.performed[act].act.allowed_drops if act >= 0 else 0
        findings.append(
            Finding(
                check=str(kind),
                verdict=bad if len(ids) > allowed else Verdict.PASS,
                text=f"{len(ids):,} of {n:,} requests {sentence}",
                kind=kind,
                act=act,
                about=about(act, case.history),
                count=len(ids),
                n=n,
                bound=upper_bound(min(len(ids), n), n) if n else None,
                ids=hex_ids(ids[:MOST_IDS]),
            )
        )
    return tuple(findings)


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
