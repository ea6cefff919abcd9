"""Hosts that wait for each other: who is switched, who is left behind, who goes back."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from cyan.errors import DeployError, HostError
from cyan.names import Kind
from cyan.rollout.meeting import (
    LEVELS,
    BehindError,
    ElsewhereError,
    Level,
    Meeting,
    Member,
)
from cyan.world.host import Output

if TYPE_CHECKING:
    from collections.abc import Callable

WITHIN = 10.0
ABC = ("a", "b", "c")


class Rename:
    """A rename that waits for its word; `fails` when it is told, or when it is asked."""

    def __init__(self, at: float = 1.0, fails: str = "") -> None:
        self.at = at
        self.fails = fails
        self.told = 0

    def go(self) -> None:
        if self.fails == "go":
            raise HostError("the power is gone")
        self.told += 1

    def said(self) -> Output:
        if self.fails:
            raise HostError("the power is gone")
        return Output(str(self.at), "", 0)

    def close(self) -> None:
        pass


class Records(list[str]):
    """What was decided, in order; a commit cannot be written where it is `full`."""

    full = False

    def __call__(self, word: str) -> None:
        if self.full:
            raise HostError("the disk is full")
        self.append(word)


def all_of(*acts: Callable[[], Any]) -> list[Future[Any]]:
    """Do them at the same time, and wait until all have ended."""
    with ThreadPoolExecutor(len(acts)) as pool:
        futures = [pool.submit(act) for act in acts]
        for each in futures:
            each.exception(WITHIN)
    return futures


def switched(
    meeting: Meeting, renames: dict[str, Rename], names: tuple[str, ...] = ABC
) -> list[Future[Any]]:
    return all_of(*(lambda name=name: meeting.commit(name, renames[name]) for name in names))


def test_nobody_is_told_to_switch_before_all_are_ready_and_it_is_written_down() -> None:
    records = Records()
    meeting, renames = Meeting(ABC, ABC, records), {name: Rename() for name in ABC}
    with ThreadPoolExecutor(3) as pool:
        first = [pool.submit(meeting.commit, name, renames[name]) for name in "ab"]
        threading.Event().wait(0.1)
        assert not any(each.told for each in renames.values())
        assert records == []
        pool.submit(meeting.commit, "c", renames["c"]).result(WITHIN)
        assert [each.result(WITHIN).stdout for each in first] == ["1.0", "1.0"]
    assert records == ["commit"]
    assert meeting.committed
    assert {*meeting.renamed} == {*ABC}
    assert [each.told for each in renames.values()] == [1, 1, 1]


def test_how_far_apart_they_were_is_told_by_one_clock() -> None:
    meeting = Meeting(ABC, ABC, Records())
    assert meeting.spread is None
    meeting.offsets |= {"a": 10.0, "b": 0.0, "c": -5.0}
    switched(meeting, {"a": Rename(110.001), "b": Rename(100.0), "c": Rename(95.003)})
    assert meeting.spread == pytest.approx(0.003)


def test_where_the_commit_cannot_be_written_nobody_is_switched() -> None:
    records = Records()
    records.full = True
    meeting, renames = Meeting(ABC, ABC, records), {name: Rename() for name in ABC}

    def one(name: str) -> None:
        try:
            meeting.commit(name, renames[name])
        except HostError as error:
            meeting.failed(name, Kind.SWITCH, error, lost=False)
            raise

    found = all_of(*(lambda name=name: one(name) for name in ABC))
    kinds = sorted(type(each.exception()).__name__ for each in found)
    assert kinds == ["ElsewhereError", "ElsewhereError", "HostError"]
    assert not any(each.told for each in renames.values())
    assert not meeting.committed


def test_a_failure_before_the_commit_ends_it_on_all() -> None:
    meeting = Meeting(ABC, ABC, Records())
    error = DeployError("it never got healthy")

    def fails() -> None:
        meeting.reach("c", Level.BROUGHT)
        meeting.failed("c", Kind.HEALTHY, error, lost=False)

    waits = all_of(
        lambda: meeting.reach("a", Level.PREPARED), lambda: meeting.reach("b", Level.ARMED), fails
    )
    for each in waits[:2]:
        with pytest.raises(ElsewhereError, match="c failed at healthy: it never got healthy"):
            each.result()
    assert meeting.why is error
    with pytest.raises(ElsewhereError):
        meeting.check()


@pytest.mark.parametrize("when", ["go", "said"])
def test_a_host_that_is_lost_at_its_switch_is_left_behind_and_no_old_color_is_stopped(
    when: str,
) -> None:
    records = Records()
    meeting = Meeting(ABC, ABC, records)
    found = switched(meeting, {"a": Rename(), "b": Rename(fails=when), "c": Rename()})
    lost = found[1].exception()
    assert isinstance(lost, HostError)
    meeting.failed("b", Kind.SWITCH, lost, lost=True)
    meeting.ends("b")
    meeting.check()  # the others go on
    stopped = all_of(
        lambda: meeting.reach("a", Level.BAKED), lambda: meeting.reach("c", Level.BAKED)
    )
    for each in stopped:
        with pytest.raises(BehindError, match="b did not follow: the power is gone"):
            each.result()
    assert records == ["commit"]


def test_a_release_that_goes_bad_on_one_host_is_switched_back_on_all_at_once() -> None:
    records = Records()
    meeting = Meeting(ABC, ABC, records)
    switched(meeting, {name: Rename() for name in ABC})
    meeting.failed("b", Kind.BAKE, DeployError("it errs"), lost=False)
    with pytest.raises(ElsewhereError, match="b went bad at bake: it errs"):
        meeting.check()
    assert records == ["commit", "back"]
    renames = {name: Rename() for name in ABC}
    with ThreadPoolExecutor(3) as pool:
        first = [pool.submit(meeting.back, name, renames[name]) for name in "ab"]
        threading.Event().wait(0.1)
        assert not any(each.told for each in renames.values())
        pool.submit(meeting.back, "c", renames["c"]).result(WITHIN)
        assert all(each.result(WITHIN) for each in first)
    assert [each.told for each in renames.values()] == [1, 1, 1]


def test_who_cannot_go_back_is_not_waited_for() -> None:
    meeting = Meeting(ABC, ABC, Records())
    switched(meeting, {name: Rename() for name in ABC})
    meeting.failed("a", Kind.BAKE, HostError("gone"), lost=True)
    meeting.failed("b", Kind.BAKE, DeployError("it errs"), lost=False)
    meeting.ends("b")
    assert meeting.back("c", Rename()).stdout == "1.0"


def test_what_fails_once_the_old_color_may_be_stopped_is_that_hosts_alone() -> None:
    meeting = Meeting(ABC, ABC, Records())
    switched(meeting, {name: Rename() for name in ABC})
    meeting.failed("a", Kind.RETAIN, HostError("it does not stop"), lost=False)
    meeting.check()
    assert meeting.behind == {}


def test_of_a_run_that_was_committed_before_one_that_cannot_start_is_left_behind() -> None:
    meeting = Meeting(ABC, ("c",), Records(), committed=True)
    meeting.failed("c", Kind.HEALTHY, DeployError("it never got healthy"), lost=False)
    meeting.check()
    assert meeting.behind == {"c": "it never got healthy"}


def test_who_has_no_such_step_is_not_waited_for_and_a_level_is_never_lost() -> None:
    meeting = Meeting(("a", "b"), ("a",), Records(), committed=True)
    all_of(
        lambda: meeting.reach("b", Level.BAKED),
        lambda: meeting.reach("a", Level.PREPARED),
        lambda: meeting.reach("a", Level.BAKED),
    )
    meeting.reach("a", Level.LOOKED)
    assert meeting.commit("a", Rename()).stdout == "1.0"


def test_an_interrupt_ends_it_on_all() -> None:
    meeting = Meeting(ABC, ABC, Records())
    meeting.stop(KeyboardInterrupt())
    with pytest.raises(ElsewhereError, match="it was interrupted"):
        Member(meeting, "a").before(Kind.START)


def test_every_step_that_begins_what_others_must_know_of_has_its_level() -> None:
    assert LEVELS[Kind.START] == Level.BROUGHT  # the database was expanded, on whichever host
    assert LEVELS[Kind.SWITCH] == LEVELS[Kind.HOLD] == Level.PREPARED
    irreversible = {kind for kind in Kind if not kind.reversible}
    assert {kind for kind, level in LEVELS.items() if level is Level.BAKED} == irreversible
