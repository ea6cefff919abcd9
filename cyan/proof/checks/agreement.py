"""What two witnesses know of a request must be the same: color, version, method, path, size, time.

What is not contradicts nobody's good answer, so it is no drop: the evidence is in doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyan.proof.checks.tools import for_run
from cyan.proof.client_log import is_in
from cyan.proof.evidence import Evidence, Mask, Told, hex_ids, mask
from cyan.proof.findings import MOST_IDS, Finding
from cyan.proof.history import SECOND
from cyan.proof.witnesses import hashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

UPGRADED = 101
LATER_NS = SECOND // 4
"""By so much later than the client had its answer the proxy may have noted its end.

When it began is that moment less its duration, which Caddy takes before it writes the line: where
the processor is another's between the two, it seems to have begun later.
"""


def agree(evidence: Evidence) -> tuple[Finding, ...]:
    """Of every good answer the proxy and the application tell what the client tells."""
    found = dict(_differences(evidence))
    every = np.zeros(len(evidence.requests), bool)
    for differs in found.values():
        every |= differs
    told = [f"{int(differs.sum()):,} in their {name}" for name, differs in found.items()]
    differing = [text for text, differs in zip(told, found.values(), strict=True) if differs.any()]
    text = f"requests differ {', '.join(differing)}" if differing else "all witnesses tell the same"
    ids = hex_ids(evidence.requests["id"].to_numpy()[every][:MOST_IDS])
    count, n = int(every.sum()), int(evidence.ok.sum())
    return (for_run("witnesses agree", count, text, n=n, ids=ids),)


def _differences(evidence: Evidence) -> Iterator[tuple[str, Mask]]:
    """Each thing that two witnesses know, and the requests of which they tell otherwise."""
    frame = evidence.requests
    for name, told in (("proxy", evidence.of_proxy), ("application", evidence.of_start)):
        if told is None or not len(told.frame):
            continue
        looked = evidence.ok & told.there
        for column in ("color", "version"):
            yield (
                f"{column} ({name})",
                looked & _differ(frame[column], told.column(column)),
            )
        if told.timed:
            noted = LATER_NS if name == "proxy" else 0
            yield f"time ({name})", looked & _out_of_time(evidence, told, noted)
    told = evidence.of_proxy
    if told is None or not len(told.frame):
        return
    looked = evidence.ok & told.there
    yield "method", looked & _differ(frame["method"], told.column("method"))
    known = np.array(hashes([str(path) for path in frame["path"].cat.categories]), np.uint64)
    paths = known[frame["path"].cat.codes.to_numpy()]
    yield "path", mask(looked & (paths != told.column("path").to_numpy()))
    yield "size", looked & _sized(evidence, told)
    took = frame["end_ns"].to_numpy() - frame["sent_ns"].to_numpy()
    # A WebSocket is the client's to end; for the proxy it lasts until the application ends it, too.
    upgraded = frame["status"].to_numpy() == UPGRADED
    longer = ~upgraded & (told.column("duration_ns").to_numpy() > took + LATER_NS)
    negative = told.column("duration_ns").to_numpy() < 0
    yield "duration", mask(looked & (longer | negative))


def _differ(mine: pd.Series[Any], theirs: pd.Series[Any]) -> Mask:
    """Where two categorical columns hold different texts, neither of them empty."""
    known = {text: number for number, text in enumerate(mine.cat.categories)}
    codes = np.array([known.get(text, -2) for text in theirs.cat.categories] or [-2])
    empty = is_in(mine, ("",)) | is_in(theirs, ("",))
    return mask((mine.cat.codes.to_numpy() != codes[theirs.cat.codes.to_numpy()]) & ~empty)


def _out_of_time(evidence: Evidence, told: Told, noted_ns: int) -> Mask:
    """Where a witness saw a request begin before it was sent, or after it was answered.

    It may have noted that `noted_ns` later than it was so.
    """
    begun, frame = told.begun_ns(evidence.history), evidence.requests
    margin = evidence.uncertainty_ns + told.resolution_ns
    early = begun < frame["sent_ns"].to_numpy() - margin
    late = begun > frame["end_ns"].to_numpy() + margin + noted_ns
    return mask(early | late)


def _sized(evidence: Evidence, told: Told) -> Mask:
    """Where the proxy wrote another size than the client received; not of a WebSocket.

    Nor of an answer in chunks, where it does not know its size.
    """
    frame = evidence.requests
    received, expected = frame["received_bytes"].to_numpy(), frame["expected_bytes"].to_numpy()
    whole = (expected < 0) | (received == expected)
    upgraded = frame["status"].to_numpy() == UPGRADED
    wrote = told.column("size").to_numpy()
    unknown = (wrote < 0) & (expected < 0)
    return mask(whole & ~upgraded & ~unknown & (wrote != received))
