"""A command that waits for its word: done once it is told, and never otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.errors import HostError
from cyan.journal.armed import Armed
from cyan.journal.lock import Lock
from tests.journal.test_lock import ANN, BOB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.shell import Machine


@pytest.fixture
def ours(machine: Machine, tmp_path: Path) -> Iterator[Lock]:
    with Lock(machine.host, str(tmp_path / "app"), ANN) as lock:
        yield lock


def armed(machine: Machine, lock: Lock, command: str) -> Armed:
    return Armed(machine.host, lock, command)


def test_it_is_done_when_it_is_told_and_says_what_the_command_printed(
    machine: Machine, ours: Lock, tmp_path: Path
) -> None:
    waits = armed(machine, ours, f"touch {tmp_path}/done && echo 12.5")
    assert not (tmp_path / "done").exists()
    waits.go()
    assert waits.said().stdout == "12.5"
    assert (tmp_path / "done").exists()
    waits.close()


def test_it_is_never_done_where_its_deployer_lets_go_of_it(
    machine: Machine, ours: Lock, tmp_path: Path
) -> None:
    armed(machine, ours, f"touch {tmp_path}/done").close()
    assert not (tmp_path / "done").exists()


def test_what_comes_first_is_done_before_anybody_is_told_and_where_it_fails_nobody_is(
    machine: Machine, ours: Lock, tmp_path: Path
) -> None:
    first = f"touch {tmp_path}/first"
    waits = Armed(machine.host, ours, f"touch {tmp_path}/done", first)
    assert (tmp_path / "first").exists()
    waits.close()
    assert not (tmp_path / "done").exists()
    with pytest.raises(HostError, match=r"not ready to be switched \(no room\)"):
        Armed(machine.host, ours, f"touch {tmp_path}/done", "echo no room >&2; false")


def test_a_command_that_fails_says_why(machine: Machine, ours: Lock) -> None:
    waits = armed(machine, ours, "echo 'read-only file system' >&2; exit 3")
    waits.go()
    with pytest.raises(HostError, match="read-only file system"):
        waits.said()
    waits.close()


def test_it_is_not_begun_where_the_lock_is_another_deployers(
    machine: Machine, tmp_path: Path
) -> None:
    theirs = Lock(machine.host, str(tmp_path / "app"), BOB)  # which was never taken
    with pytest.raises(HostError, match="not ready to be switched"):
        armed(machine, theirs, f"touch {tmp_path}/done")
    assert not (tmp_path / "done").exists()


def test_what_else_changes_the_host_waits_while_it_is_armed(machine: Machine, ours: Lock) -> None:
    waits = armed(machine, ours, "echo first")
    waits.go()
    assert ours.run("echo second").stdout == "second\n"
    assert waits.said().stdout == "first"
    waits.close()


def test_one_that_is_not_ready_in_time_does_not_wait_on_and_keep_the_host(
    machine: Machine, ours: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(_armed: Armed) -> str:
        raise HostError("no answer")

    monkeypatch.setattr(Armed, "_line", late)
    with pytest.raises(HostError, match="no answer"):
        armed(machine, ours, f"touch {tmp_path}/done")
    assert ours.run("echo undone").stdout == "undone\n"  # which waits for what holds the host
    assert not (tmp_path / "done").exists()
