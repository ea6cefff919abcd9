"""Drops as the client saw them. Each request is of one kind at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyan.proof.checks.tools import for_run, per_act
from cyan.proof.client_log import is_in
from cyan.proof.evidence import ROUNDED_NS, Evidence, Mask, mask, users
from cyan.proof.findings import Finding, Kind, Verdict
from cyan.proof.history import SECOND
from cyan.proof.requestlog import STREAMS

if TYPE_CHECKING:
    import pandas as pd

    from cyan.proof.history import Drain

CUT_WITHIN_NS = 15 * SECOND
"""A drain that gave up sends SIGTERM at once; what it cuts ends within this."""

ABORTED_WITHIN_NS = 5_000_000
"""Within this the proxy logs a request after it has given its answer up."""

OK = 200
UNAUTHORISED = 401
CONFLICT = 409
SERVER_ERROR = 500


def refused(evidence: Evidence) -> tuple[Finding, ...]:
    """The connection was refused, or could not be opened in time."""
    return per_act(
        evidence, Kind.REFUSED, plainly(evidence, "refused"), "were refused a connection"
    )


def reset(evidence: Evidence) -> tuple[Finding, ...]:
    """The connection closed or was reset before the complete answer."""
    return per_act(evidence, Kind.RESET, plainly(evidence, "reset"), "lost their connection")


def timeout(evidence: Evidence) -> tuple[Finding, ...]:
    """No complete answer within the deadline."""
    return per_act(evidence, Kind.TIMEOUT, plainly(evidence, "timeout"), "had no answer in time")


def status(evidence: Evidence) -> tuple[Finding, ...]:
    """5xx, or any status that the journey does not expect."""
    hidden = evidence.ok & (evidence.requests["status"].to_numpy() >= SERVER_ERROR)
    found = plainly(evidence, "status") | hidden
    special = session_mask(evidence) | mixed_mask(evidence)
    return per_act(evidence, Kind.STATUS, found & ~special, "had a status nobody expects")


def truncated(evidence: Evidence) -> tuple[Finding, ...]:
    """Fewer bytes than promised, or a checksum that does not match."""
    frame = evidence.requests
    expected = frame["expected_bytes"].to_numpy()
    short = (expected >= 0) & (frame["received_bytes"].to_numpy() != expected)
    hidden = evidence.ok & (short | (frame["digest"].to_numpy() == 0) | aborted_mask(evidence))
    found = plainly(evidence, "truncated") | hidden
    return per_act(evidence, Kind.TRUNCATED, found, "were cut short or did not match their digest")


def aborted_mask(evidence: Evidence) -> Mask:
    """Good answers in chunks that the proxy ended for an application that had not.

    The proxy's log of errors says when, and not of which request: it is the next that it logs.
    """
    told, found = evidence.of_proxy, np.zeros(len(evidence.requests), bool)
    if told is None or not len(told.frame) or not evidence.witnesses.aborted_ns:
        return found
    chunked = is_in(evidence.requests["framing"], ("chunked",))
    rows = np.flatnonzero(told.there & (chunked | ~evidence.ok))  # others told the client
    ended = told.column("at_ns").to_numpy()[rows]
    order = np.argsort(ended, kind="stable")
    for at in evidence.witnesses.aborted_ns:
        place = int(np.searchsorted(ended[order], at - ROUNDED_NS))
        if place < len(rows) and ended[order][place] <= at + ABORTED_WITHIN_NS:
            found[rows[order[place]]] = True
    return mask(found & evidence.ok)


def session_lost(evidence: Evidence) -> tuple[Finding, ...]:
    """A log-in on one color that the other does not know."""
    of_session = is_in(evidence.requests["journey"], ("me",))
    return per_act(
        evidence, Kind.SESSION_LOST, session_mask(evidence), "lost their session", among=of_session
    )


def mixed_colors(evidence: Evidence) -> tuple[Finding, ...]:
    """A service of one color was served by the other color's."""
    asked = is_in(evidence.requests["journey"], ("ask",))
    return per_act(
        evidence,
        Kind.MIXED,
        mixed_mask(evidence),
        "crossed from one color to the other",
        among=asked,
    )


def cut(evidence: Evidence) -> tuple[Finding, ...]:
    """In flight when a drain's deadline passed, and cut by it."""
    streams = is_in(evidence.requests["journey"], STREAMS)
    return per_act(
        evidence,
        Kind.CUT,
        cut_mask(evidence) & ~streams,
        "were cut by a drain or a reload",
        among=~streams,
    )


def streams_cut(evidence: Evidence) -> tuple[Finding, ...]:
    """Streams and WebSockets cut by a drain, with the time to reconnect; not a drop by itself."""
    streams = is_in(evidence.requests["journey"], STREAMS)
    found = cut_mask(evidence) & streams
    sentence = "were cut by a drain or a reload" + _reconnected(evidence, found)
    return per_act(evidence, Kind.STREAM_CUT, found, sentence, among=streams, bad=Verdict.PASS)


def replaced_idle(evidence: Evidence) -> tuple[Finding, ...]:
    """Idle connections that the server had closed before the next request; counted, not judged.

    Many of them are a proxy that closes what its clients keep open.
    """
    signoffs = evidence.client.signoffs
    count, n = sum(s.replaced_idle for s in signoffs), sum(s.sent for s in signoffs)
    sentence = f"{count:,} idle connections were closed by the server and replaced before sending"
    return (for_run("idle replaced", count, sentence, bad=Verdict.PASS, n=n),)


def session_mask(evidence: Evidence) -> Mask:
    """Requests of a logged-in user who was told to log in."""
    told = evidence.requests["status"].to_numpy() == UNAUTHORISED
    return mask(is_in(evidence.requests["journey"], ("me",)) & told)


def mixed_mask(evidence: Evidence) -> Mask:
    """Requests to `ask` that found two colors: the site said so (409), or the client read it."""
    asked = is_in(evidence.requests["journey"], ("ask",)) & evidence.failed
    said = np.isin(evidence.requests["status"].to_numpy(), (OK, CONFLICT))
    return mask(asked & said & is_in(evidence.requests["failure"], ("status",)))


def cut_mask(evidence: Evidence) -> Mask:
    """Failed requests that were in flight to what a drain let go, when it gave up on some.

    Only what the proxy or the client knows to be the drained color's, and what ended by a reset or
    short of its end. No more of them than it gave up on, and those that ended soonest after it:
    what else fails then is a drop.
    """
    sent = evidence.requests["sent_ns"].to_numpy()
    ended = evidence.requests["end_ns"].to_numpy()
    found = np.zeros(len(sent), bool)
    dead = evidence.failed & is_in(evidence.requests["failure"], ("reset", "truncated"))
    for drain in evidence.history.drains:
        if drain.cut:
            soon = (ended >= drain.done_ns) & (ended <= drain.done_ns + CUT_WITHIN_NS)
            lost = (sent < drain.done_ns) & soon & dead & _let_go(evidence, drain) & ~found
            rows = np.flatnonzero(lost)
            found[rows[np.argsort(ended[rows], kind="stable")][: drain.cut]] = True
    return found


def _let_go(evidence: Evidence, drain: Drain) -> Mask:
    """Requests that the drained color answered; a reload lets both colors go.

    A proxy that another takes the place of ends what may have no end: streams and WebSockets.
    """
    if drain.step == "reload":
        return np.ones(len(evidence.requests), bool)
    if drain.step == "upgrade":
        return is_in(evidence.requests["journey"], STREAMS)
    at_client = is_in(evidence.requests["color"], (drain.color,))
    told = evidence.of_proxy
    if told is None or not len(told.frame):
        return at_client
    return at_client | (told.there & is_in(told.column("color"), (drain.color,)))


def plainly(evidence: Evidence, failure: str) -> Mask:
    """Requests that failed so at the client, and that no drain cut."""
    found = is_in(evidence.requests["failure"], (failure,))
    return found & evidence.failed & ~cut_mask(evidence)


def _reconnected(evidence: Evidence, found: Mask) -> str:
    """How long the users of `found` took to be back; "" where nobody was cut."""
    if not found.any():
        return ""
    waits = reconnect_times(evidence, found)
    back = waits.dropna() / SECOND
    if back.empty:
        return "; none of them was opened again at the first attempt"
    missing = f", {len(waits) - len(back)} not at the first attempt" if waits.hasnans else ""
    return f"; back after {back.median():.2f} s, at most {back.max():.2f} s{missing}"


def reconnect_times(evidence: Evidence, found: Mask) -> pd.Series[float]:
    """For each of `found`, ns from its end to the first byte of the stream opened again.

    That is the next request of the same user, where it was sent after the end and answered well;
    NaN where there is none.
    """
    streams = is_in(evidence.requests["journey"], STREAMS)
    frame = evidence.requests.loc[streams, ["sent_ns", "first_ns", "end_ns"]]
    frame = frame.assign(
        user=users(evidence)[streams], good=evidence.ok[streams], cut=found[streams]
    )
    frame = frame.sort_values(["user", "sent_ns"])
    again = frame.groupby("user")[["sent_ns", "first_ns", "good"]].shift(-1)
    back = (again["good"] == True) & (again["sent_ns"] >= frame["end_ns"])  # noqa: E712 - or NaN
    waits = (again["first_ns"] - frame["end_ns"]).where(back)
    return waits[frame["cut"]].astype(float)
