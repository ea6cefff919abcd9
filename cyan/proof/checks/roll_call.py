"""Whether all are there: ids without a gap, files as they were collected, a log per container."""

from __future__ import annotations

import numpy as np

from cyan.proof.checks.client import plainly
from cyan.proof.checks.tools import for_run
from cyan.proof.evidence import Evidence, hex_ids, mask
from cyan.proof.findings import MOST_IDS, Finding

OF_WORKER = np.uint64(32)
"""Bits of an id that count a worker's requests; those above are the worker's of this run."""

SHORT = 12
"""Digits of a container's id that are its host name, and so in the name of its log."""

LAST_NS = 1_000_000_000


def collected(evidence: Evidence) -> tuple[Finding, ...]:
    """Every file is as it was when it was collected."""
    said = [f"{name} {how}" for name, how in evidence.changed.items()]
    text = "; ".join(said) or "every file is as it was collected"
    return (for_run("as collected", len(said), text),)


def known(evidence: Evidence) -> tuple[Finding, ...]:
    """No other witness knows a request of this run that the client does not."""
    mine = np.unique(evidence.ranked.ids >> OF_WORKER)
    frames = (evidence.witnesses.proxy, evidence.witnesses.application, evidence.witnesses.orders)
    found = [np.zeros(0, np.uint64)]
    for frame in frames:
        if frame is not None:
            others = evidence.ranked.unknown(frame["id"].to_numpy())
            found.append(others[np.isin(others >> OF_WORKER, mine)])
    ids = np.unique(np.concatenate(found))
    text = f"{len(ids):,} requests of this run are known to others and not to the client"
    return (for_run("known to the client", len(ids), text, ids=hex_ids(ids[:MOST_IDS])),)


def counted(evidence: Evidence) -> tuple[Finding, ...]:
    """Each worker's ids count up by one; its rows are its schedule's, to the end of the load."""
    faults = list(evidence.client.off_schedule)
    ids = evidence.ranked.ids
    low = ids & np.uint64(0xFFFFFFFF)
    for worker in np.unique(ids >> OF_WORKER):
        own = low[ids >> OF_WORKER == worker]
        missing = int(own[-1]) - len(own)  # the first is 1
        if missing:
            faults.append(f"{missing:,} ids are missing among those of one worker")
    due, end = evidence.requests["due_ns"], evidence.history.load_ended_ns
    if len(due) and int(due.max()) < end - LAST_NS:
        faults.append(f"the rows end {(end - int(due.max())) / 1e9:.1f} s before the load did")
    text = "; ".join(faults) or f"{len(ids):,} rows are those of the schedule"
    return (for_run("every row there", len(faults), text, n=len(ids)),)


def containers(evidence: Evidence) -> tuple[Finding, ...]:
    """Every container of the public service that was live left its log."""
    if "application" not in evidence.bounds.required:
        return ()
    seen = {
        container.id[:SHORT]
        for item in evidence.history.performed
        if item.loaded
        for looked in (item.before, item.after)
        for container in looked.containers
        if container.color == looked.live and container.service == evidence.bounds.public
    }
    silent = sorted(
        each for each in seen if not any(each in name for name in evidence.witnesses.logs)
    )
    text = f"no log of {', '.join(silent)}" if silent else f"{len(seen)} containers left their log"
    return (for_run("every container's log", len(silent), text, n=len(seen)),)


def switches(evidence: Evidence) -> tuple[Finding, ...]:
    """Every switch under load belongs to an act, and the journal can be read."""
    windows = evidence.history.windows()
    begun, ended = evidence.history.load_begun_ns, evidence.history.load_ended_ns
    strange = [
        switch
        for switch in evidence.history.switches
        if begun < switch.done_ns < ended
        and not any(window.start_ns <= switch.done_ns <= window.end_ns for window in windows)
    ]
    torn = [] if any(i.act.program for i in evidence.history.performed) else evidence.history.faults
    said = [f"to {each.target} {each.version} outside of every act" for each in strange]
    text = "; ".join((*said, *torn)) or "every switch is an act's"
    return (for_run("switches told", len(said) + len(torn), text),)


def instrument(evidence: Evidence) -> tuple[Finding, ...]:
    """The request that was sent where nobody listens was found: the instrument works."""
    found = int((evidence.planted & plainly(evidence, "refused")).sum())
    wanted = evidence.bounds.planted
    sent = int(mask(evidence.planted).sum())
    text = f"{found} of {wanted} requests that were to be refused were found"
    return (
        for_run("instrument seen to work", int(found != wanted or sent != wanted), text, n=wanted),
    )
