"""Workers and schedulers: the new consumers before the old ones end, a scheduler never twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.application.record import Application
from cyan.application.release import Release
from cyan.configured import load
from cyan.errors import UsageError
from cyan.names import Color, Kind
from cyan.rollout import plan as planning
from cyan.rollout import planned, work
from cyan.rollout.drift import drift
from cyan.rollout.planned import Plan, Request
from tests.rollout import worlds

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.engines.containers import Container

SETTINGS = worlds.settings(workers=("crawler",), schedulers=("rag",))
APPLICATION = Application.of(SETTINGS)
DEPLOY = Request("deploy", "v3", "ann")


def half(which: Color, version: str, release: str) -> tuple[Container, ...]:
    """A standby: what takes work has ended."""
    states = {"platform": "running"}
    return tuple(
        worlds.container(
            each, which, version=version, release=release, state=states.get(each, "exited")
        )
        for each in ("platform", "rag", "crawler")
    )


WORLD = worlds.world(
    {"green"},
    *half(Color.BLUE, "v1", "r1"),
    *worlds.color(Color.GREEN, "v2", "r2"),
    journal=worlds.V2_ON_GREEN.journal,
)


def step(plan: Plan, kind: Kind) -> planned.Step:
    return next(each for each in plan.steps if each.kind is kind)


def test_a_standby_starts_without_what_takes_work() -> None:
    plan = planning.deploy(DEPLOY, WORLD, SETTINGS, "")
    up, create = step(plan, Kind.START).commands
    assert up.endswith(" platform")
    assert create.endswith("create --no-build --pull never crawler rag")


def test_consumers_start_at_the_switch_and_schedulers_after_those_of_the_old_color() -> None:
    plan = planning.deploy(DEPLOY, WORLD, SETTINGS, "")
    order = [each.kind for each in plan.steps]
    assert order.index(Kind.SWITCH) + 1 == order.index(Kind.WORKERS)
    assert order.index(Kind.DRAIN) + 1 == order.index(Kind.SCHEDULERS)
    (start,) = step(plan, Kind.WORKERS).commands
    assert "-p demo-blue" in start
    assert start.endswith("--no-deps crawler")
    ends, begins = step(plan, Kind.SCHEDULERS).commands
    assert "-p demo-green stop crawler rag" in ends
    assert "-p demo-blue" in begins
    assert begins.endswith("--no-deps rag")


def test_a_warm_standby_whose_workers_have_ended_is_whole() -> None:
    plan = planning.rollback(Request("rollback", "", "ann"), WORLD, SETTINGS, "")
    kinds = [each.kind for each in plan.steps]
    assert Kind.START not in kinds
    assert {Kind.WORKERS, Kind.SCHEDULERS} <= set(kinds)
    assert drift(WORLD, SETTINGS) == ()


def test_where_the_switch_was_done_and_nothing_works_that_is_mended_first() -> None:
    """The deployer was killed between the switch and its workers: the old ones still run."""
    left = worlds.world(
        {"green"},
        *worlds.color(Color.BLUE, "v1", "r1"),
        *half(Color.GREEN, "v2", "r2"),
        journal=worlds.V2_ON_GREEN.journal,
    )
    plan = planning.deploy(DEPLOY, left, SETTINGS, "")
    first, second = plan.steps[1:3]
    assert (first.kind, first.color) == (Kind.WORKERS, Color.GREEN)
    assert (second.kind, second.color) == (Kind.SCHEDULERS, Color.GREEN)
    assert "-p demo-blue stop" in second.commands[0]
    told = drift(left, SETTINGS)
    assert any("rag, crawler of standby blue run" in line for line in told), told


def test_backwards_the_old_consumers_begin_and_the_new_scheduler_ends_before_the_old_one() -> None:
    target, old = Release("r2", "v2", Color.GREEN), Release("r1", "v1", Color.BLUE)
    consumers, ends, begins = work.back(SETTINGS, target, APPLICATION, old, APPLICATION)
    assert "-p demo-blue" in consumers
    assert consumers.endswith(" crawler")
    assert "-p demo-green stop rag" in ends
    assert begins.endswith(" rag")


def test_who_has_neither_is_rotated_as_ever() -> None:
    plan = planning.deploy(DEPLOY, worlds.V2_ON_GREEN, worlds.settings(), "")
    assert not {Kind.WORKERS, Kind.SCHEDULERS} & {each.kind for each in plan.steps}
    assert len(step(plan, Kind.START).commands) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"workers": ["nobody"]}, "cyan.workers names 'nobody'"),
        ({"schedulers": ["database"]}, "cyan.schedulers names 'database'"),
        ({"workers": ["platform"]}, "cyan.public.service, 'platform', starts with its color"),
    ],
)
def test_what_cannot_be_is_told(changes: dict[str, list[str]], says: str, tmp_path: Path) -> None:
    host = {"address": "127.0.0.1"}
    with pytest.raises(UsageError, match=says):
        load({"hosts": [host], "directory": "/srv/demo", **worlds.NAMES, **changes}, {}, tmp_path)
