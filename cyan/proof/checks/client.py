"""Drops as the client saw them. Each request is of one kind at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyan.proof.case import STREAMS, Case, Mask, is_in, mask, users
from cyan.proof.checks.tools import for_run, per_act
from cyan.proof.findings import Finding, Kind, Verdict
from cyan.proof.history import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from cyan.proof.history import Drain

CUT_WITHIN_NS = 15 * SECOND
"""A drain that gave up sends SIGTERM at once; what it cuts ends within this."""

OK = 200
UNAUTHORISED = 401
CONFLICT = 409
SERVER_ERROR = 500


def refused(case: Case) -> tuple[Finding, ...]:
    """The connection was refused, or could not be opened in time."""
    return per_act(case, Kind.REFUSED, _plain(case, "refused"), "were refused a connection")


def reset(case: Case) -> tuple[Finding, ...]:
    """The connection closed or was reset before the complete answer."""
    return per_act(case, Kind.RESET, _plain(case, "reset"), "lost their connection")


def timeout(case: Case) -> tuple[Finding, ...]:
    """No complete answer within the deadline."""
    return per_act(case, Kind.TIMEOUT, _plain(case, "timeout"), "had no answer in time")


def status(case: Case) -> tuple[Finding, ...]:
    """5xx, or any status that the journey does not expect."""
    hidden = case.ok & (case.requests["status"].to_numpy() >= SERVER_ERROR)
    found = _plain(case, "status") | hidden
    special = session_mask(case) | mixed_mask(case)
    return per_act(case, Kind.STATUS, found & ~special, "had a status nobody expects")


def truncated(case: Case) -> tuple[Finding, ...]:
    """Fewer bytes than promised, or a checksum that does not match."""
    frame = case.requests
    expected = frame["expected_bytes"].to_numpy()
    short = (expected >= 0) & (frame["received_bytes"].to_numpy() != expected)
    hidden = case.ok & (short | (frame["digest"].to_numpy() == 0))
    found = _plain(case, "truncated") | hidden
    return per_act(case, Kind.TRUNCATED, found, "were cut short or did not match their digest")


def session_lost(case: Case) -> tuple[Finding, ...]:
    """A log-in on one color that the other does not know."""
    of_session = is_in(case.requests["journey"], ("me",))
    return per_act(
        case, Kind.SESSION_LOST, session_mask(case), "lost their session", among=of_session
    )


def mixed_colors(case: Case) -> tuple[Finding, ...]:
    """A service of one color was served by the other color's."""
    asked = is_in(case.requests["journey"], ("ask",))
    return per_act(
        case, Kind.MIXED, mixed_mask(case), "crossed from one color to the other", among=asked
    )


def cut(case: Case) -> tuple[Finding, ...]:
    """In flight when a drain's deadline passed, and cut by it."""
    streams = is_in(case.requests["journey"], STREAMS)
    return per_act(
        case, Kind.CUT, cut_mask(case) & ~streams, "were cut by a drain or a reload", among=~streams
    )


def streams_cut(case: Case) -> tuple[Finding, ...]:
    """Streams and WebSockets cut by a drain, with the time to reconnect; not a drop by itself."""
    streams = is_in(case.requests["journey"], STREAMS)
    found = cut_mask(case) & streams
    sentence = "were cut by a drain or a reload" + _reconnected(case, found)
    return per_act(case, Kind.STREAM_CUT, found, sentence, among=streams, bad=Verdict.PASS)


def replaced_idle(case: Case) -> tuple[Finding, ...]:
    """Idle connections that the server had closed before the next request; counted, not judged.

    Many of them are a proxy that closes what its clients keep open.
    """
    signoffs = case.client.signoffs
    count, n = sum(s.replaced_idle for s in signoffs), sum(s.sent for s in signoffs)
    sentence = f"{count:,} idle connections were closed by the server and replaced before sending"
    return (for_run("idle replaced", count, sentence, bad=Verdict.PASS, n=n),)


def session_mask(case: Case) -> Mask:
    """Requests of a logged-in user who was told to log in."""
    told = case.requests["status"].to_numpy() == UNAUTHORISED
    return mask(is_in(case.requests["journey"], ("me",)) & told)


def mixed_mask(case: Case) -> Mask:
    """Requests to `ask` that found two colors: the site said so (409), or the client read it."""
    asked = is_in(case.requests["journey"], ("ask",)) & case.failed
    said = np.isin(case.requests["status"].to_numpy(), (OK, CONFLICT))
    return mask(asked & said & is_in(case.requests["failure"], ("status",)))


def cut_mask(case: Case) -> Mask:
    """Failed requests that were in flight to what a drain let go, when it gave up on some.

    No more of them than it gave up on, and those that ended soonest after it: what else fails then
    is a drop.
    """
    sent = case.requests["sent_ns"].to_numpy()
    ended = case.requests["end_ns"].to_numpy()
    found = np.zeros(len(sent), bool)
    dead = case.failed & ~session_mask(case) & ~mixed_mask(case)
    for drain in case.history.drains:
        if drain.cut:
            soon = (ended >= drain.done_ns) & (ended <= drain.done_ns + CUT_WITHIN_NS)
            lost = (sent < drain.done_ns) & soon & dead & _let_go(case, drain) & ~found
            rows = np.flatnonzero(lost)
            found[rows[np.argsort(ended[rows], kind="stable")][: drain.cut]] = True
    return found


def _let_go(case: Case, drain: Drain) -> Mask:
    """Requests that the drained color answered, or nobody; a reload lets both colors go."""
    if drain.step == "reload":
        return np.ones(len(case.requests), bool)
    return is_in(case.requests["color"], (drain.color, ""))


def _plain(case: Case, failure: str) -> Mask:
    return is_in(case.requests["failure"], (failure,)) & case.failed & ~cut_mask(case)


def _reconnected(case: Case, found: Mask) -> str:
    """How long the users of `found` took to be back; "" where nobody was cut."""
    if not found.any():
        return ""
    waits = reconnect_times(case, found)
    back = waits.dropna() / SECOND
    if back.empty:
        return "; none of them was opened again at the first attempt"
    missing = f", {len(waits) - len(back)} not at the first attempt" if waits.hasnans else ""
    return f"; back after {back.median():.2f} s, at most {back.max():.2f} s{missing}"


def reconnect_times(case: Case, found: Mask) -> pd.Series[float]:
    """For each of `found`, ns from its end to the first byte of the stream opened again.

    That is the next request of the same user, where it was sent after the end and answered well;
    NaN where there is none.
    """
    streams = is_in(case.requests["journey"], STREAMS)
    frame = case.requests.loc[streams, ["sent_ns", "first_ns", "end_ns"]]
    frame = frame.assign(user=users(case)[streams], good=case.ok[streams], cut=found[streams])
    frame = frame.sort_values(["user", "sent_ns"])
    again = frame.groupby("user")[["sent_ns", "first_ns", "good"]].shift(-1)
    back = (again["good"] == True) & (again["sent_ns"] >= frame["end_ns"])  # noqa: E712 - or NaN
    waits = (again["first_ns"] - frame["end_ns"]).where(back)
    return waits[frame["cut"]].astype(float)
