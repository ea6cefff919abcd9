"""`inv deploy --watch`: what its page is told of the proxy's log, and what it draws."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cyan.tasks.watching import Answers
from tests.lab.harness import COMMAND
from tests.proof.browser import CHROMIUM, browser

if TYPE_CHECKING:
    from tests.lab.harness import Lab

BEGUN = 1_000.0


def line(at: float, **changes: Any) -> str:
    """A line of the proxy's log, of an answer that ended so many seconds after the begin."""
    usual = {"ts": BEGUN + at, "duration": 0.1, "status": 200, "user_id": "blue id 3"}
    return json.dumps(usual | changes)


def test_answers_are_counted_by_half_second_color_and_failure() -> None:
    answers = Answers(BEGUN)
    told = answers.more(
        [
            line(-1),
            line(0.2),
            line(0.4, user_id="green id 3"),
            line(0.6, status=502, user_id="-"),
            line(0.7, user_id="-", resp_headers={"X-Color": ["blue"]}),
            line(0.8, status=101),
            line(0.9, status=0),
            "torn",
        ]
    )
    assert told == [
        {"at": 0.0, "p99": 100.0, "blue": 1, "green": 1},
        {"at": 0.5, "p99": 100.0, "failed": 1, "blue": 1},
    ]
    assert (answers.count, answers.failed) == (4, 1)
    assert answers.longest_ms == pytest.approx(300)
    assert answers.more([]) == []


@pytest.mark.lab
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.nightly
@pytest.mark.parametrize("version", ["v2", "nowhere"])
def test_a_deploy_is_drawn_while_it_happens_by_what_its_users_are_answered(
    lab: Lab, version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lab.live("v1")
    words = [*COMMAND, "deploy", "--version", version, "--watch"]
    with lab.load(), browser(tmp_path_factory.mktemp("profile")) as page:
        with subprocess.Popen(words, cwd=lab.folder, stdout=subprocess.PIPE, text=True) as deployer:
            assert deployer.stdout is not None
            first = next(each for each in deployer.stdout if each.startswith("watch it: "))
            page.ask("Page.navigate", url=first.split()[-1])
            page.until("document.querySelector('#act-0')?.textContent.includes('exit ')")
            deployer.stdout.read()
        steps = page.value("document.querySelector('.steps').textContent")
        names = page.value("document.getElementById('live-figure').data.map(each => each.name)+''")
    if version == "v2":
        assert "switch, " in steps
        assert "exit 0 · live: v2 (" in steps
        assert {"blue", "green", "p99"} <= {*names.split(",")}
    else:
        assert "exit 1 · live: " in steps
        assert ", untouched" in steps
