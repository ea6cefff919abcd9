"""The database's ledger against what the clients were told: writes, and the jobs they made."""

from __future__ import annotations

import numpy as np

from cyan.proof.checks.tools import for_run, per_act
from cyan.proof.client_log import is_in
from cyan.proof.evidence import ABSENT, Evidence, Mask, hex_ids
from cyan.proof.findings import MOST_IDS, Finding, Kind, Verdict

TWICE = 2


def orders(evidence: Evidence) -> Mask:
    """The requests of which the ledger tells."""
    frame = evidence.requests
    if evidence.bounds.writes:
        return is_in(frame["journey"], evidence.bounds.writes)
    return is_in(frame["method"], ("POST",)) & is_in(frame["path"], ("/orders",))


def lost_write(evidence: Evidence) -> tuple[Finding, ...]:
    """A write that was acknowledged and is not in the database."""
    written = evidence.requests["written"].to_numpy()
    acknowledged = orders(evidence) & evidence.ok
    found = acknowledged & (written == 0) & ~_by_job(evidence)
    return per_act(
        evidence, Kind.LOST_WRITE, found, "were acknowledged and not written", among=acknowledged
    )


def unledgered(evidence: Evidence) -> tuple[Finding, ...]:
    """Writes that the ledger lacks although their job is there: the ledger has lost lines."""
    found = orders(evidence) & (evidence.requests["written"].to_numpy() == 0) & _by_job(evidence)
    sentence = "are not in the ledger, although the job that they made is"
    return per_act(
        evidence, Kind.DOUBT, found, sentence, bad=Verdict.UNKNOWN, among=orders(evidence)
    )


def _by_job(evidence: Evidence) -> Mask:
    """The requests of which a job tells, which only what they wrote can have made."""
    jobs = evidence.witnesses.jobs
    if jobs is None:
        return np.zeros(len(evidence.requests), bool)
    return np.asarray(evidence.ranked.count(jobs["id"].to_numpy()) > 0)


def double_write(evidence: Evidence) -> tuple[Finding, ...]:
    """One write that the database holds twice."""
    found = evidence.requests["written"].to_numpy() >= TWICE
    return per_act(evidence, Kind.DOUBLE_WRITE, found, "were written twice", among=orders(evidence))


def recovered(evidence: Evidence) -> tuple[Finding, ...]:
    """Writes that are in the database although the client was not told: allowed, and counted."""
    found = orders(evidence) & evidence.failed & (evidence.requests["written"].to_numpy() == 1)
    sentence = "were written although their acknowledgement was lost (allowed)"
    named = per_act(evidence, Kind.NONE, found, sentence, among=orders(evidence), bad=Verdict.PASS)
    return tuple(_renamed(finding, "recovered write") for finding in named)


def _renamed(finding: Finding, check: str) -> Finding:
    return Finding(**{**finding.__dict__, "check": check})


def lost_job(evidence: Evidence) -> tuple[Finding, ...]:
    """A written order whose job is missing, not done, or done without a trace."""
    jobs, runs = evidence.witnesses.jobs, evidence.witnesses.job_runs
    if jobs is None or runs is None:
        return (_no_jobs(evidence, Kind.LOST_JOB),)
    finished = jobs["id"][jobs["done"] & jobs["job"].isin(runs["job"])].to_numpy()
    worked = evidence.ranked.count(finished) > 0
    written = evidence.requests["written"].to_numpy() >= 1
    return per_act(
        evidence,
        Kind.LOST_JOB,
        written & ~worked,
        "were written and their job not done",
        among=written,
    )


def double_job(evidence: Evidence) -> tuple[Finding, ...]:
    """A job that was done twice, or more jobs than orders under one request's id."""
    jobs, runs = evidence.witnesses.jobs, evidence.witnesses.job_runs
    if jobs is None or runs is None:
        return (_no_jobs(evidence, Kind.DOUBLE_JOB),)
    repeated = runs["job"][runs["job"].duplicated()]
    found = np.isin(evidence.requests["id"].to_numpy(), jobs["id"][jobs["job"].isin(repeated)])
    written = evidence.requests["written"].to_numpy()
    found |= evidence.ranked.count(jobs["id"].to_numpy()) > np.maximum(written, 1)
    sentence = "had their job done twice, or two jobs"
    return per_act(evidence, Kind.DOUBLE_JOB, found, sentence, among=written >= 1)


def _no_jobs(evidence: Evidence, kind: Kind) -> Finding:
    verdict = Verdict.UNKNOWN if "jobs" in evidence.bounds.required else Verdict.PASS
    return Finding(str(kind), verdict, "the ledger of jobs is missing", kind=kind)


def foreign_writes(evidence: Evidence) -> tuple[Finding, ...]:
    """Orders in the ledger that no client of this run sent; counted, not judged.

    Told with the smallest of their ids.
    """
    ledger = evidence.witnesses.orders
    if ledger is None:
        return ()
    foreign = evidence.ranked.unknown(ledger["id"].to_numpy())
    count, ids = len(foreign), hex_ids(foreign[:MOST_IDS])
    sentence = f"{count:,} orders in the ledger are of other clients"
    return (for_run("foreign writes", count, sentence, bad=Verdict.PASS, n=len(ledger), ids=ids),)


def ledger_present(evidence: Evidence) -> bool:
    """Whether the ledger was collected."""
    return bool((evidence.requests["written"].to_numpy() != ABSENT).all())


def jobs_present(evidence: Evidence) -> bool:
    """Whether both tables of jobs were collected."""
    return evidence.witnesses.jobs is not None and evidence.witnesses.job_runs is not None
