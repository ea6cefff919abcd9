"""The log of an application that knows nothing of cyan, as a witness."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cyan.names import Color
from cyan.proof import own_logs
from cyan.proof.checks.agreement import agree
from cyan.proof.findings import Verdict
from cyan.proof.verdict import basis
from cyan.proof.witnesses import read_witnesses
from tests.rollout import worlds

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proof.synthetic import Run

WEB = replace(worlds.container("web", Color.BLUE), version="v1", id="c" * 64)
ID = "00000000000000ff"
LINES = [
    f'{{"req": {{"id": "{ID}"}}, "status": 200}}',
    f'{{"req": {{"id": "{ID}"}}, "status": 200}}',
    "listening on 8000",
    '{"req": {"id": null}}',
    '{"req": "GET /"}',
    '["req"]',
    f'{{"req": {{"id": "{ID}',
]


def test_a_line_with_an_id_is_a_request_that_was_executed_and_others_are_not() -> None:
    told = [json.loads(line) for line in own_logs.converted(LINES, "req.id", WEB, "web")]
    assert [each["event"] for each in told] == ["start", "end", "start", "end"]
    assert {(each["id"], each["color"], each["version"], each["service"]) for each in told} == {
        (ID, "blue", "v1", "web")
    }


def test_it_says_nothing_of_when_and_so_nothing_of_the_clocks(clean: Run) -> None:
    lines = clean.witnesses.application
    assert lines is not None
    untimed = replace(clean.witnesses, application=lines.assign(at_ns=own_logs.UNKNOWN))
    evidence = replace(clean, witnesses=untimed).evidence()
    assert evidence.of_start is not None
    assert not evidence.of_start.timed
    assert evidence.clock_error_ns == 0
    alone = replace(clean, witnesses=replace(untimed, proxy=None)).evidence()
    assert alone.clock_error_ns == 0  # also where nobody else says when
    (found,) = agree(evidence)
    assert found.verdict is Verdict.PASS, found.text
    early = replace(clean.witnesses, application=lines.assign(at_ns=lines["at_ns"] - 10**12))
    (found,) = agree(replace(clean, witnesses=early).evidence())
    assert "time (application)" in found.text


def test_what_was_executed_twice_is_there_twice_as_the_checks_read_it(tmp_path: Path) -> None:
    path = tmp_path / "application" / own_logs.name_of(WEB)
    path.parent.mkdir()
    path.write_text("".join(f"{e}\n" for e in own_logs.converted(LINES, "req.id", WEB, "web")))
    found = read_witnesses(tmp_path, "web")
    assert found.application is not None
    assert found.logs == ("app-blue-web-cccccccccccc.jsonl",)
    assert list(found.application["id"]) == [255] * 4
    assert int((~found.application["end"]).sum()) == 2


@pytest.mark.parametrize(
    ("task", "words"),
    [("", f"docker logs {WEB.id} "), ("t1", "docker service logs --raw t1 ")],
)
def test_it_is_asked_for_wherever_it_runs(task: str, words: str) -> None:
    command = own_logs.command(replace(WEB, task=task), 12.5)
    assert command == f"{words}--since 12.500000 2>&1"


def test_a_verdict_names_each_witness_that_it_rests_on() -> None:
    there = ["proxy", "application", "journal"]
    assert basis({"witnesses": there}) == (
        "on client, proxy and application; not looked at: writes lost or doubled"
    )
    assert basis({"witnesses": [*there, "ledger"]}) == ""
