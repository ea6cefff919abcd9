"""Two colors at a time, or one that takes the other's place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyan.journal.entries import Entry, Event
from cyan.names import Color, Kind
from cyan.proxies import markers
from cyan.rollout import plan as planning
from cyan.rollout.drift import drift
from cyan.rollout.planned import Request
from cyan.rollout.strategy import Room, holds
from cyan.rollout.unfinished import find
from cyan.sections import SmokeCheck, WarmSettings
from tests.rollout.test_plan import command, kinds
from tests.rollout.worlds import EMPTY, NOW, V1_ON_BLUE, V2_ON_GREEN, color, container, settings

MIB = 2**20
SETTINGS = settings(smoke=(SmokeCheck(path="/"),))
DEPLOY = Request("deploy", "v3", "ann", hold=True)
STOPPED = replace(
    V2_ON_GREEN,
    containers=tuple(
        replace(item, state="exited") if item.color is Color.BLUE else item
        for item in V2_ON_GREEN.containers
    ),
)
"""What a hold leaves: the old color is stopped, and kept."""


@pytest.mark.parametrize(
    ("room", "says"),
    [
        (Room(500 * MIB, 100 * MIB, ()), ""),
        (Room(120 * MIB, 100 * MIB, ()), "a second color may need 100 MiB, and 120 MiB are free"),
        (Room(500 * MIB, 100 * MIB, ("shop_data",)), "both colors would write shop_data"),
    ],
)
def test_two_colors_are_up_where_memory_and_volumes_allow_it(room: Room, says: str) -> None:
    assert holds(room) == says


def test_in_a_hold_requests_wait_from_when_the_old_color_stops_until_the_new_one_is_tried() -> None:
    plan = planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, "")
    assert kinds(plan) == [
        Kind.PREFLIGHT,
        Kind.FETCH,
        Kind.CREATE,
        Kind.HOLD,
        Kind.STOP,
        Kind.START,
        Kind.HEALTHY,
        Kind.SMOKE,
        Kind.SWITCH,
        Kind.VERIFY,
        Kind.BAKE,
        Kind.RETAIN,
        Kind.PRUNE,
    ]
    assert "traffic/blue /srv/demo/traffic/hold-blue" in command(plan, Kind.HOLD)
    assert "-p demo-blue stop" in command(plan, Kind.STOP)
    assert "traffic/hold-blue /srv/demo/traffic/green" in command(plan, Kind.SWITCH)
    assert next(s for s in plan.steps if s.kind is Kind.RETAIN).commands == ()


def test_what_is_not_to_stay_warm_is_removed_after_a_hold_as_well() -> None:
    wanted = settings(warm=WarmSettings(services="none"))
    plan = planning.deploy(DEPLOY, V1_ON_BLUE, wanted, "")
    assert "down" in command(plan, Kind.RETAIN)


def test_a_rollback_starts_what_a_hold_has_stopped_and_holds_again() -> None:
    request = Request("rollback", "", "ann", hold=True)
    plan = planning.rollback(request, STOPPED, SETTINGS, "")
    assert plan.run.hold
    assert {Kind.HOLD, Kind.STOP, Kind.START} <= set(kinds(plan))
    assert Kind.CREATE not in kinds(plan)
    warm = planning.rollback(request, V2_ON_GREEN, SETTINGS, "")
    assert not warm.run.hold
    assert Kind.HOLD not in kinds(warm)


def test_the_first_deploy_moves_the_ports_while_who_comes_waits_and_stops_the_own_stack() -> None:
    own = (container("web", project="shop", name="shop-web-1"),)
    plan = planning.deploy(DEPLOY, replace(EMPTY, own=own), SETTINGS, "")
    found = kinds(plan)
    order = [Kind.HOLD, Kind.TAKE_OVER, Kind.STOP, Kind.START, Kind.SWITCH]
    assert [each for each in found if each in order] == order
    assert command(plan, Kind.HOLD).startswith("touch /srv/demo/traffic/hold &&")
    assert "traffic/hold /srv/demo/traffic/blue" in command(plan, Kind.SWITCH)


@pytest.mark.parametrize(
    ("markers", "live", "marker"),
    [
        ({"hold-blue"}, Color.BLUE, "hold-blue"),
        ({"hold-green", "maintenance"}, Color.GREEN, "hold-green"),
        ({"hold"}, None, "hold"),
        ({"blue"}, Color.BLUE, "blue"),
        (set[str](), None, ""),
    ],
)
def test_a_color_for_which_requests_wait_is_the_one_that_answered_last(
    markers: set[str], live: Color | None, marker: str
) -> None:
    world = replace(V1_ON_BLUE, markers=frozenset(markers))
    assert (world.live, world.marker) == (live, marker)
    assert world.held is marker.startswith("hold")


def test_a_deploy_after_a_hold_that_was_killed_ends_the_waiting() -> None:
    held = replace(V1_ON_BLUE, markers=frozenset({"hold-blue"}))
    plan = planning.deploy(replace(DEPLOY, hold=False), held, SETTINGS, "")
    assert "traffic/hold-blue /srv/demo/traffic/green" in command(plan, Kind.SWITCH)


def test_to_hold_what_is_held_is_no_fault() -> None:
    assert markers.switch_command("/srv", "hold-blue", "hold-blue").startswith("[ -e /srv/traffic")


def test_a_hold_that_was_killed_goes_on_as_a_hold() -> None:
    detail = {"fresh": True, "hold": True, "old": {"id": "r1", "version": "v1", "color": "blue"}}
    begin = Entry(NOW, "r9", "deploy", Event.BEGIN, "", "green", "v2", "r9", detail)
    world = replace(V1_ON_BLUE, journal=(*V1_ON_BLUE.journal, begin))
    left = find(world.journal)
    assert left is not None
    assert left.hold
    assert planning.undoing(left, world, SETTINGS).run.hold


def test_a_standby_that_a_hold_has_stopped_is_no_drift_but_requests_that_wait_are() -> None:
    detail = {"hold": True}
    begin = Entry(NOW - 600, "r2", "deploy", Event.BEGIN, "", "green", "v2", "r2", detail)
    alone = replace(STOPPED, journal=(begin, *STOPPED.journal))
    assert any("holds stopped containers" in line for line in drift(STOPPED, SETTINGS))
    assert drift(alone, SETTINGS) == ()
    (line,) = drift(replace(alone, markers=frozenset({"hold-green"})), SETTINGS)
    assert "requests wait at the proxy" in line


def test_the_color_that_was_live_and_has_made_way_is_in_the_plan_of_the_next_one() -> None:
    both = replace(STOPPED, containers=(*STOPPED.containers, *color(Color.GREEN, "v2", "r2")))
    plan = planning.deploy(DEPLOY, both, SETTINGS, "")
    assert plan.target.color is Color.BLUE
    assert "-p demo-green stop" in command(plan, Kind.STOP)
