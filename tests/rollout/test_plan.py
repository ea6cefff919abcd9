"""Plans are data: what is done, in which order, with which commands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cyan.application import record
from cyan.application.record import Application
from cyan.errors import DeployError, UsageError
from cyan.journal.entries import Entry, Event
from cyan.names import Color, Kind
from cyan.proxies.in_flight import InFlight
from cyan.rollout import plan as planning
from cyan.rollout import release_files
from cyan.rollout.planned import Plan, Request
from cyan.sections import DrainSettings, HealthSettings, SmokeCheck, WarmSettings
from tests.proxies.test_front import adopted
from tests.rollout.worlds import (
    EMPTY,
    NOW,
    V1_ON_BLUE,
    V2_ON_GREEN,
    color,
    container,
    settings,
    switched,
    world,
)

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = settings(smoke=(SmokeCheck(path="/"),))
DEPLOY = Request("deploy", "v3", "ann")
ROLLBACK = Request("rollback", "", "ann")


def kinds(plan: Plan) -> list[Kind]:
    return [step.kind for step in plan.steps]


def command(plan: Plan, kind: Kind) -> str:
    return next(step.commands[0] for step in plan.steps if step.kind is kind)


def test_a_colors_idle_connections_are_not_kept_until_its_new_release_was_seen_to(
    tmp_path: Path,
) -> None:
    made = {name: {"image": name} for name in ("web", "api", "db")}
    text = json.dumps({"services": made, "x-cyan": {"folder": "/srv"}})
    first = planning.deploy(DEPLOY, EMPTY, adopted(tmp_path), text)
    assert command(first, Kind.START).startswith("rm -f -- /srv/cyan/shop/traffic/kept-blue && ")
    sticky = adopted(tmp_path, site={"sticky": True})
    lowered = command(planning.deploy(DEPLOY, EMPTY, sticky, text), Kind.START)
    assert " && rm -f -- /srv/cyan/shop/traffic/pin*-* && " in lowered
    assert "kept-" not in command(planning.deploy(DEPLOY, EMPTY, SETTINGS, ""), Kind.START)


def test_a_deploy_switches_only_after_health_and_smoke_and_drains_after_the_switch() -> None:
    plan = planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, "")
    assert kinds(plan) == [
        Kind.PREFLIGHT,
        Kind.FETCH,
        Kind.START,
        Kind.HEALTHY,
        Kind.SMOKE,
        Kind.SWITCH,
        Kind.VERIFY,
        Kind.DRAIN,
        Kind.BAKE,
        Kind.RETAIN,
        Kind.PRUNE,
    ]


def test_the_steps_of_every_plan_stand_in_the_order_of_the_design() -> None:
    for each in (EMPTY, V1_ON_BLUE, V2_ON_GREEN):
        found = kinds(planning.deploy(DEPLOY, each, SETTINGS, ""))
        assert found == sorted(found, key=list(Kind).index)


def test_no_loweredbefore_the_switch_names_the_live_project() -> None:
    plan = planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, "")
    before = plan.steps[: kinds(plan).index(Kind.SWITCH)]
    assert not [word for step in before for word in step.commands if "demo-blue" in word]


def test_the_first_deploy_goes_to_blue_and_has_nothing_to_drain() -> None:
    plan = planning.deploy(DEPLOY, EMPTY, SETTINGS, "")
    assert plan.target.color is Color.BLUE
    assert Kind.DRAIN not in kinds(plan)
    assert command(plan, Kind.SWITCH).startswith("touch /srv/demo/traffic/blue")


def test_the_colors_take_turns() -> None:
    assert planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, "").target.color is Color.GREEN
    assert planning.deploy(DEPLOY, V2_ON_GREEN, SETTINGS, "").target.color is Color.BLUE


def test_the_switch_is_one_rename_of_the_marker() -> None:
    switch = command(planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, ""), Kind.SWITCH)
    assert "mv -T /srv/demo/traffic/blue /srv/demo/traffic/green" in switch


def test_a_warm_standby_with_requests_in_flight_is_drained_before_it_is_replaced() -> None:
    busy = replace(V2_ON_GREEN, in_flight=InFlight(blue=3, green=9))
    assert Kind.CLEAR in kinds(planning.deploy(DEPLOY, busy, SETTINGS, ""))


def test_a_warm_standby_whose_count_is_unknown_is_drained_before_it_is_replaced() -> None:
    unknown = replace(V2_ON_GREEN, in_flight=None)
    assert Kind.CLEAR in kinds(planning.deploy(DEPLOY, unknown, SETTINGS, ""))


def test_a_standby_that_was_live_a_moment_ago_is_drained_although_nothing_is_counted_yet() -> None:
    journal = (switched(Color.GREEN, "v2", "r2", NOW - 0.1),)
    fresh = replace(V2_ON_GREEN, journal=journal)
    assert Kind.CLEAR in kinds(planning.deploy(DEPLOY, fresh, SETTINGS, ""))


def test_an_idle_warm_standby_is_replaced_without_waiting() -> None:
    assert Kind.CLEAR not in kinds(planning.deploy(DEPLOY, V2_ON_GREEN, SETTINGS, ""))


def test_a_warm_rollback_starts_nothing_and_fetches_nothing() -> None:
    plan = planning.rollback(ROLLBACK, V2_ON_GREEN, SETTINGS, "")
    assert plan.target.version == "v1"
    assert plan.target.id == "r1"
    assert not {Kind.FETCH, Kind.START, Kind.SMOKE, Kind.BAKE} & set(kinds(plan))
    assert kinds(plan).index(Kind.HEALTHY) < kinds(plan).index(Kind.SWITCH)


def test_a_deploy_starts_all_of_its_target_and_a_warm_rollback_does_not() -> None:
    assert planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, "").run.starts_all
    assert not planning.rollback(ROLLBACK, V2_ON_GREEN, SETTINGS, "").run.starts_all


def test_a_rollback_deploys_the_previous_version_when_its_color_was_removed() -> None:
    cold = replace(V2_ON_GREEN, containers=(*EMPTY.containers, *color(Color.GREEN, "v2", "r2")))
    plan = planning.rollback(ROLLBACK, cold, SETTINGS, "")
    assert plan.target.version == "v1"
    assert Kind.START in kinds(plan)
    assert (
        "VERSION='v1'"
        in dict(next(step.files for step in plan.steps if step.kind is Kind.FETCH))[
            f"/srv/demo/releases/{plan.target.id}/.env"
        ]
    )


def test_a_rollback_does_not_take_a_failed_release_in_the_standby_for_the_previous_one() -> None:
    failed = replace(
        V2_ON_GREEN,
        containers=(
            *EMPTY.containers,
            *color(Color.GREEN, "v2", "r2"),
            *color(Color.BLUE, "v9", "r9"),
        ),
    )
    plan = planning.rollback(ROLLBACK, failed, SETTINGS, "")
    assert plan.target.version == "v1"
    assert Kind.START in kinds(plan)


def test_a_partly_stopped_warm_color_is_started_before_a_rollback_switches_to_it() -> None:
    partly = replace(
        V2_ON_GREEN,
        containers=tuple(
            replace(item, state="exited") if item.id == "blue-crawler" else item
            for item in V2_ON_GREEN.containers
        ),
    )
    plan = planning.rollback(ROLLBACK, partly, SETTINGS, "")
    assert Kind.START in kinds(plan)
    assert plan.target.id == "r1"


def test_a_rollback_of_a_rollback_returns_to_where_it_began() -> None:
    journal = (*V2_ON_GREEN.journal, switched(Color.BLUE, "v1", "r1", NOW - 300))
    back = replace(V2_ON_GREEN, markers=frozenset({"blue"}), journal=journal)
    assert planning.rollback(ROLLBACK, back, SETTINGS, "").target.version == "v2"


def test_a_release_that_was_switched_back_from_is_nothing_to_roll_back_to() -> None:
    back = Entry(NOW - 500, "r2", "deploy", Event.DONE, "switch-back", "blue", "v1", "r1")
    journal = (*V2_ON_GREEN.journal, back)
    with pytest.raises(DeployError, match="nothing to roll back to"):
        planning.rollback(ROLLBACK, replace(V1_ON_BLUE, journal=journal), SETTINGS, "")


def test_there_is_nothing_to_roll_back_to_after_the_first_deploy() -> None:
    with pytest.raises(DeployError, match="nothing to roll back to"):
        planning.rollback(ROLLBACK, V1_ON_BLUE, SETTINGS, "")


def test_the_old_color_is_kept_warm_in_part_when_asked() -> None:
    warm = settings(warm=WarmSettings(services=("platform", "rag")))
    retain = command(planning.deploy(DEPLOY, V1_ON_BLUE, warm, ""), Kind.RETAIN)
    assert retain.endswith("stop --timeout 30 crawler")


def test_the_old_color_is_removed_when_nothing_is_kept_warm() -> None:
    none = settings(warm=WarmSettings(services="none"))
    retain = command(planning.deploy(DEPLOY, V1_ON_BLUE, none, ""), Kind.RETAIN)
    assert "-p demo-blue down" in retain


def test_both_markers_count_as_green_because_the_proxy_asks_for_green_first() -> None:
    both = world({"blue", "green"}, container("platform", Color.GREEN))
    assert both.live is Color.GREEN


def test_an_environment_that_cyan_sets_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="COLOR is set by cyan itself"):
        release_files.valid_environment(["COLOR=red"])


def test_a_rollback_finds_the_environment_that_its_release_ran_with() -> None:
    request = replace(DEPLOY, environment=(("FAULT", "slow=1 $x"),))
    env = release_files._environment(request, V1_ON_BLUE_TARGET, SETTINGS)
    assert release_files.extra_environment(env) == (("FAULT", "slow=1 $x"),)


V1_ON_BLUE_TARGET = planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, "").target


def test_a_warm_release_is_whole_by_its_own_record_though_the_settings_have_a_service_more() -> (
    None
):
    two = tuple(each for each in V2_ON_GREEN.containers if each.name != "demo-blue-crawler-1")
    two_services = Application(services=("platform", "rag"), public=SETTINGS.public)
    seen = replace(V2_ON_GREEN, containers=two, applications={"r1": two_services})
    plan = planning.rollback(ROLLBACK, seen, SETTINGS, "")
    assert Kind.START not in kinds(plan)
    assert plan.run.application.services == ("platform", "rag")
    assert plan.run.replaced.services == ("platform", "rag", "crawler")


def test_a_deploy_keeps_the_application_beside_the_compose_file() -> None:
    plan = planning.deploy(DEPLOY, V1_ON_BLUE, SETTINGS, "")
    files = next(step.files for step in plan.steps if step.kind is Kind.FETCH)
    kept = next(text for path, text in files if path.endswith("/application.json"))
    assert record.parse(kept) == Application.of(SETTINGS)


@pytest.mark.parametrize(("asked", "drain", "wanted"), [(10, 0.5, 10), (40, 30, 40), (2, 12.5, 13)])
def test_a_color_that_goes_has_the_grace_that_it_asks_for_and_never_less_than_the_drain(
    asked: int, drain: float, wanted: int
) -> None:
    mine = settings(warm=WarmSettings(services="none"), drain=DrainSettings(timeout=drain))
    seen = world({"blue"}, *color(Color.BLUE, "v1", "r1", grace=asked))
    plan = planning.deploy(DEPLOY, seen, mine, "")
    assert f"--timeout {wanted}" in command(plan, Kind.RETAIN)


def test_what_compose_waits_for_is_bounded_by_the_most_patient_service() -> None:
    mine = settings(health=HealthSettings(timeout=60, services={"rag": 90.5}))
    assert command(planning.deploy(DEPLOY, V1_ON_BLUE, mine, ""), Kind.START).startswith(
        "timeout --foreground -k 10 91 env "
    )
