"""One self-contained page about a run: the verdict, and everything that it rests on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cyan.proof import calibration, compare, figures, lanes, proxylog, resources, stored, timeline
from cyan.proof.checks.unexplained import cause
from cyan.proof.evidence import ABSENT, Evidence, Mask, hex_ids
from cyan.proof.findings import DROPS, RUN, STEADY, Finding, Margin, Verdict, worst
from cyan.proof.history import SECOND
from cyan.proof.measures import WANTED_BOUND, journeys, price, worst_second
from cyan.proof.page import page
from cyan.proof.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

    from cyan.proof.checks import Further
    from cyan.proof.resources import Resources
    from cyan.proof.verdict import Judgement

LISTED_DROPS = 500
PROXY_LOG = "proxy.jsonl"


def write_report(folder: Path, more: tuple[Further, ...] = ()) -> Judgement:
    """Judge the run in `folder` from its raw files, also by `more`; write its report.html."""
    evidence, judgement = reconcile(folder, more=more)
    kept = folder / calibration.NAME
    made = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
    render(evidence, judgement, folder / "report.html", made)
    return judgement


def render(
    evidence: Evidence, judgement: Judgement, path: Path, made: dict[str, Any] | None = None
) -> Path:
    """Write the page, with the calibration that was `made` in this run; returns `path`."""
    used = _used(path.parent)
    text = page(
        "report.html.j2",
        **_context(evidence, judgement, path.parent),
        **_felt(evidence, used),
        used=used is not None,
        before=_before(path.parent),
        calibration=made,
        figures=_figures(evidence, judgement, _dropped(evidence, judgement), used),
        folder=path.parent.name,
    )
    path.write_text(text, encoding="utf-8")
    return path


def _context(evidence: Evidence, judgement: Judgement, folder: Path) -> dict[str, Any]:
    *acts, steady = judgement.measures
    dropped = _dropped(evidence, judgement)
    return {
        "judgement": judgement,
        "price": price(judgement.n),
        "wanted": WANTED_BOUND,
        "begun": datetime.fromtimestamp(evidence.history.load_begun_ns / SECOND, UTC),
        "seconds": (evidence.history.load_ended_ns - evidence.history.load_begun_ns) / SECOND,
        "acts": list(zip(acts, judgement.history.performed, strict=True)),
        "steady": steady,
        "matrix": matrix(judgement.findings, [m.name for m in acts]),
        "margins": margins(judgement.findings),
        "troubles": [f for f in judgement.findings if f.verdict is not Verdict.PASS],
        "streams": [f for f in judgement.findings if f.check == "stream cut" and f.count],
        "drops": testimonies(evidence, judgement, dropped, folder),
        "listed": LISTED_DROPS,
        "journeys": journeys(evidence),
        **_switches(judgement),
    }


def _used(folder: Path) -> Resources | None:
    """What was used on the host, where that was noted."""
    try:
        text = (folder / resources.NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return resources.parse(text.splitlines())


def _felt(evidence: Evidence, used: Resources | None) -> dict[str, str]:
    """What users felt at worst, and who did the host's work then: sentences."""
    worst = worst_second(evidence)
    if worst is None:
        return {"felt": "Nobody was answered.", "cause": ""}
    cause_ = lanes.at_the_worst(evidence, used, worst) if used else ""
    return {"felt": worst.sentence, "cause": cause_}


def _before(folder: Path) -> compare.Comparison | None:
    """This run beside the newest of its kind before it that came to a verdict."""
    kind = folder.name.rpartition("-")[2]
    if kind not in stored.KINDS:
        return None
    runs = {each.name: each for each in stored.read(folder.parent)[0] if each.kind == kind}
    earlier = [each for name, each in runs.items() if name < folder.name]
    mine = runs.get(folder.name)
    return compare.compare(earlier[-1], mine) if earlier and mine else None


def _switches(judgement: Judgement) -> dict[str, int]:
    """How many acts switched under load, and how many of these dropped anything."""
    pairs = zip(judgement.measures, judgement.history.performed, strict=False)
    switched = [m for m, item in pairs if item.loaded and item.before.live != item.after.live]
    return {"switched": len(switched), "dropping": sum(bool(m.drops) for m in switched)}


def _figures(
    evidence: Evidence, judgement: Judgement, dropped: Mask, used: Resources | None
) -> dict[str, Any]:
    return {
        "work": lanes.work(evidence, used) if used else None,
        "lanes": lanes.kept_connections(evidence, dropped),
        "distribution": lanes.distribution(evidence),
        "timeline": timeline.time_line(evidence, judgement.measures, dropped),
        "closeups": timeline.close_ups(evidence, dropped),
        "latency": figures.latency(judgement.measures),
        "drains": figures.drains(evidence),
        "handover": figures.hand_over(evidence),
    }


def _dropped(evidence: Evidence, judgement: Judgement) -> Mask:
    ids = np.array([int(text, 16) for text in judgement.drops], dtype=np.uint64)
    return np.isin(evidence.requests["id"].to_numpy(), ids)


def margins(findings: Iterable[Finding]) -> list[tuple[Margin, str]]:
    """What came closest to each bound, and in which act; the closest first."""
    closest: dict[str, tuple[Margin, str]] = {}
    for finding in findings:
        for margin in finding.margins:
            if margin.of not in closest or margin.used > closest[margin.of][0].used:
                closest[margin.of] = margin, finding.about
    return sorted(closest.values(), key=lambda each: -each[0].used)


GROUPS = (
    ("Drops", {str(kind) for kind in DROPS} | {"drops allowed"}),
    ("Acts", {"command", "live color", "journal", "who answers", "stood still"}),
    ("Witnesses", {"witnesses agree", "doubt", "sent once", "foreign traffic", "foreign writes",
                   "recovered write", "known to the client", "clock known", "logs present",
                   "every container's log", "as collected", "answers named", "answers measured"}),
    ("Load", {"rows balance", "rows whole", "none lost", "signed off", "swarm ended",
              "schedule sent", "schedule kept", "always looked", "received in time",
              "no class empty", "every row there", "instrument seen to work",
              "every act performed", "switches told", "idle replaced", "stream cut"}),
)  # fmt: skip
"""The checks by what they are about; others, as chaos's, are a group of their own."""


def matrix(findings: Iterable[Finding], acts: list[str]) -> list[dict[str, Any]]:
    """Groups of checks by acts: rows of cells, each the worst finding of that check about that act.

    The columns are the acts, the steady state and the run. A group whose checks all passed need
    not be shown in full.
    """
    kept = tuple(findings)
    checks = list(dict.fromkeys(finding.check for finding in kept))
    named = {name for _, names in GROUPS for name in names}
    groups = (*GROUPS, ("This kind of run", {each for each in checks if each not in named}))
    made = []
    for title, names in groups:
        rows = [
            _row(check, [f for f in kept if f.check == check], len(acts))
            for check in checks
            if check in names
        ]
        if rows:
            verdict = worst(row["verdict"] for row in rows)
            passed = sum(row["verdict"] is Verdict.PASS for row in rows)
            made.append({"title": title, "rows": rows, "verdict": verdict, "passed": passed})
    return made


def _row(check: str, findings: list[Finding], acts: int) -> dict[str, Any]:
    def cell(about: list[Finding]) -> dict[str, Any] | None:
        if not about:
            return None
        verdict = worst(f.verdict for f in about)
        return {
            "verdict": verdict,
            "count": sum(f.count for f in about),
            "text": "; ".join(f.text for f in about),
        }

    by_act = [cell([f for f in findings if f.act == number]) for number in range(acts)]
    named = [cell([f for f in findings if f.act < 0 and f.about == a]) for a in (STEADY, RUN)]
    return {"check": check, "cells": by_act + named, "verdict": worst(f.verdict for f in findings)}


def testimonies(
    evidence: Evidence, judgement: Judgement, dropped: Mask, folder: Path
) -> list[dict[str, Any]]:
    """What every witness says about each dropped request, the first LISTED_DROPS of them."""
    kinds: dict[str, list[str]] = {}
    for finding in judgement.findings:
        if finding.kind in DROPS:
            for number in finding.ids:
                kinds.setdefault(number, []).append(str(finding.kind))
    rows = evidence.requests[dropped].head(LISTED_DROPS)
    wrote = proxylog.lines_of(folder / PROXY_LOG, hex_ids(rows["id"]))
    return [_witnessed(evidence, row, kinds, wrote) for _, row in rows.iterrows()]


def _witnessed(
    evidence: Evidence,
    row: pd.Series[Any],
    kinds: dict[str, list[str]],
    wrote: dict[str, proxylog.Line],
) -> dict[str, Any]:
    number = f"{row['id']:016x}"
    act, line = int(row["act"]), wrote.get(number)
    return {
        "id": number,
        "kinds": kinds.get(number, []),
        "act": evidence.history.performed[act].act.name if act >= 0 else STEADY,
        "at": float(figures.seconds(evidence, row["sent_ns"])),
        "took": (row["end_ns"] - row["sent_ns"]) / 1e6 if row["end_ns"] else None,
        "request": f"{row['method']} {row['path']}",
        "row": row,
        "proxy": _count(row["proxied"], f"once, {row['proxy_status']}"),
        "wrote": line.sentence(row["expected_bytes"]) if line else "",
        "application": _executed(row),
        "ledger": _count(row["written"], "written once") if row["method"] == "POST" else "no write",
        "cause": cause(
            failed=bool(row["failure"]),
            proxied=row["proxied"],
            proxy_status=row["proxy_status"],
            started=row["started"],
            finished=row["finished"],
        ),
    }


def _count(count: int, once: str) -> str:
    if count == ABSENT:
        return "no log"
    return {0: "nothing", 1: once}.get(count, f"{count} times")


def _executed(row: pd.Series[Any]) -> str:
    if row["started"] == ABSENT:
        return "no log"
    if not row["started"]:
        return "nothing"
    started, finished = int(row["started"]), int(row["finished"])
    times = "" if started == 1 else f" {started} times"
    ended = {0: "never ended", started: "ended"}.get(finished, f"ended {finished} times")
    return f"started{times}, {ended}"
