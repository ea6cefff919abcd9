"""A part of the live color that is replaced in its place: planned, left unfinished, undone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cyan.application.release import Release
from cyan.errors import UsageError
from cyan.journal.entries import Entry, Event, parse
from cyan.names import Color, Kind, Strategy
from cyan.proxies.in_flight import InFlight
from cyan.rollout import plan as planning
from cyan.rollout import release_files, strategy, unfinished
from cyan.rollout.drift import drift
from cyan.rollout.planned import Plan, Request, Step
from cyan.rollout.undo import undo
from cyan.tasks import rotation
from tests.proxies.test_front import adopted
from tests.rollout.jobs import docker_calls, door, job, markers, writer
from tests.rollout.worlds import NOW, V1_ON_BLUE, color, container, settings
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = settings(workers=("crawler",))
REQUEST = Request("deploy", "v2", "ann", hold=True, only=("platform",), run="r2")
PLAN = planning.deploy(REQUEST, V1_ON_BLUE, SETTINGS, "")
BEGIN = Entry(
    NOW,
    "r2",
    "deploy",
    Event.BEGIN,
    "",
    "blue",
    "v2",
    "r2",
    {"old": {"id": "r1", "version": "v1", "color": "blue"}, "only": ("platform",), "hold": True},
)
REPLACED = tuple(
    replace(item, version="v2", release="r2") if item.service == "platform" else item
    for item in color(Color.BLUE, "v1", "r1")
)
SWITCHED = replace(
    V1_ON_BLUE,
    containers=(container("database"), container("proxy"), *REPLACED),
    journal=(*V1_ON_BLUE.journal, BEGIN),
)
HELD = replace(SWITCHED, markers=frozenset({"hold-blue"}))


def step(plan: Plan, kind: Kind) -> Step:
    return next(each for each in plan.steps if each.kind is kind)


def test_it_takes_the_place_of_what_it_replaces_and_leaves_the_rest_alone() -> None:
    assert PLAN.target == Release("r2", "v2", Color.BLUE)
    kinds = [each.kind for each in PLAN.steps]
    assert kinds == [
        *(Kind.PREFLIGHT, Kind.FETCH, Kind.HOLD, Kind.STOP, Kind.START, Kind.HEALTHY),
        *(Kind.SWITCH, Kind.VERIFY, Kind.BAKE, Kind.PRUNE),
    ]
    (stop,) = step(PLAN, Kind.STOP).commands
    assert stop.endswith("-p demo-blue stop platform")
    (start,) = step(PLAN, Kind.START).commands
    assert start.endswith("up -d --no-build --pull never --no-deps platform")
    assert "mv -T /srv/demo/traffic/hold-blue" in step(PLAN, Kind.SWITCH).commands[0]


def test_what_stays_is_judged_by_what_it_was_and_not_waited_for() -> None:
    assert not PLAN.run.starts_all, "what its other containers had survived is no fault of theirs"
    busy = replace(V1_ON_BLUE, in_flight=InFlight(3, 0))
    plan = planning.deploy(REQUEST, busy, SETTINGS, "")
    assert Kind.CLEAR not in {each.kind for each in plan.steps}, "users are asked to wait instead"


def test_what_takes_work_by_itself_begins_after_the_switch() -> None:
    plan = planning.deploy(replace(REQUEST, only=("platform", "crawler")), V1_ON_BLUE, SETTINGS, "")
    assert step(plan, Kind.START).commands[0].endswith("--no-deps platform")
    assert step(plan, Kind.STOP).commands[0].endswith("stop platform")
    kinds = [each.kind for each in plan.steps]
    assert kinds.index(Kind.SWITCH) < kinds.index(Kind.WORKERS)


def test_it_holds_whatever_the_settings_say_and_not_where_nobody_could_wait(
    tmp_path: Path,
) -> None:
    host, asked = Machine(tmp_path).host, replace(REQUEST, hold=False)
    world = replace(V1_ON_BLUE, in_flight=InFlight(0, 0, waiting=0))
    for each in Strategy:
        wanted = settings(strategy=each)
        found = strategy.decided(host, wanted, world, asked)
        assert (found.hold, found.why) == (True, "only platform")
    old = replace(V1_ON_BLUE, in_flight=InFlight(0, 0, waiting=None))
    with pytest.raises(UsageError, match="no place where requests could wait"):
        strategy.decided(host, SETTINGS, old, asked)


def test_who_waits_does_not_wait_longer_than_compose_would_have_them(tmp_path: Path) -> None:
    wanted = adopted(tmp_path)
    assert wanted.adopted is not None
    made = release_files._mould(REQUEST, PLAN.target, wanted, wanted.adopted)
    assert made.held


@pytest.mark.parametrize(
    ("names", "strategy_of", "says"),
    [
        (("db",), "", "--only db is no service that a deploy could replace by itself"),
        (("web",), "colors", "requests wait, which is not --strategy colors"),
    ],
)
def test_what_cannot_be_replaced_by_itself_is_refused_before_a_host_is_asked(
    tmp_path: Path, names: tuple[str, ...], strategy_of: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        rotation._only(adopted(tmp_path), names, strategy_of)
    assert rotation._only(adopted(tmp_path), ("web", "web"), "hold") == ("web",)
    with pytest.raises(UsageError, match="has Compose files made for cyan"):
        rotation._only(SETTINGS, ("platform",), "")


def test_nobody_waits_for_what_only_takes_work_by_itself() -> None:
    plan = planning.deploy(replace(REQUEST, only=("crawler",)), V1_ON_BLUE, SETTINGS, "")
    kinds = {each.kind for each in plan.steps}
    assert not kinds & {Kind.HOLD, Kind.STOP, Kind.START}
    assert step(plan, Kind.WORKERS).commands[0].endswith("--no-deps crawler")
    assert plan.run.asked.version == "v1", "the public service is the one that was there"


def test_the_newest_release_of_a_color_is_what_it_is() -> None:
    assert SWITCHED.release(Color.BLUE) == "r2"
    assert SWITCHED.serving == "blue v2"


def test_it_is_live_once_nobody_waits_any_more() -> None:
    left = unfinished.find(HELD.journal)
    assert left is not None
    assert left.only == ("platform",)
    assert (left.reached(HELD), left.holds(HELD)) == (False, True)
    assert "--abort puts back what it replaced" in unfinished.described(left, HELD)
    assert left.reached(SWITCHED)
    assert unfinished.caught_up(HELD) is None
    noted = unfinished.caught_up(SWITCHED)
    assert noted is not None
    assert noted.step == "switch"


@pytest.mark.parametrize(("only", "told"), [(("platform",), 0), ((), 1)])
def test_releases_beside_each_other_are_drift_only_where_nobody_meant_it(
    only: tuple[str, ...], told: int
) -> None:
    application = SWITCHED.application("r2", SETTINGS).model_copy(update={"only": only})
    world = replace(SWITCHED, applications={"r2": application}, journal=V1_ON_BLUE.journal)
    lines = [line for line in drift(world, SETTINGS) if "more than one release" in line]
    assert len(lines) == told


@pytest.mark.parametrize("after", [False, True])
def test_what_was_there_is_made_again_while_users_wait(tmp_path: Path, after: bool) -> None:
    with door() as (doors, _):
        mine = job(tmp_path, V1_ON_BLUE if after else HELD, PLAN, doors=doors)
        with mine.lock:
            undone = undo(mine, step(PLAN, Kind.BAKE if after else Kind.HEALTHY), writer(mine))
            lines = parse((tmp_path / "app/journal.jsonl").read_text())
    (start, *_) = [each for each in docker_calls(mine) if " up -d " in each]
    assert "releases/r1/compose.yml" in start
    assert start.endswith("--no-deps platform")
    assert not any(" down " in each for each in docker_calls(mine))
    assert markers(mine) == {"blue"}
    assert undone.serving.startswith("v1 (blue) again")
    done = [each.step for each in lines if each.event is Event.DONE]
    assert done == ["switch-back" if after else "put-back"]


def test_what_fails_before_anybody_waits_is_left_as_it_is(tmp_path: Path) -> None:
    mine = job(tmp_path, V1_ON_BLUE, PLAN)
    with mine.lock:
        undone = undo(mine, step(PLAN, Kind.FETCH), writer(mine))
    assert undone.serving == "blue v1, untouched"
    assert docker_calls(mine) == []
