"""What a failure and an abort undo, on real files; the containers are only told of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cyan.errors import DeployError
from cyan.journal.entries import Event, parse
from cyan.names import Color, EngineKind, Kind
from cyan.rollout import plan as planning
from cyan.rollout.meeting import Meeting, Member
from cyan.rollout.planned import Plan, Request
from cyan.rollout.steps import drain
from cyan.rollout.undo import abandon, undo
from cyan.rollout.unfinished import find
from cyan.sections import HoldSettings
from tests.rollout.jobs import docker_calls, door, job, markers, writer
from tests.rollout.test_unfinished import BEFORE, BEGUN, found
from tests.rollout.worlds import V1_ON_BLUE, V2_ON_GREEN, color, settings

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.rollout.planned import Step

ROLLBACK = planning.rollback(Request("rollback", "", "ann"), V2_ON_GREEN, settings(), "")
DEPLOY = replace(
    planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, settings(), ""),
    run=planning.undoing(found(BEFORE), BEFORE, settings()).run,
)
SWITCHED = replace(BEFORE, markers=frozenset({"green"}))
REMOVES_GREEN = "compose --progress quiet -p demo-green down --remove-orphans --timeout 10"


def step(plan: Plan, kind: Kind) -> Step:
    return next(step for step in plan.steps if step.kind is kind)


def test_aborting_a_warm_rollback_leaves_the_warm_color_as_it_is(tmp_path: Path) -> None:
    begin = replace(BEGUN, run="back", what="rollback", color="blue", version="v1", release="r1")
    begin = replace(begin, detail={"old": {"id": "r2", "version": "v2", "color": "green"}})
    world = replace(V2_ON_GREEN, journal=(*V2_ON_GREEN.journal, begin))
    left = find(world.journal)
    assert left is not None
    assert left.left(world)
    mine = job(tmp_path, world, planning.undoing(left, world, settings()))
    with mine.lock:
        undone = abandon(mine, left, writer(mine))
    assert undone.serving == "green v2, untouched"
    assert docker_calls(mine) == []


def test_aborting_a_deploy_removes_what_it_started(tmp_path: Path) -> None:
    mine = job(tmp_path, BEFORE, planning.undoing(found(BEFORE), BEFORE, settings()))
    with mine.lock:
        abandon(
            mine,
            found(BEFORE),
            writer(mine),
        )
    assert docker_calls(mine) == [REMOVES_GREEN]


def test_what_hosts_share_is_removed_by_the_first_and_not_while_another_may_lead_to_it(
    tmp_path: Path,
) -> None:
    for name, leads, behind, calls in (
        ("first", True, "", [REMOVES_GREEN]),
        ("other", False, "", []),
        ("lost", True, "other", []),
    ):
        seen = replace(BEFORE, leads=leads)
        mine = job(tmp_path / name, seen, planning.undoing(found(seen), seen, settings()))
        meeting = Meeting(("first", "other"), ("first", "other"), lambda _: None, committed=True)
        if behind:
            meeting.failed(behind, Kind.VERIFY, DeployError("it is lost"), lost=True)
        else:
            meeting.emptied("other" if leads else "first", 0)
        shared = mine.settings.model_copy(
            update={"engine": EngineKind.SWARM, "hosts": mine.settings.hosts * 2}
        )
        member = Member(meeting, "first" if leads else "other")
        mine = replace(mine, settings=shared, fleet=member)
        with mine.lock:
            abandon(mine, found(seen), writer(mine))
        assert docker_calls(mine) == calls, name


@pytest.mark.parametrize("kind", [Kind.PREFLIGHT, Kind.FETCH, Kind.START])
def test_what_an_earlier_try_of_a_run_had_started_is_removed_when_the_next_one_fails(
    tmp_path: Path, kind: Kind
) -> None:
    mine = job(tmp_path, BEFORE, DEPLOY)
    with mine.lock:
        undone = undo(
            mine,
            step(DEPLOY, kind),
            writer(mine),
        )
    assert docker_calls(mine) == [REMOVES_GREEN]
    assert "is removed" in undone.todo


def test_a_deploy_that_fails_before_it_starts_anything_leaves_the_warm_color(
    tmp_path: Path,
) -> None:
    warm = (*V1_ON_BLUE.containers, *color(Color.GREEN, "v0", "r0"))
    mine = job(tmp_path, replace(V1_ON_BLUE, containers=warm), DEPLOY)
    with mine.lock:
        undone = undo(
            mine,
            step(DEPLOY, Kind.FETCH),
            writer(mine),
        )
    assert docker_calls(mine) == []
    assert (undone.todo, undone.evidence.text) == ("", "")


@pytest.mark.parametrize("kind", [Kind.SWITCH, Kind.VERIFY, Kind.DRAIN, Kind.BAKE])
def test_after_the_switch_the_traffic_goes_back_while_the_old_color_is_up(
    tmp_path: Path, kind: Kind
) -> None:
    mine = job(tmp_path, SWITCHED, DEPLOY)
    with mine.lock:
        undone = undo(
            mine,
            step(DEPLOY, kind),
            writer(mine),
        )
    assert markers(mine) == {"blue"}
    assert "v1 (blue) again" in undone.serving
    text = (tmp_path / "app/journal.jsonl").read_text()
    assert [(entry.event, entry.step) for entry in parse(text)] == [
        (Event.STEP, "switch-back"),
        (Event.DONE, "switch-back"),
    ]


def test_a_full_disk_does_not_keep_the_traffic_from_going_back(tmp_path: Path) -> None:
    mine = job(tmp_path, SWITCHED, DEPLOY)
    (tmp_path / "app/journal.jsonl").symlink_to("/dev/full")
    with mine.lock:
        undo(
            mine,
            step(DEPLOY, Kind.BAKE),
            writer(mine),
        )
    assert markers(mine) == {"blue"}
    assert docker_calls(mine) == [REMOVES_GREEN]


def test_a_target_that_breaks_while_the_old_color_drains_is_not_waited_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyan.rollout.draining.WATCHING", 0.0)
    dead = (*V1_ON_BLUE.containers, *color(Color.GREEN, "v2", "r2", state="exited"))
    mine = job(tmp_path, replace(SWITCHED, containers=dead), DEPLOY)
    with pytest.raises(DeployError, match=r"v2 \(green\) went bad after the switch: platform exit"):
        drain(mine, step(DEPLOY, Kind.DRAIN))


def test_a_warm_target_that_was_restarted_long_ago_does_not_end_a_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyan.rollout.draining.WATCHING", 0.0)
    restarted = color(Color.BLUE, "v1", "r1", restarts=3)
    world = replace(V2_ON_GREEN, containers=(*V2_ON_GREEN.of(Color.GREEN), *restarted))
    mine = job(tmp_path, world, ROLLBACK)
    drain(mine, step(ROLLBACK, Kind.DRAIN))


def test_a_rollback_that_fails_stops_what_it_started_and_removes_no_warm_color(
    tmp_path: Path,
) -> None:
    part = tuple(
        replace(item, state="exited") if item.service == "rag" else item
        for item in V2_ON_GREEN.of(Color.BLUE)
    )
    before = replace(V2_ON_GREEN, containers=(*V2_ON_GREEN.of(Color.GREEN), *part))
    plan = planning.rollback(Request("rollback", "", "ann"), before, settings(), "")
    mine = replace(job(tmp_path, V2_ON_GREEN, plan), world=before)
    with mine.lock:
        undone = undo(mine, step(plan, Kind.HEALTHY), writer(mine))
    assert docker_calls(mine) == ["compose --progress quiet -p demo-blue stop --timeout 10 rag"]
    assert "left as it was found" in undone.todo


def test_a_worker_that_a_killed_rollback_had_begun_ends_when_it_is_aborted(tmp_path: Path) -> None:
    """It runs when the abort looks, and was not to: what is warm takes no work."""
    begin = replace(BEGUN, run="back", what="rollback", color="blue", version="v1", release="r1")
    begin = replace(begin, detail={"old": {"id": "r2", "version": "v2", "color": "green"}})
    working = settings(workers=("crawler",))
    journal, switched = (*V2_ON_GREEN.journal, begin), frozenset({"blue"})
    world = replace(V2_ON_GREEN, journal=journal, markers=switched)
    left = find(world.journal)
    assert left is not None
    mine = job(tmp_path, world, planning.undoing(left, world, working))
    with mine.lock:
        abandon(mine, left, writer(mine))
    assert markers(mine) == {"green"}
    begins, ends = [each for each in docker_calls(mine) if "crawler" in each]
    assert begins.endswith("--no-deps crawler")
    assert ends.endswith("-p demo-blue stop --timeout 10 crawler")


def test_before_a_switch_a_worker_that_ran_goes_on(tmp_path: Path) -> None:
    """The live color's may not have begun, where a deployer was killed before it did."""
    working = settings(workers=("crawler",))
    part = tuple(
        replace(item, state="exited") if item.service == "rag" else item
        for item in V2_ON_GREEN.of(Color.BLUE)
    )
    before = replace(V2_ON_GREEN, containers=(*V2_ON_GREEN.of(Color.GREEN), *part))
    plan = planning.rollback(Request("rollback", "", "ann"), before, working, "")
    mine = replace(job(tmp_path, V2_ON_GREEN, plan), world=before)
    with mine.lock:
        undo(mine, step(plan, Kind.HEALTHY), writer(mine))
    assert docker_calls(mine) == ["compose --progress quiet -p demo-blue stop --timeout 10 rag"]


HELD = replace(BEFORE, markers=frozenset({"hold-blue"}))
HOLD = replace(DEPLOY, run=replace(DEPLOY.run, hold=True))


@pytest.mark.parametrize("markers_are", [{"hold-blue"}, {"green"}])
def test_what_waits_goes_to_the_old_color_once_the_new_one_has_stopped(
    tmp_path: Path, markers_are: set[str]
) -> None:
    """Also where the new one was live already: requests wait again before it stops."""
    with door(502, 502) as (doors, asked):
        mine = job(tmp_path, replace(HELD, markers=frozenset(markers_are)), HOLD, doors=doors)
        with mine.lock:
            kind = Kind.BAKE if "green" in markers_are else Kind.HEALTHY
            undone = undo(mine, step(HOLD, kind), writer(mine))
            lines = parse((tmp_path / "app/journal.jsonl").read_text())
    assert asked == ["GET /ready HTTP/1.1"] * 3, "until it answers well"
    stop, start, *_ = docker_calls(mine)
    assert stop == "compose --progress quiet -p demo-green stop"
    assert start == "compose --progress quiet -p demo-blue start platform rag crawler"
    assert markers(mine) == {"blue"}
    assert undone.serving == "v1 (blue) again: what waited went to it"
    done = [each.step for each in lines if each.event is Event.DONE]
    assert done[-1] == ("switch-back" if "green" in markers_are else "put-back")


def test_an_old_color_that_is_not_well_after_it_was_put_back_is_told(tmp_path: Path) -> None:
    sick = tuple(
        replace(item, state="exited")
        if item.color is Color.BLUE and item.service == "rag"
        else item
        for item in HELD.containers
    )
    short = {"hold": HoldSettings(timeout=0.1, drain=0)}
    mine = job(tmp_path, replace(HELD, containers=sick), HOLD, **short)
    with mine.lock:
        undone = undo(mine, step(HOLD, Kind.HEALTHY), writer(mine))
    assert "but rag of it is not well" in undone.serving
    assert markers(mine) == {"blue"}
