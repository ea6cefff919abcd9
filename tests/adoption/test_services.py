"""The rules by which a service is taken for what it is."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from cyan.adoption.proposal import propose
from cyan.adoption.services import judge, services_of
from cyan.names import Role

FOLDER = PurePosixPath("/srv/shop")
WEB = {"build": {"context": "."}, "ports": [{"target": 8000, "published": "80"}]}


def roles(**services: dict[str, Any]) -> dict[str, Role]:
    return {each.name: each.role for each in judge(services_of({"services": services}), {})}


def proposed(told: dict[str, Role] | None = None, **services: dict[str, Any]) -> Any:
    return propose({"services": services}, FOLDER, told or {})


@pytest.mark.parametrize(
    ("name", "service", "role"),
    [
        ("db", {"image": "postgres:16"}, Role.SHARED),
        ("cache", {"image": "registry.example:5000/valkey/valkey:8@sha256:0"}, Role.SHARED),
        ("it", {"image": "x", "volumes": [{"type": "volume", "source": "d", "target": "/pgdata"}]},
         Role.SHARED),
        ("main-db", {"build": {"context": "db"}}, Role.SHARED),
        ("meta", {"image": "supabase/postgres-meta:1", "ports": [{"target": 8080}]}, Role.TOOL),
        ("jobs", {"image": "shop", "command": ["celery", "-A", "x", "worker"]}, Role.WORKER),
        ("jobs", {"image": "shop", "command": ["celery", "-A", "x", "worker", "-B"]},
         Role.SCHEDULER),
        ("jobs", {"image": "shop", "command": ["celery", "-A", "x", "worker", "-l", "info", "-EB"]},
         Role.SCHEDULER),
        ("jobs", {"image": "shop", "command": ["celery", "worker", "-b", "redis://cache"]},
         Role.WORKER),
        ("job-api", {"build": {"context": "."}, "ports": [{"target": 8000}]}, Role.WEB),
        ("job-worker", {"build": {"context": "."}, "ports": [{"target": 8000}]}, Role.WORKER),
        ("converter", {"image": "gotenberg/gotenberg:8"}, Role.WEB),
        ("celery_beat", {"image": "shop"}, Role.SCHEDULER),
        ("beat-worker", {"image": "shop"}, Role.SCHEDULER),
        ("clock-worker", {"image": "shop"}, Role.WORKER),
        ("clock", {"image": "shop"}, Role.SCHEDULER),
        ("tick", {"image": "shop", "command": ["php", "artisan", "schedule:work"]},
         Role.SCHEDULER),
        ("queue", {"image": "shop", "command": ["php", "artisan", "queue:work"]}, Role.WORKER),
        ("app", {"image": "shop", "command": ["run", "--url=http://worker:1/beat"]}, Role.WEB),
        ("beatrice", {"image": "shop", "ports": [{"target": 80}]}, Role.WEB),
        ("migrate", {"image": "shop", "restart": "no"}, Role.ONCE),
        ("db-init", {"image": "postgres:16", "restart": "on-failure"}, Role.ONCE),
        ("nginx", {"image": "nginx:1", "ports": [{"target": 443}]}, Role.PROXY),
        ("edge", {"image": "traefik:3"}, Role.PROXY),
        ("pages", {"image": "nginx", "ports": [{"target": 80}],
                   "volumes": [{"type": "bind", "source": "/srv/shop/html",
                                "target": "/usr/share/nginx/html"}]}, Role.WEB),
        ("watch", {"image": "containrrr/watchtower"}, Role.TOOL),
        ("site", {"image": "shop/express:1", "ports": [{"target": 3000}]}, Role.WEB),
        ("look", {"image": "mongo-express:1", "ports": [{"target": 8081}]}, Role.TOOL),
        ("panel", {"image": "shop/admin:1", "ports": [{"target": 80}]}, Role.WEB),
        ("odd", {"build": {"context": "."}, "volumes": [
            {"type": "bind", "source": "/var/run/docker.sock", "target": "/var/run/docker.sock"}]},
         Role.TOOL),
        ("frontend", {"build": {"context": "."}, "ports": [{"target": 8080}],
                      "depends_on": {"web": {"condition": "service_started"}},
                      "volumes": [{"type": "bind", "source": "/srv/shop/n.conf",
                                   "target": "/etc/nginx/conf.d/default.conf"}]}, Role.WEB),
    ],
)  # fmt: skip
def test_a_service_is_known_by_image_name_command_and_mounts(
    name: str, service: dict[str, Any], role: Role
) -> None:
    assert roles(**{"web": WEB, name: service})[name] is role


def test_what_another_waits_for_to_end_runs_once_whatever_it_is_called() -> None:
    waits = {**WEB, "depends_on": {"x": {"condition": "service_completed_successfully"}}}
    assert roles(web=waits, x={"image": "postgres"})["x"] is Role.ONCE


def test_what_has_no_port_and_no_dependents_is_a_worker_but_not_behind_a_proxy() -> None:
    alone = {"build": {"context": "."}}
    assert roles(web=WEB, mailer=alone)["mailer"] is Role.WORKER
    assert roles(web=WEB, mailer=alone, proxy={"image": "traefik"})["mailer"] is Role.WEB


@pytest.mark.parametrize("off", [{"scale": 0}, {"deploy": {"replicas": 0}}])
def test_what_is_switched_off_stays_so(off: dict[str, Any]) -> None:
    assert roles(web=WEB, off={**WEB, **off})["off"] is Role.TOOL


def test_what_the_user_says_of_a_service_counts() -> None:
    found = proposed({"db": Role.WEB}, web=WEB, db={"image": "postgres"})
    assert {each.name: (each.role, each.why) for each in found.services}["db"] == (
        Role.WEB,
        "as you said",
    )


def test_a_plain_application_is_adopted_as_it_is() -> None:
    found = proposed(web=WEB, db={"image": "postgres"})
    assert (found.questions, found.refusals) == ((), ())
    assert [(each.service, each.port) for each in found.routes] == [("web", 8000)]


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({**WEB, "network_mode": "host"}, "web.network_mode: two colors cannot both have"),
        ({**WEB, "ports": [{"target": 53, "protocol": "udp"}]}, "web.ports: 53 is DNS"),
        ({**WEB, "ports": [{"target": 7777, "protocol": "udp"}]}, "web.ports: 7777 is UDP"),
        ({**WEB, "environment": {"DATABASE_URL": "sqlite:///x.db"}}, "web.environment: its"),
        ({**WEB, "volumes": [{"type": "volume", "source": "code", "target": "/var/www/html"}]},
         "web.volumes: the code itself lies in the volume code"),
    ],
)  # fmt: skip
def test_what_cannot_rotate_is_refused_by_service_and_key(
    service: dict[str, Any], said: str
) -> None:
    (refusal,) = proposed(web=service).refusals
    assert said in str(refusal)


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({"web": WEB, "nginx": {"image": "nginx"}}, "shall it rotate together with them"),
        ({"web": {**WEB, "ports": [{"target": 443, "published": "443"}]}}, "web ends TLS itself"),
        ({"web": {**WEB, "volumes": [{"type": "bind", "source": "/srv/shop/src",
                                      "target": "/app/src"}]}}, "(web: ./src): leave these"),
        ({"web": {**WEB, "volumes": [{"type": "volume", "source": "git_data",
                                      "target": "/data"}]}}, "would write to git_data (web)"),
        ({"one": {"image": "a"}, "two": {"image": "b"}}, "which of these do users reach"),
        ({"web": {"image": "shop:fpm"}}, "speaks FastCGI"),
        ({"web": WEB, "odd": {"build": {"context": "."}, "ports": [{"target": 5432}]}},
         "is odd one that must never run twice"),
    ],
)  # fmt: skip
def test_what_a_wrong_guess_could_lose_is_asked(services: dict[str, Any], said: str) -> None:
    (question,) = proposed(**services).questions
    assert said in question.asks
    assert question.safe


@pytest.mark.parametrize("target", ["/app/uploads", "/app/media", "/var/log", "/app/node_modules"])
def test_volumes_that_several_share_without_harm_are_not_asked_about(target: str) -> None:
    mount = {"type": "volume", "source": "shop_files", "target": target}
    assert proposed(web={**WEB, "volumes": [mount]}).questions == ()


def test_routes_are_read_from_the_labels_of_other_proxies() -> None:
    labels = {
        "traefik.http.routers.a.rule": "Host(`shop.example`, `www.shop.example`)",
        "traefik.http.routers.b.rule": "Host(`api.shop.example`) && PathPrefix(`/v1`)",
        "traefik.http.services.a.loadbalancer.server.port": "3000",
    }
    found = proposed(web={"image": "shop", "labels": labels}).routes
    assert [(each.host, each.path, each.port) for each in found] == [
        ("shop.example", "", 3000),
        ("www.shop.example", "", 3000),
        ("api.shop.example", "/v1", 3000),
    ]
    given = {"VIRTUAL_HOST": "a.example,b.example", "VIRTUAL_PORT": "5000"}
    found = proposed(web={"image": "shop", "environment": given}).routes
    assert [(each.host, each.port) for each in found] == [("a.example", 5000), ("b.example", 5000)]


def test_debuggers_ports_are_no_routes_and_each_published_one_is() -> None:
    ports = [{"target": 80, "published": "80"}, {"target": 9229, "published": "9229"}]
    found = proposed(web={**WEB, "ports": ports}, api=WEB)
    assert {(each.service, each.port) for each in found.routes} == {("web", 80), ("api", 8000)}


def test_where_every_service_is_behind_a_profile_it_is_said_how_to_choose() -> None:
    (refusal,) = proposed().refusals
    assert "no service is on: each is behind a profile" in str(refusal)
    assert "COMPOSE_PROFILES" in str(refusal)


def test_the_network_of_a_service_that_stays_is_not_for_two_colors() -> None:
    shared = {**WEB, "network_mode": "service:vpn"}
    (refusal,) = proposed(web=shared, vpn={"image": "tailscale/tailscale"}).refusals
    assert "network_mode: both colors would have it of vpn, which stays" in str(refusal)
    told = {"vpn": Role.WEB}
    assert proposed(told, web=shared, vpn={"image": "tailscale/tailscale"}).refusals == ()


@pytest.mark.parametrize(
    ("key", "given"),
    [("ipc", "service:side"), ("pid", "service:side"), ("volumes_from", ["side:ro"])],
)
def test_what_a_service_has_of_another_one_is_its_own_colors(key: str, given: object) -> None:
    shared = {**WEB, key: given}
    assert proposed(web=shared, side=WEB).refusals == ()
    (refusal,) = proposed({"side": Role.SHARED}, web=shared, side=WEB).refusals
    assert f"web.{key}: both colors would have it of side, which stays" in str(refusal)


def test_volumes_that_both_colors_have_without_a_question_are_told() -> None:
    volumes = [{"type": "volume", "source": "uploads", "target": "/srv/uploads"}]
    found = proposed(web={**WEB, "volumes": volumes}, api={**WEB, "volumes": volumes})
    assert found.questions == ()
    told = "both colors have the same volumes, by their own names: uploads (api, web)"
    assert told in found.notes


def test_each_router_of_traefik_leads_to_the_port_of_the_service_that_it_names() -> None:
    """As in the first users' yapit: labels of the deploy, and two routers on one service."""
    labels = {
        "traefik.http.routers.api.rule": "Host(`auth.example`) && PathPrefix(`/api`)",
        "traefik.http.routers.api.service": "api",
        "traefik.http.services.api.loadbalancer.server.port": "8102",
        "traefik.http.routers.board.rule": "Host(`auth.example`) || Host(`board.example`)",
        "traefik.http.services.board.loadbalancer.server.port": "8101",
    }
    found = proposed(auth={"image": "auth", "deploy": {"labels": labels}}).routes
    assert [(each.host, each.path, each.port) for each in found] == [
        ("auth.example", "/api", 8102),
        ("auth.example", "", 8101),
        ("board.example", "", 8101),
    ]
