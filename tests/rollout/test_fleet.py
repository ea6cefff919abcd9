"""Several hosts: what may go on on all of them, and what is told where one fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cyan.errors import DeployError, UsageError
from cyan.journal.entries import Entry, Event
from cyan.names import Color
from cyan.rollout import fleet
from cyan.rollout.fleet import Course, Standing, differ, difference, flag, refuse, standing
from cyan.rollout.planned import Request
from cyan.sections import HostSettings
from tests.rollout.test_unfinished import AFTER, BEFORE, OLD, line
from tests.rollout.worlds import EMPTY, V1_ON_BLUE, V2_ON_GREEN

if TYPE_CHECKING:
    from cyan.hosts.look import Observation

DEPLOY = Request("deploy", "v2", "ann")
ROLLBACK = Request("rollback", "", "ann")
A = Standing("a", "v2", "v1", "green v2")
B = Standing("b", "v1", "v0", "blue v1")
C = Standing("c", "v1", "v0", "blue v1")
SILENT = Standing("c", silent="the host cannot be reached")


def test_a_host_stands_by_what_is_live_and_what_a_rollback_would_go_to() -> None:
    assert standing("a", V2_ON_GREEN) == Standing("a", "v2", "v1", V2_ON_GREEN.serving)
    assert standing("a", V1_ON_BLUE).back == ""
    assert standing("a", EMPTY).live == ""


def test_hosts_differ_where_one_rollback_would_not_take_all_to_one_version() -> None:
    assert not differ((B, C))
    assert differ((A, B))
    assert differ((A, replace(A, flag="b", back="v0")))
    assert differ((C, SILENT))
    assert difference((B, C)) == difference(()) == ""
    assert "a: green v2; before it v1" in difference((A, B))


def test_a_rollback_of_hosts_that_differ_is_refused_with_how_each_stands() -> None:
    refuse(ROLLBACK, (B, C))
    with pytest.raises(DeployError, match="the hosts differ, so rollback was begun on none") as it:
        refuse(ROLLBACK, (A, B))
    assert "a: green v2; before it v1" in it.value.serving
    assert "b: blue v1; before it v0" in it.value.serving
    assert "inv rollback --host a" in it.value.todo
    assert "inv rollback --host b" in it.value.todo


@pytest.mark.parametrize("request_", [DEPLOY, ROLLBACK])
def test_nothing_is_begun_on_any_host_where_one_does_not_answer(request_: Request) -> None:
    with pytest.raises(DeployError, match=r"c cannot be reached, so .* was begun on no host") as it:
        refuse(request_, (B, SILENT))
    assert "c: unknown, the host cannot be reached" in it.value.serving
    assert f"inv {request_.title.replace(' ', ' --version ')} --without c" in it.value.todo


def test_a_deploy_of_hosts_that_differ_makes_them_the_same_and_is_not_refused() -> None:
    refuse(DEPLOY, (A, B))


def test_a_failure_tells_of_each_host_how_it_stands() -> None:
    error = DeployError("it broke", where="b", todo="mend it", evidence="the last words")
    told = fleet.failure("deploy v2", {}, error, (A, B, C))
    assert (told.what, told.where, told.todo) == ("it broke", "b", "mend it")
    assert told.serving.split(fleet.LINE) == [str(A), str(B), str(C)]
    assert told.evidence == "the last words"
    assert fleet.failure("deploy v2", {}, KeyboardInterrupt(), ()).what == "it was interrupted"


def test_hosts_that_did_not_follow_a_commit_are_named_with_what_finishes_it() -> None:
    told = fleet.failure("deploy v2", {"c": "the power is gone"}, DeployError("x"), (A, SILENT))
    assert told.what == "deploy v2 is committed, but c did not follow: the power is gone"
    assert "no old color was stopped" in told.todo
    assert "inv deploy --resume" in told.todo
    assert "--abort takes all of them back" in told.todo


def test_an_abort_that_did_not_end_well_names_where_and_what_finishes_it() -> None:
    told = fleet.not_taken_back({"c": DeployError("the power is gone")}, (A, SILENT))
    assert told.what.startswith("what was begun could not be undone on c: c: the power is gone")
    assert "inv deploy --abort" in told.todo


ON: dict[str, Any] = {"fleet": ["a", "b", "c"]}
BEGUN = replace(BEFORE, journal=(*V1_ON_BLUE.journal, line(Event.BEGIN, old=OLD, fresh=True, **ON)))
SWITCHED = replace(
    AFTER,
    journal=(
        *V1_ON_BLUE.journal,
        line(Event.BEGIN, old=OLD, fresh=True, **ON),
        line(Event.STEP, "switch"),
    ),
)


def also(world: Observation, *lines: Entry) -> Observation:
    return replace(world, journal=(*world.journal, *lines))


THROUGH = also(SWITCHED, line(Event.END, ok=True))
UNDONE = also(BEGUN, line(Event.END, ok=False))
COMMITTED = also(BEGUN, line(Event.NOTE, fleet.COMMIT))


@pytest.mark.parametrize(
    ("worlds", "course", "lacking", "done"),
    [
        ((BEGUN, BEGUN, BEGUN), Course.OPEN, (), ()),
        ((BEGUN, V1_ON_BLUE, V1_ON_BLUE), Course.OPEN, ("b", "c"), ()),
        ((BEGUN, UNDONE, UNDONE), Course.OPEN, ("b", "c"), ()),
        ((COMMITTED, BEGUN, BEGUN), Course.FORWARD, (), ()),
        ((BEGUN, SWITCHED, BEGUN), Course.FORWARD, (), ()),
        ((THROUGH, SWITCHED, UNDONE), Course.FORWARD, ("c",), ("a",)),
        ((also(SWITCHED, line(Event.NOTE, fleet.BACK)), BEGUN, BEGUN), Course.BACK, (), ()),
        ((SWITCHED, also(SWITCHED, line(Event.DONE, "switch-back")), BEGUN), Course.BACK, (), ()),
    ],
)
def test_which_way_a_run_goes_that_was_left_on_some_hosts_is_read_from_all_of_them(
    worlds: tuple[Observation, ...], course: Course, lacking: tuple[str, ...], done: tuple[str, ...]
) -> None:
    left = fleet.left(dict(zip("abc", worlds, strict=True)), frozenset())
    assert left is not None
    assert (left.course, left.lacking, left.done) == (course, lacking, done)
    assert left.run.run == "r2"


def test_the_deployers_own_record_of_a_commit_counts_where_the_first_host_is_left_out() -> None:
    left = fleet.left({"b": BEGUN, "c": BEGUN}, frozenset({"r2"}))
    assert left is not None
    assert left.course is Course.FORWARD


def test_a_run_of_one_host_alone_is_no_business_of_the_others() -> None:
    assert fleet.left({"a": BEFORE, "b": V1_ON_BLUE}, frozenset()) is None
    assert fleet.left({"a": V1_ON_BLUE}, frozenset()) is None


def test_two_runs_that_were_left_are_told_apart() -> None:
    other = replace(BEGUN, journal=tuple(replace(each, run="r3") for each in BEGUN.journal))
    with pytest.raises(DeployError, match="another run was left unfinished on each") as it:
        fleet.left({"a": BEGUN, "b": other}, frozenset())
    assert "--resume --host HOST" in it.value.todo


def test_a_run_that_is_through_somewhere_or_whose_old_color_is_gone_is_only_finished() -> None:
    worlds = {"a": THROUGH, "b": SWITCHED}
    left = fleet.left(worlds, frozenset())
    assert left is not None
    with pytest.raises(UsageError, match="is through on a"):
        fleet.refuse_abort(left, worlds)
    gone = {"b": replace(SWITCHED, containers=SWITCHED.of(Color.GREEN))}
    left = fleet.left(gone, frozenset())
    assert left is not None
    with pytest.raises(UsageError, match="is not up any more on b"):
        fleet.refuse_abort(left, gone)
    whole = {"b": SWITCHED}
    left = fleet.left(whole, frozenset())
    assert left is not None
    fleet.refuse_abort(left, whole)


def test_hosts_of_one_address_are_told_apart_by_their_whole_name() -> None:
    a, b = (HostSettings(address="10.0.0.1", port=port, user="ann") for port in (22, 2222))
    c = HostSettings(address="10.0.0.2", user="ann")
    assert [flag(each, (a, b, c)) for each in (a, c)] == ["ann@10.0.0.1:22", "10.0.0.2"]
