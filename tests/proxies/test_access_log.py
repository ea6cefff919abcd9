"""The proxy's log is read on from where it was read to, on a real file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.proxies.access_log import AccessLog, UnreadableError
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

MOST = 41


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "it's here" / "logs").mkdir(parents=True)
    return tmp_path / "it's here" / "logs" / "access.json"


@pytest.fixture
def log(tmp_path: Path, path: Path) -> AccessLog:
    return AccessLog(Machine(tmp_path).host, str(path.parent.parent), MOST, "c1")


def test_each_line_is_told_once_and_a_torn_one_when_it_is_whole(path: Path, log: AccessLog) -> None:
    path.write_bytes("é one\ntwo\nthr".encode())
    assert [*log.more()] == ["é one", "two"]
    assert [*log.more()] == []
    with path.open("ab") as more:
        more.write(b"ee\nfour\n")
    assert [*log.more()] == ["three", "four"]


def test_only_its_newest_part_is_fetched_and_nothing_where_there_is_none(
    path: Path, log: AccessLog
) -> None:
    assert [*log.more()] == []
    lines = [f"line {number:02}" for number in range(20)]
    path.write_text("\n".join([*lines, ""]))
    assert [*log.more()] == ["", *lines[-5:]]


def test_a_log_that_was_rolled_is_read_from_its_start(path: Path, log: AccessLog) -> None:
    path.write_text("a long line\nand its torn end")
    assert [*log.more()] == ["a long line"]
    path.write_text("new\n")
    assert [*log.more()] == ["new"]


def test_a_log_that_cannot_be_read_is_an_error_and_no_log_without_requests(
    path: Path, log: AccessLog
) -> None:
    path.mkdir()  # which root cannot read either
    with pytest.raises(UnreadableError, match="the proxy's log cannot be read: tail: "):
        log.more()


def test_what_was_answered_before_it_matters_is_left_there(tmp_path: Path, path: Path) -> None:
    def line(at: float) -> str:
        return f'{{"level":"info","ts":{at:.7f},"msg":"\\"ts\\":9e9"}}'

    def since(at: float) -> AccessLog:
        return AccessLog(Machine(tmp_path).host, str(path.parent.parent), 10_000, "c1", since=at)

    lines = [line(1_700_000_000 + number) for number in range(10)]
    path.write_text("\n".join([*lines, lines[-1][:20]]))
    for first, wanted in ((4.0, lines[4:]), (3.5, lines[4:]), (-5.0, lines), (60.0, [])):
        log = since(1_700_000_000 + first)
        assert [*log.more()] == wanted
        with path.open("a") as file:
            file.write(f"{lines[-1][20:]}\nmore\n")
        assert [*log.more()] == [lines[-1], "more"]
        path.write_text("\n".join([*lines, lines[-1][:20]]))
