"""Whether the site stood still, and whether anybody looked: times, judged act by act."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyan.proof.client_log import is_in
from cyan.proof.evidence import Evidence, Mask, mask
from cyan.proof.findings import STEADY, Finding, Margin, Verdict
from cyan.proof.history import SECOND
from cyan.proof.requestlog import LASTING
from cyan.proof.statistics import longest_interval

if TYPE_CHECKING:
    from cyan.proof.history import Window

MILLISECOND = 1e6
SLOW_NS = SECOND
FEW = 20
"""Of fewer answers a 99th percentile says nothing."""


def stood_still(evidence: Evidence) -> tuple[Finding, ...]:
    """No act of cyan's own kept users waiting for longer than its bounds, with no drop or with.

    Not of what chaos breaks: its faults may stop a site.
    """
    calm = evidence.requests["act"].to_numpy() == -1
    steady = _waits(evidence, calm)
    return tuple(
        _stall(evidence, window, steady)
        for window in evidence.history.windows()
        if evidence.history.performed[window.act].loaded
        and not evidence.history.performed[window.act].act.program
    )


def _waits(evidence: Evidence, within: Mask) -> np.ndarray:
    """How long each good answer took from when it was due, ns; not those that last by design."""
    counted = within & evidence.ok & ~is_in(evidence.requests["journey"], LASTING)
    frame = evidence.requests
    waits: np.ndarray = (frame["end_ns"].to_numpy() - frame["due_ns"].to_numpy())[counted]
    return waits


def _stall(evidence: Evidence, window: Window, steady: np.ndarray) -> Finding:
    bounds = evidence.bounds.stall
    held, share = _held(evidence, window)
    own = _waits(evidence, evidence.requests["act"].to_numpy() == window.act)
    start = max(window.start_ns, evidence.history.load_begun_ns)
    end = min(window.end_ns, evidence.history.load_ended_ns)
    gap = _silence(evidence, start, end) / SECOND
    p99, calm = _p99(own), _p99(steady)
    slow, usual = _share(own), _share(steady)
    most = (bounds.gap + held, calm + bounds.p99 + held, usual + bounds.slow + share)
    beyond = (
        gap > most[0],
        len(own) >= FEW and p99 > most[1],
        len(own) >= FEW and slow > most[2],
    )
    text = (
        f"longest time without an answer {gap:.2f} s, of {most[0]:.3g} s allowed; "
        f"p99 {p99:.2f} s, of {most[1]:.2f} s; "
        f"{slow:.1%} of the answers took over a second, of {most[2]:.1%}"
    )
    if held:
        text += f"; requests waited {held:.2f} s while one color took the other's place"
    verdict = Verdict.FAIL if any(beyond) else Verdict.PASS
    margins = (
        Margin("longest time without an answer", gap, most[0], "s"),
        Margin("p99, from when a request was due", p99, most[1], "s"),
        Margin("answers that took over a second", slow, most[2]),
    )
    return Finding(
        "stood still", verdict, text, act=window.act, about=window.name,
        count=sum(beyond), n=len(own), margins=margins if len(own) >= FEW else margins[:1],
    )  # fmt: skip


def _held(evidence: Evidence, window: Window) -> tuple[float, float]:
    """How long requests waited at the proxy on purpose, s, and of an act's time which share."""
    inside = [
        (each.done_ns - each.begun_ns) / SECOND
        for each in evidence.history.holds
        if window.start_ns <= each.begun_ns <= window.end_ns
    ]
    return max(inside, default=0.0), sum(inside) / max(window.seconds, 1e-9)


def _silence(evidence: Evidence, start: int, end: int) -> int:
    """The longest stretch in which somebody waited and nobody had a good answer, ns.

    One in which nobody asked, or whose rows are lost, is not the site's.
    """
    frame = evidence.requests
    good = frame["end_ns"].to_numpy()[evidence.ok]
    inside = np.sort(good[(good >= start) & (good <= end)])
    edges = np.concatenate(([start], inside, [end]))
    waiting = np.sort(frame["sent_ns"].to_numpy()[mask(frame["answered"]) & ~_unsent(evidence)])
    asked = np.searchsorted(waiting, edges[1:]) > np.searchsorted(waiting, edges[:-1])
    return int(np.where(asked, np.diff(edges), 0).max(initial=0))


def _p99(waits: np.ndarray) -> float:
    return float(np.quantile(waits, 0.99)) / SECOND if len(waits) else 0.0


def _share(waits: np.ndarray) -> float:
    return float((waits > SLOW_NS).mean()) if len(waits) else 0.0


def looked(evidence: Evidence) -> tuple[Finding, ...]:
    """In no act was there a longer time than the bound in which nobody asked."""
    sent = evidence.requests["sent_ns"].to_numpy()[~_unsent(evidence)]
    return tuple(
        _blind(evidence, window, sent)
        for window in evidence.history.windows()
        if evidence.history.performed[window.act].loaded
    )


def _unsent(evidence: Evidence) -> Mask:
    return is_in(evidence.requests["failure"], ("unsent",))


def _blind(evidence: Evidence, window: Window, sent: np.ndarray) -> Finding:
    start = max(window.start_ns, evidence.history.load_begun_ns)
    end = min(window.end_ns, evidence.history.load_ended_ns)
    blind = longest_interval(sent, start, end) / MILLISECOND
    over = blind > evidence.bounds.blind_ms
    return Finding(
        "always looked",
        Verdict.UNKNOWN if over else Verdict.PASS,
        f"at most {blind:.0f} ms without a request, of {evidence.bounds.blind_ms:g} ms allowed",
        act=window.act,
        about=window.name,
        count=int(over),
        n=int(mask((sent >= start) & (sent <= end)).sum()),
        margins=(Margin("time without a request", blind, evidence.bounds.blind_ms, "ms"),),
    )


def unsent(evidence: Evidence) -> tuple[Finding, ...]:
    """Every arrival was sent: of one that was not, nobody knows how it would have been answered."""
    acts, left = evidence.requests["act"].to_numpy(), _unsent(evidence)
    names = [(-1, STEADY), *((w.act, w.name) for w in evidence.history.windows())]
    findings = []
    for act, name in names:
        count, n = int((left & (acts == act)).sum()), int((acts == act).sum())
        text = f"{count:,} of {n:,} requests were due and never sent"
        verdict = Verdict.UNKNOWN if count else Verdict.PASS
        findings.append(
            Finding("schedule sent", verdict, text, act=act, about=name, count=count, n=n)
        )
    return tuple(findings)


def received(evidence: Evidence) -> tuple[Finding, ...]:
    """The client had its answers soon after the proxy had given them: it is no slow witness."""
    told = evidence.of_proxy
    if told is None or not len(told.frame):
        return ()
    frame = evidence.requests
    took = frame["end_ns"].to_numpy() - frame["sent_ns"].to_numpy()
    lag = (took - told.column("duration_ns").to_numpy()) / MILLISECOND
    counted = evidence.ok & told.there & ~is_in(frame["journey"], LASTING)
    acts = frame["act"].to_numpy()
    names = [(-1, STEADY), *((w.act, w.name) for w in evidence.history.windows())]
    return tuple(
        _lag(evidence, lag[counted & (acts == act)], act, name)
        for act, name in names
        if act < 0 or evidence.history.performed[act].loaded
    )


def _lag(evidence: Evidence, lag: np.ndarray, act: int, name: str) -> Finding:
    bound = evidence.bounds.received_p99_ms
    p99 = float(np.quantile(lag, 0.99)) if len(lag) else 0.0
    over = p99 > bound
    return Finding(
        "received in time",
        Verdict.UNKNOWN if over else Verdict.PASS,
        f"p99 of what the client took longer than the proxy is {p99:.0f} ms, of {bound:g} allowed",
        act=act,
        about=name,
        count=int(over),
        n=len(lag),
        margins=(Margin("p99 of the delay in receiving", p99, bound, "ms"),),
    )
