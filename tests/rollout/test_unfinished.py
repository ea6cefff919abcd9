"""Runs that were left unfinished: what the journal and the world say of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cyan.application.release import Release
from cyan.errors import DeployError
from cyan.journal.entries import Entry, Event
from cyan.names import Color, Kind
from cyan.rollout import plan as planning
from cyan.rollout import unfinished
from cyan.rollout.planned import Request
from cyan.sections import MigrateSettings
from tests.rollout.worlds import DATABASE, NOW, V1_ON_BLUE, V2_ON_GREEN, color, settings

SETTINGS = settings(migrate=MigrateSettings(directory=Path("migrations"), database=DATABASE))
RESUME = Request("resume", "", "ann")
OLD = {"id": "r1", "version": "v1", "color": "blue"}


def line(event: Event, step: str = "", **detail: Any) -> Entry:
    return Entry(NOW, "r2", "deploy", event, step, "green", "v2", "r2", detail)


BEGUN = line(Event.BEGIN, old=OLD, fresh=True)
BEFORE = replace(
    V1_ON_BLUE,
    containers=(*V1_ON_BLUE.containers, *color(Color.GREEN, "v2", "r2")),
    journal=(*V1_ON_BLUE.journal, BEGUN, line(Event.STEP, "healthy")),
)
AFTER = replace(
    V2_ON_GREEN, journal=(*V1_ON_BLUE.journal, BEGUN, line(Event.STEP, "switch"))
)  # killed after the rename, before its line


def found(world: Any) -> unfinished.Unfinished:
    left = unfinished.find(world.journal)
    assert left is not None
    return left


def test_a_run_that_was_killed_is_found_with_its_target_and_what_it_began_from() -> None:
    left = found(BEFORE)
    assert (left.title, left.step, left.fresh) == ("deploy of v2 (green)", "healthy", True)
    assert left.old == Release("r1", "v1", Color.BLUE)


def test_a_run_that_ended_is_not_unfinished_nor_is_a_note_after_it() -> None:
    note = replace(line(Event.NOTE), run="r3")
    assert unfinished.find((*BEFORE.journal, line(Event.END, ok=True), note)) is None


def test_whether_the_switch_was_done_is_read_from_the_world_and_not_from_the_journal() -> None:
    assert not found(BEFORE).reached(BEFORE)
    assert found(AFTER).reached(AFTER)


def test_a_deploy_that_is_resumed_before_its_switch_starts_the_same_release_again() -> None:
    plan = planning.resume(found(BEFORE), RESUME, BEFORE, SETTINGS, "")
    assert (plan.target, plan.run.id) == (Release("r2", "v2", Color.GREEN), "r2")
    kinds = [step.kind for step in plan.steps]
    assert kinds.index(Kind.START) < kinds.index(Kind.HEALTHY) < kinds.index(Kind.SWITCH)


def test_a_deploy_that_is_resumed_expands_the_database_before_it_starts_anything() -> None:
    plan = planning.resume(found(BEFORE), RESUME, BEFORE, SETTINGS, None)
    kinds = [step.kind for step in plan.steps]
    assert kinds.index(Kind.EXPAND) < kinds.index(Kind.START)


def test_a_rollback_that_is_resumed_expands_nothing_as_its_release_has_what_it_needs() -> None:
    begin = replace(BEGUN, what="rollback")
    world = replace(BEFORE, journal=(*V1_ON_BLUE.journal, begin))
    plan = planning.resume(found(world), RESUME, world, SETTINGS, "")
    assert Kind.EXPAND not in {step.kind for step in plan.steps}


def test_a_deploy_that_is_resumed_after_its_switch_drains_and_bakes_against_its_own_old() -> None:
    plan = planning.resume(found(AFTER), RESUME, AFTER, SETTINGS, "")
    kinds = [step.kind for step in plan.steps]
    assert kinds == [
        Kind.PREFLIGHT, Kind.VERIFY, Kind.DRAIN, Kind.BAKE, Kind.RETAIN, Kind.PRUNE,
    ]  # fmt: skip
    assert plan.old == Release("r1", "v1", Color.BLUE)
    assert next(step.color for step in plan.steps if step.kind is Kind.DRAIN) is Color.BLUE


def test_a_warm_rollback_that_is_resumed_starts_nothing() -> None:
    begin = replace(
        line(Event.BEGIN, old={"id": "r2", "version": "v2", "color": "green"}, fresh=False),
        run="back", what="rollback", color="blue", version="v1", release="r1",
    )  # fmt: skip
    world = replace(V2_ON_GREEN, journal=(*V2_ON_GREEN.journal, begin))
    plan = planning.resume(found(world), RESUME, world, SETTINGS, "")
    assert Kind.START not in {step.kind for step in plan.steps}
    assert plan.target == Release("r1", "v1", Color.BLUE)


def test_a_run_is_not_resumed_in_a_world_that_has_moved_on() -> None:
    moved = replace(AFTER, containers=(*color(Color.GREEN, "v7", "r7"),))
    with pytest.raises(DeployError, match="neither it nor what it began from is live"):
        unfinished.resumable(found(moved), moved)


def test_there_is_nothing_to_resume_where_every_run_has_ended() -> None:
    with pytest.raises(DeployError, match="left unfinished here"):
        unfinished.resumable(unfinished.find(V1_ON_BLUE.journal), V1_ON_BLUE)


def test_status_says_what_each_command_would_do() -> None:
    before = unfinished.described(found(BEFORE), BEFORE)
    assert "was killed in healthy; blue v1 serves; inv deploy --resume goes on" in before
    assert "--abort removes what it started" in before
    assert "--abort goes back to v1 (blue)" in unfinished.described(found(AFTER), AFTER)


def test_a_switch_that_no_line_tells_of_is_caught_up_so_that_a_rollback_finds_its_way() -> None:
    missing = unfinished.caught_up(AFTER)
    assert missing is not None
    assert (missing.step, missing.release) == ("switch", "r2")
    later = replace(
        V1_ON_BLUE,
        containers=color(Color.BLUE, "v3", "r3"),
        journal=(*AFTER.journal, missing, replace(line(Event.DONE, "switch"), release="r3")),
    )
    assert planning.rollback_target(later).version == "v2"


def test_a_switch_back_that_no_line_tells_of_is_caught_up_as_one() -> None:
    switched = line(Event.DONE, "switch")
    back = replace(BEFORE, journal=(*V1_ON_BLUE.journal, BEGUN, switched, line(Event.STEP, "bake")))
    missing = unfinished.caught_up(back)
    assert missing is not None
    assert missing.step == "switch-back"
    assert unfinished.caught_up(replace(back, journal=(*back.journal, missing))) is None
