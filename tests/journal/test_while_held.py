"""What takes long ends with its deployer, and does not begin for one whose lock is gone."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from cyan.engines.compose import Project
from cyan.interrupt import Interrupted
from cyan.journal import while_held
from cyan.journal.lock import Lock, LockLostError, Owner, take_away
from cyan.journal.while_held import WhileHeld
from cyan.migrations import apply, files
from cyan.sections import MigrateSettings
from tests.lab.harness import until
from tests.rollout.worlds import DATABASE, V1_ON_BLUE, settings
from tests.shell import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.world.host import Output

SETTINGS = settings(migrate=MigrateSettings(directory=Path(__file__).parent, database=DATABASE))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(while_held, "TICK", 0.02)
    return Machine(tmp_path)


@contextmanager
def locked(machine: Machine) -> Iterator[Lock]:
    mine = Owner("ann", "laptop", 1.0, "deploy v1")
    with Lock(machine.host, str(machine.folder), mine, wait=5) as lock:
        yield lock


def free(machine: Machine) -> bool:
    """Whether the next deployer may begin."""
    return machine.run("flock -n busy true", check=False).code == 0


def test_a_watched_command_has_its_input_output_and_exit_code(
    machine: Machine,
) -> None:
    with locked(machine) as lock:
        done = WhileHeld(lock).feed(
            "cat | tr a b; echo ill >&2; exit 7", lambda sink: sink.write(b"banana"), check=False
        )
        assert (done.stdout, done.stderr, done.code) == ("bbnbnb", "ill\n", 7)
        assert free(machine)
        assert WhileHeld(lock).run("echo 'it''s'").stdout == "its\n"


@contextmanager
def at_work(machine: Machine, lock: Lock, end: str) -> Iterator[None]:
    """A watched command, which must have ended soon after the block."""
    done: list[Output] = []
    tied = WhileHeld(lock, f"cd {machine.folder} && {{ {end}; }}")
    work = f"cd {machine.folder}; sh -c 'echo $$ >pid; exec sleep 60'; touch went-on"
    thread = threading.Thread(target=lambda: done.append(tied.run(work, check=False)))
    thread.start()
    until((machine.folder / "pid").exists, "it is at work")
    time.sleep(0.1)
    assert thread.is_alive()
    assert not free(machine)
    yield
    thread.join(5)
    assert done
    assert free(machine)


@pytest.mark.parametrize("end", [while_held.KILL, "touch ended; kill $(cat pid)"])
def test_a_command_ends_once_its_deployer_is_gone(machine: Machine, end: str) -> None:
    with locked(machine) as lock, at_work(machine, lock, end):
        take_away(machine.host, str(machine.folder))
    assert (machine.folder / "ended").exists() == ("ended" in end)
    assert not list(machine.folder.glob("running.*"))


def test_a_command_is_watched_whatever_the_directory_is_called(machine: Machine) -> None:
    folder = machine.folder / """it's "$HOME" `touch $CANARY` $(touch $CANARY) \\ é"""
    folder.mkdir()
    with Lock(machine.host, str(folder), Owner("ann", "laptop", 1.0, "it")) as lock:
        assert WhileHeld(lock).run("sleep 0.2; echo done").stdout == "done\n"
    assert machine.clean
    assert {path.name for path in folder.iterdir()} == {"lock", "busy", "journal.jsonl"}


def test_a_command_ends_once_its_deployer_is_interrupted_and_has_the_lock_still(
    machine: Machine,
) -> None:
    with locked(machine) as lock:
        tied = at_work(machine, lock, while_held.KILL)
        with tied, pytest.raises(Interrupted), WhileHeld(lock)._let_go():
            raise Interrupted
        lock.check()
    assert not (machine.folder / "went-on").exists()


def test_a_command_does_not_begin_once_another_has_the_lock(machine: Machine) -> None:
    with locked(machine) as lock:
        take_away(machine.host, str(machine.folder))
        with locked(machine):
            for begins in (WhileHeld(lock).run, lambda command: lock.feed(command, repr)):
                with pytest.raises(LockLostError, match="another took it"):
                    begins("touch begun")
    assert not (machine.folder / "begun").exists()


def test_no_migration_is_done_by_a_deployer_whose_lock_another_has(machine: Machine) -> None:
    """A laptop that slept between two files must not drop a column under the old release."""
    with locked(machine) as lock:
        at = apply.Migrator(machine.host, SETTINGS, V1_ON_BLUE, lock)
        file = files.parse({"0001_contract_it.sql": "ALTER TABLE t DROP COLUMN old;"})[0]
        backfill = files.parse({"0002_backfill_it.sql": "UPDATE t SET a = 1"})[0]
        once = Project("demo-blue", PurePosixPath("/srv")).once("contract", "platform", "true")
        apply.apply(at, file, "r1")
        assert machine.calls.pop()[0] == "exec"
        (machine.folder / "record").unlink()
        take_away(machine.host, str(machine.folder))
        with locked(machine):
            for does in (
                lambda: apply.apply(at, file, "r1"),
                lambda: apply.backfill(at, backfill, "r1", print),
                lambda: apply.run_command(at, once, str),
                lambda: apply.expand(at, "r1"),
            ):
                with pytest.raises(LockLostError, match="another took it"):
                    does()
    assert machine.calls == []
