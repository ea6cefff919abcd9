"""The verdict of a run and the files that carry it: verdict.json, summary.md, junit.xml."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from cyan.proof.findings import DROPS, RUN, Finding, Verdict, worst
from cyan.proof.history import SECOND, History, Performed
from cyan.proof.measures import WANTED_BOUND, Measure, drop_ids, price
from cyan.proof.requestlog import OVERWHELMED
from cyan.proof.scenario import Traffic
from cyan.proof.statistics import Latency, upper_bound
from cyan.proof.wording import rate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = "cyan.verdict/1"
"""Described in docs/verdict.md. A change that a reader could trip over raises the number."""

SHOWN_IDS = 20

COLUMNS = (
    "act", "verdict", "requests", "needed", "drops", "bound", "gap (control)", "detects",
    "p99 (steady)", "live",
)  # fmt: skip

NEEDED = f"Needed: so many requests without a drop claim less than 1 in {1 / WANTED_BOUND:,.0f}."
DETECTS = "Detects: every total outage that is longer, the longest time between two sends."


@dataclass(frozen=True)
class Judgement:
    """A run's verdict with all that it rests on. `measured_on` is settings.json as it was kept."""

    verdict: Verdict
    sentence: str
    n: int
    drops: tuple[str, ...]
    bound: float
    findings: tuple[Finding, ...]
    measures: tuple[Measure, ...]
    history: History
    measured_on: dict[str, Any]


NOT_LOOKED_AT = {
    "application": "what was executed twice",
    "ledger": "writes lost or doubled",
}
"""What nobody can tell without a witness."""


def basis(measured_on: Mapping[str, Any]) -> str:
    """On which witnesses a verdict rests, and what they cannot tell; "" where all are there."""
    there = measured_on.get("witnesses")
    if there is None:
        return ""
    missing = [what for witness, what in NOT_LOOKED_AT.items() if witness not in there]
    *names, last = ["client", *(name for name in there if name != "journal")]
    named = f"{', '.join(names)} and {last}"
    return f"on {named}; not looked at: {', '.join(missing)}" if missing else ""


def judge(
    n: int,
    findings: tuple[Finding, ...],
    measures: tuple[Measure, ...],
    history: History,
    measured_on: dict[str, Any],
) -> Judgement:
    """Fail beats unknown beats pass.

    Nothing is concluded of a site that the swarm itself overwhelmed: what it dropped is the load's.
    """
    verdict = worst(finding.verdict for finding in findings)
    if history.swarm_exit == OVERWHELMED:
        verdict = Verdict.UNKNOWN
    drops = drop_ids(findings)
    return Judgement(
        verdict=verdict,
        sentence=_sentence(verdict, n, len(drops), findings, history) + based(measured_on),
        n=n,
        drops=drops,
        bound=upper_bound(min(len(drops), n), n),
        findings=findings,
        measures=measures,
        history=history,
        measured_on=measured_on,
    )


def based(measured_on: Mapping[str, Any]) -> str:
    """What follows a sentence where not every witness was there; "" where all were."""
    told = basis(measured_on)
    return f" (Judged {told}.)" if told else ""


def _sentence(
    verdict: Verdict, n: int, drops: int, findings: tuple[Finding, ...], history: History
) -> str:
    if history.swarm_exit == OVERWHELMED:
        return "The site or this machine was overwhelmed: too many requests were in flight at once."
    still = [f for f in findings if f.check == "stood still" and f.verdict is Verdict.FAIL]
    acts = f"{len(history.performed)} act{'' if len(history.performed) == 1 else 's'}"
    if verdict is Verdict.PASS and not drops:
        waited = max((each.done_ns - each.begun_ns for each in history.holds), default=0) / SECOND
        held = f"; while one color took the other's place they waited, {waited:.1f} s at most"
        return f"Not one of {n:,} requests was dropped in {acts}{held if waited else ''}."
    if drops:
        kinds = Counter[str]()
        for finding in findings:
            if finding.kind in DROPS:
                kinds[str(finding.kind)] += finding.count
        named = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common() if count)
        where = "within what faults allow, " if verdict is Verdict.PASS else ""
        return f"{drops:,} of {n:,} requests were dropped {where}in {acts}: {named}."
    if still:
        return f"Not one of {n:,} requests was dropped, but the site stood still: {still[0].text}."
    first = next(finding for finding in findings if finding.verdict is verdict)
    where = "" if first.about == RUN else f" in “{first.about}”"
    if verdict is Verdict.FAIL:
        return f"An act did not do what it should: {first.check}{where}: {first.text}."
    return f"The evidence does not carry a verdict: {first.check}{where}: {first.text}."


def as_json(judgement: Judgement) -> dict[str, Any]:
    """The verdict as docs/verdict.md describes it."""
    *acts, steady = judgement.measures
    pairs = zip(acts, judgement.history.performed, strict=True)
    return {
        "schema": SCHEMA,
        "verdict": str(judgement.verdict),
        "exit_code": judgement.verdict.exit_code,
        "sentence": judgement.sentence,
        "begun": _iso(judgement.history.load_begun_ns),
        "ended": _iso(judgement.history.load_ended_ns),
        "requests": judgement.n,
        "drops": len(judgement.drops),
        "bound": judgement.bound,
        "price": price(judgement.n),
        "basis": basis(judgement.measured_on),
        "acts": [_act(measure, item) for measure, item in pairs],
        "steady": _measures(steady),
        "checks": [_finding(finding) for finding in judgement.findings],
        "measured_on": judgement.measured_on,
    }


def _act(measure: Measure, item: Performed) -> dict[str, Any]:
    return {
        "number": measure.act + 1,
        "name": measure.name,
        "verdict": str(measure.verdict),
        "command": item.act.command,
        "environment": dict(item.act.environment),
        "exit_code": item.exit_code,
        "must_fail": item.act.fails,
        "must_switch": item.act.traffic is Traffic.SWITCH,
        "allowed_drops": item.act.allowed_drops,
        "before": {"color": item.before.live, "version": item.before.version},
        "after": {"color": item.after.live, "version": item.after.version},
        "begun": _iso(item.begun_ns),
        "seconds": round((item.ended_ns - item.begun_ns) / SECOND, 3),
        **_measures(measure),
        "longest_gap_ms": round(measure.gap, 3),
        "control_gap_ms": round(measure.control_gap, 3),
        "control_seconds": round(measure.control_seconds, 3),
        "detection_power_ms": round(measure.power, 3),
        "requests_needed": measure.needed,
    }


def _measures(measure: Measure) -> dict[str, Any]:
    return {
        "requests": measure.n,
        "drops": measure.drops,
        "bound": measure.bound,
        "latency_ms": _latency(measure.latency),
        "answers": [
            {"color": color, "version": version, "count": count}
            for color, version, count in measure.answers
        ],
    }


def _latency(found: Latency) -> dict[str, Any]:
    def rounded(values: dict[str, float]) -> dict[str, float | None]:
        return {key: None if math.isnan(v) else round(v, 3) for key, v in values.items()}

    return {"n": found.n, "raw": rounded(found.raw), "corrected": rounded(found.corrected)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "about": finding.about,
        "act": finding.act + 1 if finding.act >= 0 else None,
        "verdict": str(finding.verdict),
        "kind": str(finding.kind) or None,
        "count": finding.count,
        "n": finding.n,
        "bound": finding.bound,
        "examples": list(finding.ids[:SHOWN_IDS]),
        "margins": [asdict(each) for each in finding.margins],
        "text": finding.text,
    }


def _iso(instant_ns: int) -> str:
    return datetime.fromtimestamp(instant_ns / SECOND, UTC).isoformat(timespec="milliseconds")


def summary(judgement: Judgement) -> str:
    """The verdict as Markdown, for a CI job's summary page."""
    lines = [
        f"## {_SIGN[judgement.verdict]} {str(judgement.verdict).upper()}: {judgement.sentence}",
        "",
        f"Upper 95 % bound of the drop rate: {rate(judgement.bound)}. {price(judgement.n)}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    *acts, steady = judgement.measures
    for measure, item in zip(acts, judgement.history.performed, strict=True):
        lines.append(_row(measure, steady, item))
    lines += ["", f"{NEEDED} {DETECTS}"]
    troubles = [f for f in judgement.findings if f.verdict is not Verdict.PASS]
    if troubles:
        lines += ["", "### What was found", ""]
        lines += [_trouble(finding) for finding in troubles]
    return "\n".join(lines) + "\n"


_SIGN = {Verdict.PASS: "🟢", Verdict.FAIL: "🔴", Verdict.UNKNOWN: "🟡"}


def _row(measure: Measure, steady: Measure, item: Performed) -> str:
    p99, calm = measure.latency.corrected["p99"], steady.latency.corrected["p99"]
    cells = (
        f"{measure.act + 1}. {measure.name}",
        f"{_SIGN[measure.verdict]} {measure.verdict}",
        f"{measure.n:,}",
        f"{measure.needed:,}",
        f"{measure.drops:,}",
        rate(measure.bound) if measure.n else "no load",
        f"{measure.gap:.0f} ms ({_control(measure)})" if measure.n else "",
        f"{measure.power:.0f} ms" if measure.n else "",
        f"{p99:.0f} ms ({calm:.0f} ms)" if measure.n else "",
        f"{item.before.live or 'none'} → {item.after.live or 'none'} {item.after.version}",
    )
    return f"| {' | '.join(cells)} |"


def _control(measure: Measure) -> str:
    """The control's gap, with the control's length where it is not the act's."""
    length = f" in {measure.control_seconds:.1f} s" if measure.short_control else ""
    return f"{measure.control_gap:.0f} ms{length}"


def _trouble(finding: Finding) -> str:
    ids = f" ({', '.join(f'`{i}`' for i in finding.ids[:5])})" if finding.ids else ""
    return f"- **{finding.verdict}** {finding.check}, {finding.about}: {finding.text}{ids}"


def junit(judgement: Judgement) -> str:
    """A test case per check and act: failures fail, unknown is an error."""
    findings = judgement.findings
    counts = Counter(finding.verdict for finding in findings)
    suite = ET.Element(
        "testsuite",
        name="cyan verify-zero-downtime",
        tests=str(len(findings)),
        failures=str(counts[Verdict.FAIL]),
        errors=str(counts[Verdict.UNKNOWN]),
    )
    for finding in findings:
        _case(suite, finding)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, finding: Finding) -> None:
    evidence = ET.SubElement(suite, "testcase", classname=finding.about, name=finding.check)
    if finding.verdict is Verdict.PASS:
        return
    tag = "failure" if finding.verdict is Verdict.FAIL else "error"
    trouble = ET.SubElement(evidence, tag, message=finding.text)
    trouble.text = "\n".join(finding.ids[:SHOWN_IDS])


def write(judgement: Judgement, folder: Path, manifest: str = "") -> None:
    """Write verdict.json, summary.md and junit.xml into the run's folder.

    `manifest` is the digest of what the run collected.
    """
    text = (
        json.dumps(as_json(judgement) | {"manifest": manifest}, indent=1, ensure_ascii=False) + "\n"
    )
    (folder / "verdict.json").write_text(text, encoding="utf-8")
    (folder / "summary.md").write_text(summary(judgement), encoding="utf-8")
    (folder / "junit.xml").write_text(junit(judgement), encoding="utf-8")
