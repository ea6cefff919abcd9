"""The deployer as it is watched: one that hangs is ended and told, one that nobody sees is told."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, cast

import pytest

from cyan.chaos import deploying
from cyan.chaos.deploying import Command, Deployer, Watch
from cyan.chaos.moment import NotInjectedError
from cyan.journal import entries as journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyan.world.host import Host


class Line:
    """A host whose journal is what the test sends."""

    def __init__(self) -> None:
        self.ours, self._theirs = socket.socketpair()
        self.ours.sendall(b"ready\n")

    def channel(self, _command: str) -> socket.socket:
        return self._theirs

    def writes(self, step: str) -> None:
        entry = journal.Entry(1.0, "r1", "deploy", journal.Event.STEP, step)
        self.ours.sendall(journal.dump(entry).encode() + b"\n")


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.ours.close()


def watch(line: Line) -> Watch:
    return Watch(cast("Host", line), "/srv/demo")


def started(line: Line, folder: Path, program: str) -> Deployer:
    command = Command((sys.executable, "-c", program), ("deploy",), folder, {})
    return Deployer(command, folder / "it.log", watch(line))


HANGS = "import time; time.sleep(60)"


def test_a_deployer_that_comes_to_its_moment_and_ends_did_not_hang(
    line: Line, tmp_path: Path
) -> None:
    with started(line, tmp_path, "raise SystemExit(4)") as made:
        line.writes("drain")
        made.comes_to(("drain", "step"))
        made.ends()
    assert (made.ran.code, made.ran.hung) == (4, "")


def test_a_deployer_that_does_not_end_is_ended_and_the_rest_goes_on(
    line: Line, tmp_path: Path
) -> None:
    with started(line, tmp_path, HANGS) as made:
        made.ends(0.2)
        assert made.ran.code
    assert made.ran.hung == "did not end in 0.2 s"


def test_a_deployer_that_never_comes_to_its_moment_hung(line: Line, tmp_path: Path) -> None:
    with started(line, tmp_path, HANGS) as made, pytest.raises(NotInjectedError):
        made.comes_to(("drain", "step"), 0.2)
    assert made.ran.hung == "did not come to drain step in 0.2 s"


def test_a_deployer_that_ends_before_its_moment_did_not_hang(line: Line, tmp_path: Path) -> None:
    with started(line, tmp_path, "") as made, pytest.raises(NotInjectedError, match="ended before"):
        made.comes_to(("drain", "step"))
    assert made.ran.hung == ""


def test_a_journal_that_is_told_no_more_is_not_waited_for(line: Line, tmp_path: Path) -> None:
    begun = time.monotonic()
    with started(line, tmp_path, HANGS) as made:
        line.ours.close()
        with pytest.raises(NotInjectedError, match="is gone"):
            made.comes_to(("drain", "step"), 60)
    assert time.monotonic() - begun < 30
    assert made.ran.hung == ""


def test_a_journal_that_cannot_be_watched_is_told(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "END_WITHIN", 0.1)
    line.channel("").recv(6)
    with pytest.raises(NotInjectedError, match="could not be watched"):
        watch(line)
