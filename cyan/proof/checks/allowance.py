"""What acts that may drop requests dropped together, whatever the kind of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyan.proof.checks import client, order, unexplained, writes
from cyan.proof.evidence import Evidence, Mask, hex_ids
from cyan.proof.findings import MOST_IDS, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.proof.history import Performed

OF_DROPS = (
    client.refused,
    client.reset,
    client.timeout,
    client.status,
    client.truncated,
    order.stale,
    order.backwards,
    client.session_lost,
    client.mixed_colors,
    client.cut,
    writes.lost_write,
    writes.double_write,
    writes.lost_job,
    writes.double_job,
    unexplained.executed_twice,
    unexplained.unexplained,
)
"""The checks that find drops."""


def drops_allowed(evidence: Evidence, drops: Sequence[Finding]) -> tuple[Finding, ...]:
    """No act dropped more distinct requests than it may; only of acts that may drop any.

    `drops` are the findings of what was dropped.
    """
    performed = evidence.history.performed
    numbers = [number for number, item in enumerate(performed) if item.act.allowed_drops]
    found = dropped(evidence, drops) if numbers else np.zeros(0, bool)
    return tuple(_allowed(evidence, number, performed[number], found) for number in numbers)


def dropped(evidence: Evidence, drops: Sequence[Finding]) -> Mask:
    """The requests that were dropped, by any kind."""
    ids = {int(text, 16) for finding in drops for text in finding.ids}
    return np.isin(evidence.requests["id"].to_numpy(), np.array(sorted(ids), np.uint64))


def _allowed(evidence: Evidence, number: int, item: Performed, found: Mask) -> Finding:
    of_act = evidence.requests["act"].to_numpy() == number
    ids = evidence.requests["id"].to_numpy()[of_act & found]
    allowed = item.act.allowed_drops
    return Finding(
        "drops allowed",
        Verdict.FAIL if len(ids) > allowed else Verdict.PASS,
        f"{len(ids):,} requests were dropped, of {allowed:,} allowed",
        act=number,
        about=item.act.name,
        count=max(0, len(ids) - allowed),
        n=int(of_act.sum()),
        ids=hex_ids(ids[:MOST_IDS]),
    )
