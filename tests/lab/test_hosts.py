"""Several entries in cyan.hosts: none is left out, and none stays as it is, without a word.

The lab is one machine, which two sshd reach: what is live on one host is live on the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PORTS
from tests.lab.harness import settings_section, until
from tests.lab.servers import PORT, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab

FIRST, SECOND = f"root@127.0.0.1:{PORTS['ssh']}", f"root@127.0.0.1:{PORT}"
NOBODY = {"address": "127.0.0.1", "port": 9, "user": "root"}


@pytest.fixture
def first(lab: Lab) -> dict[str, Any]:
    lab.live("v1")
    return dict(settings_section(lab.folder)["hosts"][0]) | {"user": "root"}


@pytest.fixture
def second(lab: Lab) -> Iterator[dict[str, Any]]:
    with sshd(lab) as entry:
        yield entry | {"user": "root"}


def steps(lab: Lab, begun: int) -> list[str]:
    """The steps that were begun since the journal's first `begun` lines."""
    return [each["step"] for each in lab.journal()[begun:] if each["event"] == "step"]


def test_all_that_looks_goes_on_past_a_host_that_does_not_answer_and_ends_with_1(
    lab: Lab, first: dict[str, Any]
) -> None:
    with lab.configured(hosts=[NOBODY, first]):
        told = {
            words: lab.cyan(*words.split(), check=False, COLUMNS="300")
            for words in ("status", "doctor", "history", "logs", "cleanup", "deploy --abort")
        }
    for words, done in told.items():
        assert done.returncode == 1, words
        assert "root@127.0.0.1:9" in done.stderr, words
        assert "1 of 2 hosts failed, each as is told above" in done.stderr, words
    assert f"on {FIRST}: live is" in told["status"].stdout
    assert "database runs" in told["doctor"].stdout
    assert "deploy done switch" in told["history"].stdout
    assert f"on {FIRST}" in told["logs"].stdout
    assert f"{FIRST}: removed nothing" in told["cleanup"].stdout
    assert f"{FIRST}: no deploy or rollback was left unfinished" in told["deploy --abort"].stdout


@pytest.mark.parametrize("words", [("deploy", "--version", "v2"), ("rollback",)])
def test_nothing_is_begun_where_one_of_the_hosts_does_not_answer(
    lab: Lab, first: dict[str, Any], words: tuple[str, ...]
) -> None:
    before = lab.journal()
    with lab.configured(hosts=[first, NOBODY]):
        done = lab.cyan(*words, check=False)
    assert done.returncode == 1
    assert "root@127.0.0.1:9 cannot be looked at, so " in done.stderr
    assert f"{' '.join(words)} --host {FIRST}" in done.stderr
    assert lab.journal() == before


def test_where_the_second_host_fails_the_error_tells_of_each_what_is_live_and_next(
    lab: Lab, first: dict[str, Any], second: dict[str, Any]
) -> None:
    third = second | {"user": "nobody-there"}
    fails = {"after": "preflight", "run": f'[ "$CYAN_HOST" != {SECOND} ]'}
    with lab.configured(hosts=[first, second], hooks=[fails]):
        done = lab.cyan("deploy", "--version", "v2", check=False)
        color = lab.answering()[0]
        aborted = lab.cyan("deploy", "--abort", check=False)
    assert done.returncode == 1
    assert f"{FIRST}: {color} v2; before it v1 (done)" in done.stderr
    assert f"{SECOND}: {color} v2; before it v1 (failed)" in done.stderr
    assert f"to take {FIRST} back: inv rollback --host {FIRST}" in done.stderr
    assert f"inv deploy --version v2 --host {SECOND}" in done.stderr
    assert aborted.returncode == 1
    assert "no deploy or rollback was left unfinished" in aborted.stderr
    with lab.configured(hosts=[first, second, third]):
        refused = lab.cyan("deploy", "--version", "v3", check=False)
    assert "nobody-there" in refused.stderr
    assert lab.answering() == (color, "v2")
    lab.is_clean()


def test_a_deploy_that_was_killed_on_the_second_host_is_gone_on_with_there_and_told_on_all(
    lab: Lab, first: dict[str, Any], second: dict[str, Any]
) -> None:
    holds = {"before": "smoke", "run": f'[ "$CYAN_HOST" != {SECOND} ] || sleep 60', "within": 90}
    with lab.configured(hosts=[first, second], hooks=[holds]):
        begun = len(lab.journal())
        with lab.begun("deploy", "--version", "v2", reaching="prune"):
            until(
                lambda: steps(lab, begun).count("smoke") == 2, "the second host comes to smoke", 120
            )
    with lab.configured(hosts=[second, NOBODY]):
        done = lab.cyan("deploy", "--resume", check=False)
    assert done.returncode == 1
    assert "resume on" in done.stdout
    assert "live: v2" in done.stdout
    assert "the hosts differ:" in done.stdout
    assert "127.0.0.1:9" in done.stderr
    assert lab.answering()[1] == "v2"
    lab.is_clean()
