"""Whether each act did what it should: exit code, live color, the journal's switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.proof.findings import Finding, Verdict
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from cyan.proof.evidence import Evidence
    from cyan.proof.history import Performed, Switch, Window

FAILURE = 1
"""The exit code of a deploy that did not happen; others (2: usage, 130: interrupted) are not it."""


def command(evidence: Evidence) -> tuple[Finding, ...]:
    """The command exited as it should."""
    return tuple(_command(number, item) for number, item in enumerate(evidence.history.performed))


def _command(number: int, item: Performed) -> Finding:
    if item.error:
        return _finding("command", number, item, Verdict.UNKNOWN, item.error)
    wanted = FAILURE if item.act.fails else 0
    verdict = Verdict.PASS if item.exit_code == wanted else Verdict.FAIL
    return _finding(
        "command", number, item, verdict, f"exit code {item.exit_code}, wanted {wanted}"
    )


def live_color(evidence: Evidence) -> tuple[Finding, ...]:
    """The world after the act is as the act should leave it."""
    return tuple(_live(number, item) for number, item in enumerate(evidence.history.performed))


def _live(number: int, item: Performed) -> Finding:
    right = {
        Traffic.SWITCH: _switched(item),
        Traffic.EITHER: _switched(item) or _untouched(item),
        Traffic.RESTORED: _restored(item),
    }.get(item.act.traffic, _untouched(item))
    before, after = (
        _words(item.before.live, item.before.version),
        _words(item.after.live, item.after.version),
    )
    verdict = Verdict.PASS if right else Verdict.FAIL
    return _finding("live color", number, item, verdict, f"{before} → {after}")


def _switched(item: Performed) -> bool:
    moved = item.after.live not in {"", item.before.live}
    return moved and item.act.version in {"", item.after.version}


def _untouched(item: Performed) -> bool:
    return (
        item.after.live == item.before.live
        and item.after.live_containers == item.before.live_containers
    )


def _restored(item: Performed) -> bool:
    """Whether the same containers are live, though they were stopped and started."""
    before, after = item.before, item.after
    return after.live == before.live and {one for one, _ in before.live_containers} == {
        one for one, _ in after.live_containers
    }


def _words(live: str, version: str) -> str:
    return f"{live} {version}".strip() if live else "nothing live"


def journaled(evidence: Evidence) -> tuple[Finding, ...]:
    """The journal's last switch in each act leads to what is live; none where none may be."""
    return tuple(
        _journaled(window, item, evidence.history.switches)
        for window, item in zip(evidence.history.windows(), evidence.history.performed, strict=True)
    )


def _journaled(window: Window, item: Performed, switches: tuple[Switch, ...]) -> Finding:
    inside = [s for s in switches if window.start_ns <= s.done_ns <= window.end_ns]
    within = [switch for switch in inside if switch.recorded]
    targets = ", ".join(switch.target for switch in within) or "none"
    text = f"switches in the journal: {targets}"
    if item.act.traffic in (Traffic.UNTOUCHED, Traffic.RESTORED):
        verdict = Verdict.FAIL if within else Verdict.PASS
    elif within:
        verdict = Verdict.PASS if within[-1].target == item.after.live else Verdict.UNKNOWN
    elif item.act.traffic is not Traffic.SWITCH and item.after.live == item.before.live:
        verdict = Verdict.PASS
    else:
        verdict = Verdict.UNKNOWN
    return _finding("journal", window.act, item, verdict, text)


def _finding(check: str, number: int, item: Performed, verdict: Verdict, text: str) -> Finding:
    count = 0 if verdict is Verdict.PASS else 1
    return Finding(check, verdict, text, act=number, about=item.act.name, count=count, n=1)
