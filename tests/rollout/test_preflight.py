"""What is refused, and what is only said, before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyan.application.compose_file import Fault
from cyan.errors import UsageError
from cyan.hosts.site import Certificate
from cyan.names import EngineKind
from cyan.releases.precheck import Availability, Found, Precheck
from cyan.rollout import plan as planning
from cyan.rollout.facts import Facts
from cyan.rollout.planned import Request
from cyan.rollout.preflight import Check, Level, checks, refusals, unneeded, valid_names
from cyan.sections import SiteSettings
from tests.rollout.worlds import NOW, V1_ON_BLUE, V2_ON_GREEN, container, settings

GIB = 2**30
SETTINGS = settings()
WELL = Facts(
    memory_free=4 * GIB,
    memory_live=GIB,
    memory_standby=0,
    disk_free=40 * GIB,
    directory_free=GIB,
    images=GIB // 2,
    engine="28.2.2",
    compose="2.36.0",
    proxy="v2.6.2",
    reachable=(("database", "ok"),),
    published=frozenset({("127.0.0.1", port) for port in (8080, 8001, 8002)}),
    traffic_host="8:1",
    traffic_proxy="8:1",
    configured=True,
    clock_offset=0.1,
    clock_uncertainty=0.01,
)
OPEN = frozenset({("0.0.0.0", port) for port in (8080, 8001, 8002)})


def found(name: str, **changes: Any) -> Check:
    """The worst check of that name."""
    every = checks(V1_ON_BLUE, replace(WELL, **changes), SETTINGS)
    return max(
        (item for item in every if item.name == name), key=lambda item: [*Level].index(item.level)
    )


def test_a_host_that_is_well_has_nothing_to_mend() -> None:
    assert {item.level for item in checks(V1_ON_BLUE, WELL, SETTINGS)} == {Level.OK}


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("memory", {"memory_free": GIB - 1}, "only 1024 MiB for a standby"),
        ("disk", {"disk_free": GIB // 2}, "only 512 MiB for images, a release takes 512 MiB"),
        ("directory", {"directory_free": 2**20}, "only 1 MiB for journal"),
        ("engine", {"engine": "19.03.8"}, "older than 20.10"),
        ("compose", {"compose": "v2.6.1"}, "older than 2.20"),
        ("caddy", {"proxy": "2.5.0"}, "older than 2.6"),
        ("configuration", {"other_proxy": True}, "the proxy that runs is no caddy"),
        ("ports", {"published": frozenset({("127.0.0.1", 8080)})}, "does not publish 8001, 8002"),
        ("ports", {"published": OPEN}, "8001, 8002 are open"),
        ("traffic", {"traffic_proxy": "8:2"}, "does not look at /srv/demo/traffic"),
        ("traffic", {"traffic_proxy": "", "traffic_host": ""}, "does not look at"),
        ("sessions", {"sessions": 5}, "gives one connection 5 sessions at once; 8 are needed"),
        ("forwarding", {"forbidden": (8001, 8002)}, "forbids to connect to its 127.0.0.1:8001"),
        ("database", {"reachable": (("database", "10.0.0.2:5432"),)}, "at 10.0.0.2:5432"),
    ],
)  # fmt: skip
def test_what_cannot_go_well_is_refused_with_its_number(
    name: str, changes: dict[str, Any], said: str
) -> None:
    check = found(name, **changes)
    assert check.level is Level.REFUSE
    assert said in check.says
    assert check.todo


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("memory", {"memory_free": int(1.1 * GIB)}),
        ("clock", {"clock_offset": -9.0}),
        ("configuration", {"configured": False}),
        ("engine", {"engine": ""}),
    ],
)
def test_what_may_go_well_is_only_said(name: str, changes: dict[str, Any]) -> None:
    assert found(name, **changes).level is Level.WARN


def test_the_memory_of_the_standby_that_is_replaced_counts_as_free() -> None:
    assert found("memory", memory_free=GIB // 2, memory_standby=GIB).level is Level.OK


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"state": "exited"}, "database does not run"), ({"health": "unhealthy"}, "is unhealthy")],
)
def test_a_shared_service_that_is_not_well_is_refused(changes: dict[str, Any], said: str) -> None:
    hurt = (container("database", **changes), *V1_ON_BLUE.containers[1:])
    refused = refusals(checks(replace(V1_ON_BLUE, containers=hurt), WELL, SETTINGS), ())
    assert [said in item.says for item in refused] == [True]


def test_a_rollback_to_a_warm_color_is_not_refused_for_what_it_does_not_need() -> None:
    full = replace(WELL, disk_free=0, memory_free=0, directory_free=0)
    warm = planning.rollback(Request("rollback", "", "ann"), V2_ON_GREEN, SETTINGS, "")
    every = checks(V2_ON_GREEN, full, SETTINGS, None, unneeded(warm))
    warned = [each.name for each in every if each.level is Level.WARN]
    assert warned == ["memory", "disk", "directory"]
    assert refusals(every, ()) == ()
    stopped = replace(V2_ON_GREEN, containers=V2_ON_GREEN.containers[:4])
    partly = planning.rollback(Request("rollback", "", "ann"), stopped, SETTINGS, "")
    assert unneeded(partly) == ("disk", "certificate")
    assert unneeded(planning.deploy(Request("deploy", "v3", "ann"), V1_ON_BLUE, SETTINGS, "")) == ()


BAD_FILE = Precheck((Fault("services must be a mapping", ""),))


@pytest.mark.parametrize(
    ("comes", "name", "level", "said"),
    [
        (
            Precheck((Fault("services must be a mapping", ""),)),
            "compose-file",
            Level.REFUSE,
            "must be a mapping",
        ),
        (Precheck(), "compose-file", Level.OK, "is valid"),
        (
            Precheck(images=(Found("a:1", Availability.THERE),)),
            "images",
            Level.OK,
            "a:1 is on the host",
        ),
        (
            Precheck(images=(Found("a:1", Availability.NEVER, "no such tag"),)),
            "images",
            Level.REFUSE,
            "no such",
        ),
        (
            Precheck(images=(Found("a:1", Availability.UNSURE, "no way"),)),
            "images",
            Level.WARN,
            "no way",
        ),
    ],
)
def test_what_a_release_is_made_of_is_judged_before_anything_is_touched(
    comes: Precheck, name: str, level: Level, said: str
) -> None:
    every = checks(V1_ON_BLUE, WELL, SETTINGS, comes)
    (check,) = (each for each in every if each.name == name)
    assert (check.level, said in check.says) == (level, True)
    assert valid_names((name,), SETTINGS)


def test_a_check_is_overridden_by_its_name_and_only_that_one() -> None:
    every = checks(V1_ON_BLUE, replace(WELL, disk_free=0, memory_free=0), SETTINGS)
    assert [item.name for item in refusals(every, ("disk",))] == ["memory"]


def test_a_check_that_nobody_knows_is_bad_input() -> None:
    with pytest.raises(UsageError, match="no check is called 'dick'"):
        valid_names(("dick",), SETTINGS)
    assert valid_names(("disk", "database"), SETTINGS) == ("disk", "database")


SHOP = settings(site=SiteSettings.model_validate({"domain": "shop.example"}))


@pytest.mark.parametrize(
    ("certificate", "level", "said"),
    [
        (Certificate(NOW + 60 * 86_400, "Let's Encrypt"), Level.OK, "good for 60.0 days"),
        (Certificate(NOW + 13.9 * 86_400, "Let's Encrypt"), Level.WARN, "good for 13.9 days"),
        (Certificate(fault="certificate has expired"), Level.REFUSE, "certificate has expired"),
    ],
)
def test_a_certificate_is_told_with_its_end_and_warned_of_two_weeks_before(
    certificate: Certificate, level: Level, said: str
) -> None:
    facts = replace(WELL, certificate=certificate, published=WELL.published | {("", 80), ("", 443)})
    found = next(each for each in checks(V1_ON_BLUE, facts, SHOP) if each.name == "certificate")
    assert found.level is level
    assert said in found.says


def test_a_certificate_of_the_proxys_own_authority_may_be_short_of_life() -> None:
    local = settings(site=SiteSettings.model_validate({"domain": "app.localhost"}))
    facts = replace(WELL, certificate=Certificate(NOW + 3600, "Caddy Local Authority"))
    found = {each.name: each.level for each in checks(V1_ON_BLUE, facts, local)}
    assert found["certificate"] is Level.OK


@pytest.mark.parametrize(("engine", "refused"), [("24.0.7", True), ("25.0.3", False)])
def test_an_engine_that_knows_no_start_interval_is_named_before_compose_refuses_it(
    engine: str, refused: bool
) -> None:
    comes = Precheck(quick_starters=("platform",))
    found = checks(V1_ON_BLUE, replace(WELL, engine=engine), SETTINGS, comes)
    said = [each for each in found if "start_interval" in each.says]
    assert [each.level for each in said] == ([Level.REFUSE] if refused else [])


PODMAN = replace(WELL, engine="5.4.2", podman=True, wanted=EngineKind.PODMAN)


@pytest.mark.parametrize(
    ("facts", "level", "says"),
    [
        (PODMAN, Level.OK, "Podman 5.4.2"),
        (replace(PODMAN, engine="4.3.1"), Level.REFUSE, "Podman is 4.3.1, older than 5.0"),
        (replace(PODMAN, unwatched=True), Level.REFUSE, "there is no systemd"),
        (replace(WELL, unwatched=True), Level.OK, "engine 28.2.2"),  # Docker runs its checks itself
        (replace(PODMAN, wanted=EngineKind.DOCKER), Level.REFUSE, "Podman, and cyan.engine says"),
        (replace(WELL, wanted=EngineKind.PODMAN), Level.REFUSE, "Docker, and cyan.engine says"),
    ],
)
def test_what_runs_the_containers_is_what_the_settings_say_and_new_enough(
    facts: Facts, level: Level, says: str
) -> None:
    found = {each.name: each for each in checks(V1_ON_BLUE, facts, SETTINGS)}["engine"]
    assert found.level is level
    assert says in found.says
    assert bool(found.todo) == (level is Level.REFUSE)


def test_podman_without_docker_compose_is_refused_with_what_to_install() -> None:
    found = {each.name: each for each in checks(V1_ON_BLUE, replace(PODMAN, compose=""), SETTINGS)}
    assert found["compose"].level is Level.REFUSE
    assert "podman-compose" in found["compose"].says
    assert "docker-compose" in found["compose"].todo


def test_memory_that_nobody_counts_is_not_called_none() -> None:
    says = found("memory", memory_live=0).says
    assert "the engine does not say" in says
    assert "0 MiB" not in says
