"""The lock and the journal, on this machine in the place of a host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from cyan.errors import HostError, LockedError
from cyan.journal import lock as locking
from cyan.journal.entries import Entry, Event
from cyan.journal.lock import JournalError, Lock, LockLostError, Owner, take_away

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.shell import Machine

ANN = Owner("ann", "laptop", 1.0, "deploy v1")
BOB = Owner("bob", "desk", 2.0, "cleanup")
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "app"


def lock(machine: Machine, folder: Path, owner: Owner = ANN) -> Lock:
    return Lock(machine.host, str(folder), owner)


def note(text: str) -> Entry:
    return Entry(0.0, "r1", "deploy", Event.NOTE, detail={"text": text})


def texts(folder: Path) -> list[str]:
    return [
        json.loads(line)["detail"]["text"]
        for line in (folder / "journal.jsonl").read_text().splitlines()
    ]


def held(path: Path) -> bool:
    return subprocess.run(["flock", "-n", path, "true"], check=False).returncode != 0


def shown(path: Path, text: str) -> None:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text() == text):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def running(command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of a deployer's, in a group of its own as sshd gives it."""
    process = subprocess.Popen(["sh", "-c", command], start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_line_of_the_journal_is_on_the_disk_when_it_is_recorded(
    machine: Machine, folder: Path
) -> None:
    machine.program("sync", 'echo "$@" >>"$RECORD.synced"')
    with lock(machine, folder) as mine:
        mine.record(note("one"))
        assert texts(folder) == ["one"]
        assert (machine.folder / "record.synced").read_text() == "-d journal.jsonl\n"


def test_a_line_that_was_torn_is_ended_before_the_next_one(machine: Machine, folder: Path) -> None:
    (folder / "journal.jsonl").write_text('{"at": 1')
    with lock(machine, folder) as mine:
        mine.record(note("one"))
    torn, whole = (folder / "journal.jsonl").read_text().splitlines()
    assert torn == '{"at": 1'
    assert json.loads(whole)["detail"] == {"text": "one"}


def test_a_full_disk_is_told_as_such_and_the_lock_stays_ours(
    machine: Machine, folder: Path
) -> None:
    journal = folder / "journal.jsonl"
    journal.symlink_to("/dev/full")
    with lock(machine, folder) as mine:
        with pytest.raises(JournalError, match="cannot be written"):
            mine.record(note("one"))
        mine.check()
        journal.unlink()
        journal.write_text('{"torn')  # what had room before it was full
        mine.record(note("two"))
    assert journal.read_text().splitlines()[0] == '{"torn'
    assert len(journal.read_text().splitlines()) == 2


@pytest.fixture
def small(folder: Path) -> Iterator[Path]:
    """A file system of one megabyte in the place of the application's folder."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1M,mode=777", "cyan-test", str(folder)]
    if subprocess.run([*AS_ROOT, *mount], check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run([*AS_ROOT, "umount", str(folder)], check=True)


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Another writes the disk full, and takes whatever becomes free."""
    script = 'while :; do printf "%4096s" x >>full; done 2>/dev/null'
    with running(f"cd {folder}; {script}"):
        shown_full = time.monotonic() + 20
        while os.statvfs(folder).f_bavail:
            assert time.monotonic() < shown_full
            time.sleep(0.01)
        yield


def test_a_lock_that_cannot_be_written_is_not_taken(machine: Machine, small: Path) -> None:
    with (
        filling(small),
        pytest.raises(HostError, match="lock cannot be written"),
        lock(machine, small),
    ):
        pass


def test_on_a_full_disk_there_is_room_for_the_lock_and_for_what_a_rollback_journals(
    machine: Machine, small: Path
) -> None:
    with lock(machine, small) as mine:
        mine.record(note("before"))
    long = "x" * 3000
    with filling(small), lock(machine, small, BOB) as mine:
        for _ in range(60):
            mine.record(note(long))
    assert texts(small) == ["before", *[long] * 60]


def test_the_room_is_taken_again_once_there_is_some_and_a_spent_one_is_told(
    machine: Machine, small: Path
) -> None:
    with lock(machine, small):
        pass
    with filling(small), lock(machine, small) as mine, pytest.raises(JournalError):
        record_many(mine, 100)
    (small / "full").unlink()
    with lock(machine, small):
        pass
    with filling(small), lock(machine, small) as mine:
        record_many(mine, 60)


def record_many(mine: Lock, times: int) -> None:
    for _ in range(times):
        mine.record(note("x" * 3000))


def test_a_heartbeat_tells_that_the_owner_lives(machine: Machine, folder: Path) -> None:
    with lock(machine, folder) as mine:
        before = (folder / "lock").stat().st_mtime_ns
        mine.check()
        assert (folder / "lock").stat().st_mtime_ns > before


def test_an_owner_who_is_silent_for_too_long_has_lost_the_lock(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "PATIENCE", 0.1)
    with lock(machine, folder) as mine:
        time.sleep(0.5)
        with pytest.raises(LockLostError):
            mine.check()
        assert not held(folder / "lock")


def test_a_lock_that_ended_in_order_is_not_taken_over(machine: Machine, folder: Path) -> None:
    with lock(machine, folder):
        pass
    with lock(machine, folder, BOB) as mine:
        assert mine.taken_over is None


def test_a_second_owner_is_told_who_holds_it(machine: Machine, folder: Path) -> None:
    with (
        lock(machine, folder),
        pytest.raises(LockedError, match="locked by ann@laptop doing 'deploy v1'"),
        lock(machine, folder, BOB),
    ):
        pass


def test_who_only_looks_whether_it_is_locked_does_not_keep_a_deploy_from_beginning(
    machine: Machine, folder: Path
) -> None:
    with running(f"flock {folder}/lock sh -c 'echo >{folder}/looking; sleep 0.3'"):
        shown(folder / "looking", "\n")
        with lock(machine, folder) as mine:
            mine.check()


def test_what_a_command_leaves_running_does_not_keep_the_next_one_waiting(
    machine: Machine, folder: Path
) -> None:
    with lock(machine, folder) as mine:
        mine.run(f"sleep 30 >/dev/null 2>&1 </dev/null & echo $! >{folder}/daemon")
        try:
            assert not held(folder / "busy")
        finally:
            subprocess.run(["kill", (folder / "daemon").read_text().strip()], check=True)


def test_a_command_that_outlives_its_deployer_holds_the_next_one_up_until_it_ends(
    machine: Machine, folder: Path
) -> None:
    with lock(machine, folder) as mine:
        command = mine.guarded(f"echo >{folder}/begun; sleep 0.5; echo done >{folder}/ended")
        deployer = subprocess.Popen(["sh", "-c", f"{command} & wait"])
        shown(folder / "begun", "\n")
        deployer.kill()
        deployer.wait()
        assert held(folder / "busy")
    with lock(machine, folder, BOB):
        assert (folder / "ended").read_text() == "done\n"


def test_a_command_that_never_ends_is_named_and_ended_with_the_lock_of_its_dead_owner(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "HOLDER", locking.HOLDER.replace("flock -w 20", "flock -w 0.1"))
    monkeypatch.setattr(locking, "TAKE_AWAY", locking.TAKE_AWAY.replace("-w 3", "-w 0.1"))
    mine = lock(machine, folder).__enter__()
    hangs = mine.guarded(f"echo >{folder}/begun; sleep 60; echo >{folder}/ended")
    with running(hangs):
        shown(folder / "begun", "\n")
        mine._done.set()
        mine._channel.close()  # its deployer dies
        with (
            pytest.raises(LockedError, match=r"a command of the deployer ann@laptop .* still runs"),
            lock(machine, folder, BOB),
        ):
            pass
        assert take_away(machine.host, str(folder)) == ANN.described
        assert not held(folder / "busy")
    assert not (folder / "ended").exists()
    assert take_away(machine.host, str(folder)) == ""


def test_a_lock_that_is_taken_away_ends_what_its_living_owner_hangs_in(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = locking.TAKE_AWAY.replace("-w 3", "-w 0.1").replace("-w 5", "-w 0.2")
    monkeypatch.setattr(locking, "TAKE_AWAY", quick)
    with lock(machine, folder) as mine:
        stubborn = mine.guarded(f"trap '' TERM; echo >{folder}/begun; sleep 1; sleep 60")
        with running(stubborn):
            shown(folder / "begun", "\n")
            assert take_away(machine.host, str(folder)) == ANN.described
            assert not held(folder / "busy")
            assert not held(folder / "lock")
        with pytest.raises(LockLostError):
            mine.run("true")


def test_no_command_of_an_owner_whose_lock_was_taken_away_begins_any_more(
    machine: Machine, folder: Path
) -> None:
    with lock(machine, folder) as mine:
        take_away(machine.host, str(folder))
        with pytest.raises(LockLostError):
            mine.run(f"touch {folder}/harm")
    assert not (folder / "harm").exists()


def test_a_host_that_does_not_answer_is_told_as_such(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Mock()
    silent.makefile().readline.side_effect = TimeoutError("timed out")
    monkeypatch.setattr(machine, "channel", lambda _command: silent)
    with pytest.raises(HostError, match="did not say whether the lock is free"):
        lock(machine, folder).__enter__()


def test_a_process_that_is_none_of_ours_is_not_ended_although_the_lock_names_it(
    machine: Machine, folder: Path
) -> None:
    with running(f"exec flock {folder}/lock sh -c 'echo >{folder}/begun; sleep 60'") as other:
        shown(folder / "begun", "\n")
        (folder / "lock").write_text(json.dumps({"pid": other.pid}))
        assert take_away(machine.host, str(folder)) == ""
        assert other.poll() is None
