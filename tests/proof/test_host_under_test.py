"""Logs are fetched whole or not at all; what is missing is told and never taken for empty."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from cyan.errors import HostError
from cyan.proof.host_under_test import HostUnderTest
from cyan.proof.witnesses import read_witnesses
from cyan.world.host import Output
from tests.rollout.worlds import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE = '{"id": "00000000000000ff", "event": "start", "service": "platform"}\n'


class Here:
    """A host that is this machine: its commands are run by sh."""

    name = "here"

    def run(self, command: str, *, check: bool = True) -> Output:
        done = subprocess.run(("sh", "-c", command), capture_output=True, text=True, check=check)
        return Output(done.stdout, done.stderr, done.returncode)

    def pieces(self, command: str) -> Iterator[bytes]:
        done = subprocess.run(("sh", "-c", command), capture_output=True, check=False)
        yield done.stdout
        if done.returncode:
            raise HostError("a command failed")


class Around(HostUnderTest):
    """The system under test: an application in a folder of this machine, without a database."""

    def __init__(self, directory: Path) -> None:
        self._settings = settings()
        self._host = Here()  # type: ignore[assignment]
        self._directory = PurePosixPath(directory)
        self._before = ()
        self._used = [b"h 100 4096 2\n"]

    def _fetch_ledger(self, folder: Path) -> None: ...
    def _fetch_own_logs(self, folder: Path) -> None: ...
    def _fetch_errors(self, folder: Path) -> None: ...


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    logs = tmp_path / "host" / "logs"
    logs.mkdir(parents=True)
    (logs / "access.json").write_text('{"status": 200}\n{"status": 2')
    (logs / "access-2026-11-21T01-02-03.000.json.gz").write_bytes(gzip.compress(b'{"status": 1}\n'))
    (logs / "app-blue-platform-1.jsonl").write_text(LINE * 3)
    (logs / "app-green-platform-1.jsonl").write_text(LINE)
    (tmp_path / "host" / "journal.jsonl").write_text("{}\n")
    return tmp_path / "host"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_logs_are_fetched_to_their_last_whole_line_and_packed_ones_unpacked(
    directory: Path, run: Path
) -> None:
    Around(directory).collect(run)
    assert (run / "proxy.jsonl").read_text() == '{"status": 1}\n{"status": 200}\n'
    assert (run / "application/app-blue-platform-1.jsonl").read_text() == LINE * 3
    assert (run / "journal.jsonl").read_text() == "{}\n"
    assert not (run / "missing.txt").exists()
    whose, *noted = (run / "resources.tsv").read_text().splitlines()
    assert whose == "a demo demo demo proxy"
    assert noted == ["h 100 4096 2"]


def test_a_log_that_did_not_come_whole_is_left_out_and_told(directory: Path, run: Path) -> None:
    packed = directory / "logs/access-2026-11-21T01-02-03.000.json.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    Around(directory).collect(run)
    assert not (run / "proxy.jsonl").exists()
    assert "cannot be read to its end" in (run / "missing.txt").read_text()
    assert (run / "journal.jsonl").exists()
    read = read_witnesses(run)
    assert read.proxy is None
    assert len(read.faults) == 1


def test_one_of_the_applications_logs_that_is_broken_makes_that_witness_missing(
    directory: Path, run: Path
) -> None:
    log = directory / "logs/app-green-platform-1.jsonl"
    log.write_bytes(gzip.compress(LINE.encode())[:-5])  # zcat takes it for packed
    Around(directory).collect(run)
    assert read_witnesses(run).application is None
    assert (run / "proxy.jsonl").exists()


def test_a_journal_that_is_not_there_is_not_taken_for_an_empty_one(
    directory: Path, run: Path
) -> None:
    (directory / "journal.jsonl").unlink()
    Around(directory).collect(run)
    assert not (run / "journal.jsonl").exists()


def test_a_journal_to_which_nothing_was_written_is_an_empty_one(directory: Path, run: Path) -> None:
    system = Around(directory)
    system._before = system._logs()
    system.collect(run)
    assert (run / "journal.jsonl").read_text() == ""
