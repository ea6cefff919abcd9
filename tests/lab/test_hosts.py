"""Several entries in cyan.hosts, some of which lead to nobody, or to a machine twice.

The lab is one machine, which two sshd reach. Hosts that act as one: test_fleet.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PORTS
from tests.lab.harness import settings_section
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


@pytest.mark.nightly
def test_all_that_looks_goes_on_past_a_host_that_does_not_answer_and_ends_with_1(
    lab: Lab, first: dict[str, Any]
) -> None:
    lab.live("v2")
    lab.live("v1")  # so that a switch is in the history, whatever was tried before
    with lab.configured(hosts=[NOBODY, first]):
        told = {
            words: lab.cyan(*words.split(), check=False, COLUMNS="300")
            for words in ("status", "doctor", "history", "logs", "cleanup")
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


@pytest.mark.parametrize(
    "words", [("deploy", "--version", "v2"), ("rollback",), ("deploy", "--abort")]
)
def test_nothing_is_begun_where_one_of_the_hosts_does_not_answer(
    lab: Lab, first: dict[str, Any], words: tuple[str, ...]
) -> None:
    before = lab.journal()
    with lab.configured(hosts=[first, NOBODY]):
        done = lab.cyan(*words, check=False)
    assert done.returncode == 1
    assert "root@127.0.0.1:9 cannot be reached, so " in done.stderr
    assert f"{FIRST}: " in done.stderr
    assert f"{' '.join(words)} --without root@127.0.0.1:9" in done.stderr
    assert lab.journal() == before


def test_one_machine_under_two_names_is_refused(
    lab: Lab, first: dict[str, Any], second: dict[str, Any]
) -> None:
    before = lab.journal()
    with lab.configured(hosts=[first, second]):
        done = lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 2
    assert "it is another of cyan.hosts as well" in done.stderr
    assert SECOND in done.stderr
    assert lab.journal() == before
    lab.is_clean()
