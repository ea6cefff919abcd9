"""Logs that were rolled during a run lose nothing and add nothing."""

from __future__ import annotations

from cyan.proof.rolled import LogFile, unread

LOG = "logs/access.json"
OLD, NEW = "logs/access-2026-11-20T01-02-03.000.json", "logs/access-2026-11-21T01-02-03.000.json"
NEWEST = "logs/access-2026-11-21T05-00-00.000.json"
APP = "logs/app-blue-platform-202611210000.jsonl"


def test_a_log_that_grew_is_read_from_where_it_ended() -> None:
    assert unread([LogFile(LOG, 1, 100)], [LogFile(LOG, 1, 150)]) == ((LOG, 100),)


def test_a_log_that_did_not_grow_is_not_read() -> None:
    assert unread([LogFile(LOG, 1, 100)], [LogFile(LOG, 1, 100)]) == ()


def test_a_new_log_is_read_whole() -> None:
    assert unread([], [LogFile(APP, 5, 10)]) == ((APP, 0),)


def test_a_rolled_log_is_read_from_where_it_ended_and_its_successor_whole() -> None:
    before = [LogFile(LOG, 1, 100), LogFile(f"{OLD}.gz", 9, 7)]
    after = [LogFile(LOG, 2, 30), LogFile(NEW, 1, 180), LogFile(f"{OLD}.gz", 9, 7)]
    assert unread(before, after) == ((NEW, 100), (LOG, 0))


def test_a_successor_that_has_grown_larger_than_the_old_log_is_read_whole() -> None:
    after = [LogFile(LOG, 2, 300), LogFile(f"{NEW}.gz", 3, 20)]
    assert unread([LogFile(LOG, 1, 100)], after) == ((f"{NEW}.gz", 100), (LOG, 0))


def test_a_log_that_is_being_packed_is_read_once() -> None:
    after = [LogFile(LOG, 2, 30), LogFile(NEW, 1, 180), LogFile(f"{NEW}.gz", 4, 3)]
    assert unread([LogFile(LOG, 1, 100)], after) == ((NEW, 100), (LOG, 0))


def test_a_log_that_was_rolled_before_and_packed_meanwhile_is_not_read() -> None:
    before = [LogFile(LOG, 1, 100), LogFile(OLD, 8, 500)]
    after = [LogFile(LOG, 1, 120), LogFile(f"{OLD}.gz", 9, 50)]
    assert unread(before, after) == ((LOG, 100),)


def test_of_two_rolled_logs_only_the_first_continues_the_old_one() -> None:
    after = [LogFile(LOG, 3, 5), LogFile(NEWEST, 2, 60), LogFile(f"{NEW}.gz", 7, 9)]
    assert unread([LogFile(LOG, 1, 100)], after) == ((f"{NEW}.gz", 100), (NEWEST, 0), (LOG, 0))
