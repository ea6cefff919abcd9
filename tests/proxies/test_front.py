"""The files of the host's one proxy, from the routes of an application."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from cyan.application import record
from cyan.application.record import Application
from cyan.configured import load
from cyan.engines.compose import Project
from cyan.errors import UsageError
from cyan.names import Color
from cyan.proxies import caddyfile, front, sites
from cyan.proxies.in_flight import InFlight, count
from cyan.rollout.plan import expanding, retain
from cyan.sections import WarmSettings
from tests.rollout import worlds

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.settings import Settings

WEB: dict[str, Any] = {"service": "web", "port": 8000, "published": 3000}


def adopted(base: Path, *routes: dict[str, Any], **changes: Any) -> Settings:
    section = {
        "app": "shop",
        "hosts": [{"address": "127.0.0.1"}],
        "directory": "/srv/cyan/shop",
        "adopted": {
            "project": "shop",
            "services": {"web": "web", "api": "web", "db": "shared"},
            "routes": list(routes or (WEB,)),
        },
        **changes,
    }
    return load(section, {}, base)


def test_the_settings_of_an_adopted_application_follow_from_its_services(tmp_path: Path) -> None:
    wanted = adopted(tmp_path)
    assert wanted.stateless == ("api", "web")
    assert wanted.stateful == ("db", "cyan-proxy")
    assert (wanted.proxy, wanted.proxy_project) == ("cyan-proxy", "cyan-proxy")
    assert (wanted.public.service, wanted.public.port, wanted.public.below) == ("web", 8000, 500)
    assert wanted.ports == (3000,)
    assert wanted.in_compose("web", Color.BLUE) == "web-blue"
    assert wanted.adopted is not None
    assert wanted.adopted.folder == tmp_path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stateless": ["web"]}, "cyan.stateless is cyan's own to say"),
        ({"adopted": {"project": "shop", "services": {"db": "shared"}, "routes": [WEB]}},
         "a route leads to 'web', which is no web service"),
        ({"adopted": {"project": "shop", "services": {"web": "web"}, "routes": []}}, "at least 1"),
        ({"adopted": {"project": "shop", "services": {"web": "robot"}, "routes": [WEB]}}, "robot"),
    ],
)  # fmt: skip
def test_what_contradicts_is_told(tmp_path: Path, changes: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        adopted(tmp_path, **changes)
    assert says in str(caught.value)


def test_a_fault_is_told_with_its_whole_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cyan\.adopted\.routes\.0\.path: .*begin with one '/'"):
        adopted(tmp_path, {**WEB, "path": "*.png"})


def test_each_color_is_asked_by_a_name_of_this_application_only(tmp_path: Path) -> None:
    text = caddyfile.sites_of(adopted(tmp_path))
    assert text.startswith("http://:3000 {\n")
    for color in Color:  # twice: what has waited is led as if it had come just now
        assert text.count(f"handle @{color} {{") == 2
        assert text.count(f"reverse_proxy shop-{color}-web:8000 {{") == 2 * 2  # kept, or not
    assert "root /traffic/shop" in text
    assert "X-Color" not in text


def test_idle_connections_are_kept_to_a_color_that_keeps_them_for_longer_unless_one_says(
    tmp_path: Path,
) -> None:
    text = caddyfile.sites_of(adopted(tmp_path))
    for color in Color:
        assert text.count(f"@kept-{color} file kept-{color}\n") == 1
        assert text.count(f"handle @kept-{color} {{") == 2
    assert text.count("keepalive 1s") == text.count("keepalive off") == 4
    assert "keepalive 1s" not in caddyfile.doors_of(adopted(tmp_path))
    for given, says in ((0, "keepalive off"), (2, "keepalive 2s")):
        text = caddyfile.sites_of(adopted(tmp_path, site={"keepalive": given}))
        assert (text.count(says), text.count("kept")) == (4, 0)


def test_sessions_stay_with_a_color_only_where_the_site_says_so(tmp_path: Path) -> None:
    text = caddyfile.sites_of(adopted(tmp_path, site={"sticky": True}))
    for color in Color:
        assert text.count(f"handle @pinned-{color} {{") == 1
        assert text.count(f"route @pinned-{color} {{") == 2  # also what has waited
    assert text.count("header @pin +Set-Cookie") == 2 * 2
    assert text.index("handle @maintenance") < text.index("route @has-pin") < text.index("@green {")
    assert "pin" not in caddyfile.sites_of(adopted(tmp_path))
    assert "pin" not in caddyfile.doors_of(adopted(tmp_path, site={"sticky": True}))
    with pytest.raises(UsageError, match=r"cyan\.site\.sticky is for Caddy"):
        adopted(tmp_path, site={"sticky": True}, proxy="nginx")


def test_the_color_is_told_where_the_site_says_so(tmp_path: Path) -> None:
    text = caddyfile.sites_of(adopted(tmp_path, site={"tell_color": True}))
    assert text.count("header X-Color green") == 2 * 2
    assert text.count("header_down -X-Color") == 4 * 2
    assert "X-Color" not in caddyfile.doors_of(adopted(tmp_path, site={"tell_color": True}))


def test_routes_lead_by_host_and_the_longest_path_first(tmp_path: Path) -> None:
    routes = (
        {"service": "web", "port": 80},
        {"service": "api", "port": 9000, "path": "/images"},
        {"service": "api", "port": 9000, "host": "api.shop.example"},
    )
    wanted = adopted(tmp_path, *routes, site={"domain": "shop.example"})
    text = caddyfile.sites_of(wanted)
    assert text.startswith("shop.example {\n")
    assert "\napi.shop.example {\n" in text
    assert "path /images /images/*" in text
    assert text.index("shop-green-api:9000 {") < text.index("shop-green-web:80 {")
    assert sites.published(wanted) == ("80", "443")
    assert "host api.shop.example" in caddyfile.doors_of(wanted)


def test_with_a_domain_a_port_that_was_published_leads_there_as_well(tmp_path: Path) -> None:
    routes = ({"service": "web", "port": 8000}, {**WEB, "bind": "127.0.0.1"})
    wanted = adopted(tmp_path, *routes, site={"domain": "shop.example"})
    assert [site.address for site in sites.sites_of(wanted)] == ["shop.example", "http://:3000"]
    assert sites.published(wanted) == ("80", "443", "127.0.0.1:3000")
    assert wanted.ports == (80, 443, 3000)
    assert wanted.site.authority == "shop.example"


def test_a_domain_on_other_ports_is_served_and_redirected_to_there(tmp_path: Path) -> None:
    site = {"domain": "shop.example", "port": 8080, "tls_port": 8443}
    wanted = adopted(tmp_path, {"service": "web", "port": 8000}, site=site)
    text = caddyfile.sites_of(wanted)
    assert text.startswith("shop.example:8443 {\n")
    redirect = "http://shop.example:8080 {\n\tredir https://shop.example:8443{uri} 308\n}\n"
    assert redirect in text
    assert wanted.site.authority == "shop.example:8443"


def test_ports_are_published_where_the_application_published_them(tmp_path: Path) -> None:
    other = {"service": "api", "port": 9000, "published": 9090, "bind": "127.0.0.1"}
    wanted = adopted(tmp_path, WEB, other)
    ports = {"shop": sites.published(wanted), "blog": ("80",)}
    made = json.loads(front.compose_file(wanted.host_proxy, ports))
    assert made["services"]["cyan-proxy"]["ports"] == [
        "127.0.0.1:9090:9090", "3000:3000", "80:80", "127.0.0.1:8009:8009"
    ]  # fmt: skip
    assert set(made["networks"]) == {"own", "shop-blue", "shop-green", "blog-blue", "blog-green"}
    assert made["networks"]["own"]["name"] < "0a"


def test_the_second_proxy_of_a_handover_has_no_door_and_takes_whatever_port_is_free(
    tmp_path: Path,
) -> None:
    wanted = adopted(tmp_path).host_proxy
    open_ = ("3000", "127.0.0.1:90")
    made = json.loads(front.compose_file(wanted, {"shop": open_}, passing=open_))
    assert made["services"]["cyan-proxy"]["ports"] == ["3000", "127.0.0.1::90"]


def test_what_is_in_flight_is_counted_for_one_application_only() -> None:
    upstreams: list[dict[str, object]] = [
        {"address": "shop-blue-web:8000", "num_requests": 2},
        {"address": "shop-blue-api:9000", "num_requests": 1},
        {"address": "shop-green-web:8000", "num_requests": 0},
        {"address": "blog-blue-web:8000", "num_requests": 7},
    ]
    assert count(upstreams, "shop") == InFlight(blue=3, green=0)
    with pytest.raises(KeyError):
        count(upstreams, "blog")


def test_a_release_records_what_the_adopted_application_was(tmp_path: Path) -> None:
    application = Application.of(adopted(tmp_path))
    assert application.adopted is not None
    assert application.services == application.adopted.rotating
    assert record.parse(record.dump(application)) == application


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("site.tell_color", {"site": {"tell_color": True}}),
        ("site.keepalive", {"site": {"keepalive": 2}}),
        ("public.below", {"public": {"service": "platform", "below": 500}}),
    ],
)
def test_what_only_an_adopted_application_has_is_not_ignored_elsewhere(
    key: str, changes: Any
) -> None:
    with pytest.raises(ValueError, match=f"cyan.{key} is for an application that is adopted"):
        worlds.settings(**changes)


def test_an_adopted_applications_services_are_called_in_compose_as_its_color_has_them(
    tmp_path: Path,
) -> None:
    wanted = adopted(tmp_path, migrate={"service": "api", "expand": "make it"})
    once = expanding(Project("shop-blue", PurePosixPath("/srv")), wanted, Color.BLUE)
    assert "--name shop-blue-expand api-blue make it" in once.command
    warm = wanted.model_copy(update={"warm": WarmSettings.model_validate({"services": ["web"]})})
    (command,) = retain(warm, Color.GREEN, Application.of(wanted), 10).commands
    assert command.endswith(" 10 api-green")
