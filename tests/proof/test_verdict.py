"""What a run leaves for people and machines: verdict.json, summary.md, junit.xml, the report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from cyan.proof import checks
from cyan.proof.findings import Verdict
from cyan.proof.measures import measure
from cyan.proof.requestlog import OVERWHELMED
from cyan.proof.verdict import SCHEMA, judge

if TYPE_CHECKING:
    from tests.proof import synthetic


def said(folder: Path) -> Any:
    return json.loads((folder / "verdict.json").read_text())


def test_the_verdict_names_its_schema_and_what_it_rests_on(passed: Path) -> None:
    verdict = said(passed)
    assert verdict["schema"] == SCHEMA
    assert (verdict["verdict"], verdict["exit_code"], verdict["drops"]) == ("pass", 0, 0)
    assert verdict["sentence"] == "Not one of 4,000 requests was dropped in 4 acts."
    assert verdict["bound"] == pytest.approx(1 - 0.05 ** (1 / 4000))
    assert "run 299,572 requests" in verdict["price"]
    assert sum(act["requests"] for act in verdict["acts"]) + verdict["steady"]["requests"] == 4000


def test_every_key_of_the_verdict_is_documented(passed: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "verdict.md").read_text()
    verdict = said(passed)
    keys = {*verdict, *verdict["acts"][0], *verdict["checks"][0], *verdict["steady"]}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


def test_an_act_tells_its_gap_beside_the_controls_and_its_latency_raw_and_corrected(
    passed: Path,
) -> None:
    act = said(passed)["acts"][1]
    assert (act["before"]["color"], act["after"]) == ("green", {"color": "blue", "version": "v3"})
    assert 0 < act["longest_gap_ms"] < 100
    assert 0 < act["control_gap_ms"] < 100
    assert 0 < act["detection_power_ms"] < 100
    assert act["latency_ms"]["raw"]["p99"] < act["latency_ms"]["corrected"]["p99"]
    assert {(a["color"], a["version"]) for a in act["answers"]} == {
        ("green", "v2"), ("blue", "v3"),
    }  # fmt: skip


def test_a_failed_verdict_counts_each_dropped_request_once_and_names_it(failed: Path) -> None:
    verdict = said(failed)
    assert (verdict["verdict"], verdict["exit_code"], verdict["drops"]) == ("fail", 1, 2)
    assert verdict["sentence"] == ("2 of 4,000 requests were dropped in 4 acts: 1 reset, 1 stale.")
    found = [c for c in verdict["checks"] if c["verdict"] == "fail"]
    assert [(c["check"], c["act"], c["count"], len(c["examples"])) for c in found] == [
        ("reset", 2, 1, 1), ("stale", 2, 1, 1),
    ]  # fmt: skip
    assert [act["verdict"] for act in verdict["acts"]] == ["pass", "fail", "pass", "pass"]


def test_what_came_closest_to_each_bound_is_on_the_page_with_its_margin(passed: Path) -> None:
    page = (passed / "report.html").read_text()
    told = page.partition('<section id="bounds">')[2].partition("</section>")[0]
    found = [each for check in said(passed)["checks"] for each in check["margins"]]
    assert "longest time without an answer" in {each["of"] for each in found}
    for name in {each["of"] for each in found}:
        closest = max(each["value"] / each["most"] for each in found if each["of"] == name)
        row = told.partition(f"<td>{name}</td>")[2].partition("</tr>")[0]
        assert f">{closest:.0%}<" in row


def test_junit_has_a_case_for_every_check_and_act(failed: Path) -> None:
    suite = ET.fromstring((failed / "junit.xml").read_text())  # our own file
    cases = suite.findall("testcase")
    assert int(suite.attrib["tests"]) == len(cases) == len(said(failed)["checks"])
    broken = [
        (c.attrib["classname"], c.attrib["name"]) for c in cases if c.find("failure") is not None
    ]
    assert broken == [("deploy v3", "reset"), ("deploy v3", "stale")]


def test_the_summary_is_a_table_of_acts_and_a_list_of_what_was_found(failed: Path) -> None:
    text = (failed / "summary.md").read_text()
    assert text.startswith("## 🔴 FAIL: 2 of 4,000 requests were dropped")
    assert "| 2. deploy v3 | 🔴 fail |" in text
    assert "- **fail** reset, deploy v3" in text


def test_the_summary_and_the_report_tell_what_an_act_would_need_and_what_it_detects(
    passed: Path,
) -> None:
    summary, page = ((passed / name).read_text() for name in ("summary.md", "report.html"))
    act = said(passed)["acts"][1]
    assert act["requests_needed"] == 299_572
    assert f"| {act['requests']:,} | 299,572 | 0 |" in summary
    assert f" | {act['detection_power_ms']:.0f} ms | " in summary
    assert "<small>of 299,572</small>" in page
    assert 'data-label="detects"' in page


def test_a_control_that_is_shorter_than_the_act_says_how_long_it_was(
    clean: synthetic.Run, passed: Path
) -> None:
    assert "in 1.0 s</small>" in (passed / "report.html").read_text()
    assert " ms in 1.0 s) |" in (passed / "summary.md").read_text()
    short = measure(clean.evidence(), ())[1]
    assert short.short_control
    assert not replace(short, control_seconds=short.seconds).short_control


def test_the_report_needs_no_network_and_holds_what_it_shows(failed: Path) -> None:
    page = (failed / "report.html").read_text()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", page)
    assert len(page) < 7_000_000
    for number in said(failed)["checks"][0]["examples"]:
        assert f'id="r{number}"' in page


def test_every_dropped_request_is_listed_with_its_testimonies(failed: Path) -> None:
    page = (failed / "report.html").read_text()
    rows = re.findall(r'<tr id="r[0-9a-f]{16}">.*?</tr>', page, re.DOTALL)
    assert len(rows) == 2
    assert "answer lost after it was done" in rows[0] + rows[1]
    assert "written once" in rows[0] + rows[1]
    assert all(
        re.search(r"wrote [0-9,]+ bytes in [0-9]+ ms, from (blue|green)", row) for row in rows
    )


def test_what_a_run_kept_cannot_become_markup(passed: Path) -> None:
    assert "</script><b>" not in (passed / "report.html").read_text()


def test_nothing_is_concluded_of_a_site_that_the_swarm_overwhelmed(clean: synthetic.Run) -> None:
    """Not even from drops: they are the load's."""
    dropped = checks.run_all(clean.planted(7, failure="reset").evidence())
    for code, verdict, begins in (
        (0, Verdict.FAIL, "1 of"),
        (OVERWHELMED, Verdict.UNKNOWN, "The site or this machine was overwhelmed"),
    ):
        found = judge(4000, dropped, (), replace(clean.history, swarm_exit=code), {})
        assert found.verdict is verdict
        assert found.sentence.startswith(begins)
