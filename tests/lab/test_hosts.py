"""Several entries in cyan.hosts: none is left out, and none stays as it is, without a word.

The lab is one machine, which two sshd reach: what is live on one host is live on the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PORTS
from tests.lab.harness import settings_section, until
from tests.lab.nodes import directory, node
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
    lab.live("v2")
    lab.live("v1")  # so that a switch is in the history, whatever was tried before
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


@pytest.mark.nightly
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


@pytest.mark.nightly
def test_two_hosts_of_their_own_are_deployed_rolled_back_and_told_apart_where_one_fails(
    lab: Lab, first: dict[str, Any]
) -> None:
    there = {"directory": directory(lab)}
    with node(lab) as other, lab.configured(hosts=[first, other], **there):
        named = other["address"]
        for version in ("v1", "v2"):
            lab.cyan("deploy", "--version", version)
        assert live(lab, other) == "v2"
        lab.cyan("rollback")
        assert (lab.answering()[1], live(lab, other)) == ("v1", "v1")

        fails = {"after": "healthy", "run": f'[ "$CYAN_HOST" != root@{named}:22 ]'}
        with lab.configured(hosts=[first, other], hooks=[fails], **there):
            done = lab.cyan("deploy", "--version", "v3", check=False)
        assert done.returncode == 1
        assert (lab.answering()[1], live(lab, other)) == ("v3", "v1")
        assert re.search(r"127\.0\.0\.1: \w+ v3; before it v1 \(done\)", done.stderr)
        assert re.search(rf"{re.escape(named)}: \w+ v1; before it v2 \(failed\)", done.stderr)
        assert "to take 127.0.0.1 back: inv rollback --host 127.0.0.1" in done.stderr
        assert f"inv deploy --version v3 --host {named}" in done.stderr

        refused = lab.cyan("rollback", check=False)
        assert refused.returncode == 1
        assert "the hosts differ, so rollback was begun on none of them" in refused.stderr
        assert (lab.answering()[1], live(lab, other)) == ("v3", "v1")
        lab.cyan("deploy", "--version", "v3", "--host", named)
        lab.cyan("rollback")
        assert (lab.answering()[1], live(lab, other)) == ("v1", "v1")
    lab.is_clean()


def live(lab: Lab, entry: dict[str, Any]) -> str:
    """The version that is live on a host."""
    said = lab.cyan("status", "--host", entry["address"]).stdout
    return str(re.findall(r"live is \w+ (\w+)", said)[0])
