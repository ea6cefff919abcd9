"""Who answered when: nothing stale, no connection that goes back, the right color after an act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyan.proof.checks.tools import per_act
from cyan.proof.client_log import is_in
from cyan.proof.evidence import Evidence, Mask, hex_ids, mask, users
from cyan.proof.findings import MOST_IDS, Finding, Kind, Verdict
from cyan.proof.reigns import reigns_of
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    import pandas as pd

    from cyan.proof.history import Performed

FOREVER = np.iinfo(np.int64).max
NO_ROWS = np.zeros(0, np.int64)


def stale(evidence: Evidence) -> tuple[Finding, ...]:
    """An answer from a release that was not live while the request was on its way."""
    return per_act(
        evidence,
        Kind.STALE,
        stale_mask(evidence),
        "were answered by a release that was not live",
        among=evidence.ok & settled(evidence),
    )


def backwards(evidence: Evidence) -> tuple[Finding, ...]:
    """Within one connection the version changes only where a switch can explain it."""
    return per_act(
        evidence,
        Kind.BACKWARDS,
        backwards_mask(evidence),
        "were answered by a version that no switch explains on their connection",
        among=_followers(evidence),
    )


def stale_mask(evidence: Evidence) -> Mask:
    """Good answers of a release that was not live while the request was on its way.

    The switches divide the run into reigns, of each of which one release alone may answer: before
    the first switch the one that was live before, then each switch's. A request may be answered by
    those in whose reigns it was on its way, the bound and the clocks' uncertainty allowed for.
    """
    frame = evidence.requests
    reigns = reigns_of(evidence.history)
    if not reigns:
        return np.zeros(len(frame), bool)
    first, last = evidence.reigns
    right = np.zeros(len(frame), bool)
    colors = color_codes(evidence, [color for color, _ in reigns])
    versions = _codes(frame["version"], [version for _, version in reigns])
    color, version = frame["color"].cat.codes.to_numpy(), frame["version"].cat.codes.to_numpy()
    for step in range(int((last - first).max(initial=0)) + 1):
        of = np.minimum(first + step, last)
        right |= (color == colors[of]) & ((version == versions[of]) | (versions[of] == ANY))
    nameless = is_in(frame["color"], ("",))
    return mask(evidence.ok & ~right & ~nameless)


def settled(evidence: Evidence) -> Mask:
    """The requests that one release alone may answer."""
    if not reigns_of(evidence.history):
        return np.zeros(len(evidence.requests), bool)
    first, last = evidence.reigns
    return mask(first == last)


ANY = -3
"""The code of a version that nobody knows, so that any will do."""


def _codes(column: pd.Series[Any], wanted: list[str]) -> Any:  # noqa: ANN401 - numpy array
    """The categorical codes of `wanted`; ANY for "", and one that nothing has for an unknown."""
    known = list(column.cat.categories)
    return np.array([(known.index(w) if w in known else -2) if w else ANY for w in wanted])


def color_codes(evidence: Evidence, colors: list[str]) -> Any:  # noqa: ANN401 - numpy array
    """The categorical codes of `colors`; one that never answered gets a code that nothing has."""
    categories = list(evidence.requests["color"].cat.categories)
    return np.array([categories.index(c) if c and c in categories else -2 for c in colors])


def backwards_mask(evidence: Evidence) -> Mask:
    """Good answers that differ from the one before on their connection, without a switch between.

    A user's connections follow each other, so a connection is the user and how many times that
    user has opened a new one. Stale answers are left out: they are another check's. Without a
    journal nothing can be explained, and nothing is judged.
    """
    frame = evidence.requests
    rows, same = _neighbours(evidence)
    look = frame["color"].cat.codes.to_numpy()[rows], frame["version"].cat.codes.to_numpy()[rows]
    changed = same & ((look[0][1:] != look[0][:-1]) | (look[1][1:] != look[1][:-1]))
    found = np.zeros(len(frame), bool)
    places = np.flatnonzero(changed)
    before, after = rows[places], rows[places + 1]
    found[after] = ~_explained(evidence, before, after)
    return found


def _followers(evidence: Evidence) -> Mask:
    """The good answers that have one before them on their connection."""
    rows, same = _neighbours(evidence)
    found = np.zeros(len(evidence.requests), bool)
    found[rows[1:][same]] = True
    return found


def _neighbours(evidence: Evidence) -> tuple[Any, Any]:
    """The rows of good answers, by connection, and which neighbours share one; none unjournaled."""
    good = evidence.ok & ~stale_mask(evidence) & ~is_in(evidence.requests["color"], ("",))
    rows = evidence.by_user[good[evidence.by_user]] if evidence.history.journal_present else NO_ROWS
    user, new = users(evidence)[rows], is_in(evidence.requests["connection"], ("new",))[rows]
    return rows, (user[1:] == user[:-1]) & ~new[1:]


def _explained(evidence: Evidence, before: Any, after: Any) -> Mask:  # noqa: ANN401 - numpy arrays
    """Whether a switch to the later answer's release may lie between the requests of each pair."""
    margin, frame = evidence.bounds.stale_ns + evidence.uncertainty_ns, evidence.requests
    sent, ended = frame["sent_ns"].to_numpy()[before], frame["end_ns"].to_numpy()[after]
    color, version = frame["color"].iloc[after], frame["version"].iloc[after]
    explained = np.zeros(len(after), bool)
    for switch in evidence.history.switches:
        leads = is_in(color, (switch.target,))
        if switch.version:
            leads &= is_in(version, (switch.version,))
        relay = (switch.begun_ns - evidence.uncertainty_ns <= ended) & (
            switch.done_ns + margin >= sent
        )
        explained |= leads & relay
    return explained


def who_answers(evidence: Evidence) -> tuple[Finding, ...]:
    """After each act the answers name the release that the act made, or left, live."""
    excused = stale_mask(evidence) | backwards_mask(evidence)
    return tuple(
        _who(evidence, number, item, excused)
        for number, item in enumerate(evidence.history.performed)
        if item.loaded
    )


def _who(evidence: Evidence, number: int, item: Performed, excused: Mask) -> Finding:
    frame, live = evidence.requests, item.after
    named = ~is_in(frame["color"], ("",))  # of others answers_named tells
    looked = _settled(evidence, number, item) & evidence.ok & named
    right = is_in(frame["color"], (live.live,))
    if live.version:
        right &= is_in(frame["version"], (live.version,))
    wrong = looked & ~right & ~excused
    n, count = int(looked.sum()), int(wrong.sum())
    verdict = Verdict.FAIL if count else Verdict.PASS if n else Verdict.UNKNOWN
    return Finding(
        "who answers",
        verdict,
        f"{n - count:,} of {n:,} answers came from {live.live or 'nobody'} {live.version}",
        act=number,
        about=item.act.name,
        count=count,
        n=n,
        ids=hex_ids(frame["id"].to_numpy()[wrong][:MOST_IDS]),
    )


def _settled(evidence: Evidence, number: int, item: Performed) -> Mask:
    """Requests that only the release live after this act may answer."""
    performed = evidence.history.performed
    until = performed[number + 1].begun_ns if number + 1 < len(performed) else FOREVER
    stays = item.act.traffic in (Traffic.UNTOUCHED, Traffic.RESTORED)
    since = item.begun_ns if stays else item.ended_ns
    sent, ended = evidence.requests["sent_ns"].to_numpy(), evidence.requests["end_ns"].to_numpy()
    return mask((sent > since) & (ended < until))
