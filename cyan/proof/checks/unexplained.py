"""Three witnesses, one request: every request is accounted for once, or named (WITNESS.md)."""

from __future__ import annotations

import numpy as np

from cyan.proof.checks.tools import for_run, per_act
from cyan.proof.client_log import is_in
from cyan.proof.evidence import ABSENT, Evidence, Mask, hex_ids, mask
from cyan.proof.findings import MOST_IDS, Finding, Kind, Verdict

ENDLESS = ("socket",)
"""Journeys that the client ends, so that the application need not log an end."""

UPGRADED, NOT_TOLD = 101, 0
"""A WebSocket's status; Caddy 2.6 logs 0 of a connection that it gave away, later ones 101."""

ERRORS = range(500, 600)
NOBODY = (502, 503, 504)
"""What a proxy answers when the application does not."""


def doubted(evidence: Evidence) -> tuple[Finding, ...]:
    """A good answer that one of proxy and application does not tell of, and the other does.

    Two witnesses against one: that one has lost a line, and no request was dropped.
    """
    sentence = "were answered well, and one of proxy and application has no whole line of it"
    return per_act(evidence, Kind.DOUBT, doubted_mask(evidence), sentence, bad=Verdict.UNKNOWN)


def unexplained(evidence: Evidence) -> tuple[Finding, ...]:
    """One witness saw a request that another, which should have, did not, or saw it otherwise."""
    return per_act(
        evidence,
        Kind.UNEXPLAINED,
        unexplained_mask(evidence),
        "were seen by one witness, and not or otherwise by another that should have",
    )


def executed_twice(evidence: Evidence) -> tuple[Finding, ...]:
    """One send of the client that the application started more than once."""
    frame = evidence.requests
    once = frame["proxied"].to_numpy() <= 1
    started = frame["started"].to_numpy()
    sentence, seen = "reached the application more than once", once & (started >= 1)
    return per_act(evidence, Kind.TWICE, once & (started > 1), sentence, among=seen)


def sent_twice(evidence: Evidence) -> tuple[Finding, ...]:
    """The proxy logged one id more than once: the client sends again, so it cannot be trusted."""
    found = evidence.requests["proxied"].to_numpy() > 1
    sentence = "were logged more than once by the proxy: the client repeats itself"
    seen = evidence.requests["proxied"].to_numpy() >= 1
    findings = per_act(evidence, Kind.NONE, found, sentence, bad=Verdict.UNKNOWN, among=seen)
    return tuple(Finding(**{**item.__dict__, "check": "sent once"}) for item in findings)


def foreign(evidence: Evidence) -> tuple[Finding, ...]:
    """Requests that the proxy saw and no client of this run sent; counted, not judged.

    Told with the smallest of their ids.
    """
    proxy = evidence.witnesses.proxy
    if proxy is None:
        return ()
    others = evidence.ranked.unknown(proxy["id"].to_numpy())
    count, ids = len(others) + evidence.witnesses.strangers, hex_ids(others[:MOST_IDS])
    sentence = f"{count:,} lines of the other witnesses are foreign traffic"
    return (for_run("foreign traffic", count, sentence, bad=Verdict.PASS, ids=ids),)


def unexplained_mask(evidence: Evidence) -> Mask:
    """Requests on which the witnesses contradict each other, by the table of WITNESS.md."""
    return _contradicted(evidence) & ~doubted_mask(evidence)


def doubted_mask(evidence: Evidence) -> Mask:
    """Good answers of which only one of proxy and application tells.

    Where the application has no log, those of which the proxy does not tell.
    """
    frame = evidence.requests
    proxied, started, finished = (
        frame[name].to_numpy() for name in ("proxied", "started", "finished")
    )
    if (proxied == ABSENT).any():
        return np.zeros(len(frame), bool)
    if (started == ABSENT).any():  # one word against another: nobody can say which is wrong
        return mask(evidence.ok & (proxied == 0))
    endless = is_in(frame["journey"], ENDLESS)
    at_proxy, at_application = proxied > 0, (started > 0) & ((finished > 0) | endless)
    return mask(evidence.ok & (at_proxy ^ at_application) & (finished <= 1))


def _contradicted(evidence: Evidence) -> Mask:
    frame = evidence.requests
    proxied, started, finished = (
        frame[name].to_numpy() for name in ("proxied", "started", "finished")
    )
    proxy_here, app_here = proxied != ABSENT, started != ABSENT
    endless = is_in(frame["journey"], ENDLESS)
    unseen = evidence.ok & proxy_here & (proxied == 0)
    undone = evidence.ok & app_here & ((started == 0) | ((finished == 0) & ~endless))
    past_the_proxy = proxy_here & app_here & (proxied == 0) & (started > 0)
    ended_only = app_here & (finished > started)
    told, got = frame["proxy_status"].to_numpy(), frame["status"].to_numpy()
    given_away = (got == UPGRADED) & (told == NOT_TOLD)
    otherwise = evidence.ok & (proxied == 1) & (told != got) & ~given_away
    return mask(unseen | undone | past_the_proxy | ended_only | otherwise)


def cause(*, failed: bool, proxied: int, proxy_status: int, started: int, finished: int) -> str:
    """What the witnesses together say about one request, in words."""
    meanings = (
        (not failed, "answered"),
        (ABSENT in {proxied, started}, "a witness is missing"),
        (proxied == 0, "never arrived: refused, or the listener was gone"),
        (started == 0 and proxy_status in NOBODY, "the proxy had nobody to ask"),
        (started == 0, "the proxy took it and did not pass it on"),
        (finished == 0, "killed in flight: a bad drain"),
        (started > 1, "the proxy sent it twice: double execution"),
        (proxy_status in ERRORS, "the application answered with an error"),
        (True, "answer lost after it was done: the ledger decides about a write"),
    )
    return next(words for applies, words in meanings if applies)
