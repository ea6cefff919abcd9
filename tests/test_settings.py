"""What the settings of any application must say, and what they may not name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cyan.configured import load
from cyan.errors import UsageError
from cyan.names import EngineKind
from tests.conftest import PROJECT
from tests.rollout import worlds
from tests.rollout.worlds import NAMES

HOST = {"hosts": [{"address": "127.0.0.1"}], "directory": "/srv/shop"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"public": {"service": "web"}}, "cyan.public.service names 'web', which cyan.stateless"),
        ({"warm": {"services": ["rga"]}}, "cyan.warm.services names 'rga', which cyan.stateless"),
        ({"health": {"services": {"rga": 9}}}, "cyan.health.services names 'rga'"),
        ({"smoke": [{"service": "rga", "command": ["true"]}]}, "cyan.smoke names 'rga'"),
        ({"migrate": {"expand": "x", "service": "rga"}}, "cyan.migrate.service names 'rga'"),
        ({"proxy": "front"}, "cyan.proxy names 'front', which cyan.stateful does not have"),
        ({"migrate": {"database": {"service": "pg"}}}, "cyan.migrate.database.service names 'pg'"),
        ({"migrate": {"directory": "sql"}}, "database.service is missing"),
        ({"migrate": {"expand": "tool"}}, "service is missing"),
    ],
)
def test_a_service_that_the_settings_name_is_one_of_theirs(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(HOST | NAMES | changes, {}, Path("/"))
    assert said in str(caught.value)


@pytest.mark.parametrize("key", NAMES)
def test_no_setting_defaults_to_a_name_of_the_demo(key: str) -> None:
    rest = {name: value for name, value in NAMES.items() if name != key}
    with pytest.raises(UsageError, match=rf"cyan\.{key}: Field required"):
        load(HOST | rest, {}, Path("/"))


@pytest.mark.parametrize(
    ("site", "url", "ports"),
    [
        ({}, "http://127.0.0.1:8080", (8080,)),
        ({"host": "shop.example", "port": 80}, "http://shop.example:80", (80,)),
        ({"domain": "shop.example"}, "https://shop.example", (80, 443)),
        ({"domain": "app.localhost", "tls_port": 8443}, "https://app.localhost:8443", (80, 8443)),
    ],
)
def test_the_address_and_the_ports_of_a_site_follow_from_its_domain(
    site: dict[str, Any], url: str, ports: tuple[int, ...]
) -> None:
    found = load(HOST | NAMES | {"site": site}, {}, Path("/")).site
    assert (found.url, found.ports) == (url, ports)


@pytest.mark.parametrize("domain", ["shop example", "-shop.example", "shop..example", "grüße.de"])
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(UsageError, match=r"cyan\.site\.domain"):
        load(HOST | NAMES | {"site": {"domain": domain}}, {}, Path("/"))


@pytest.mark.parametrize("hook", ["on: host", "where: there"])
def test_the_place_of_a_hook_is_called_where(hook: str) -> None:
    written = yaml.safe_load(f"{{before: switch, run: ./announce, {hook}}}")
    with pytest.raises(UsageError, match="where"):
        load(HOST | NAMES | {"hooks": [written]}, {}, Path("/"))


@pytest.mark.parametrize("directory", ["~/shop", "shop", ".lab/host"])
def test_a_directory_that_means_another_one_on_the_host_is_refused(directory: str) -> None:
    away = {"hosts": [{"address": "shop.example"}], "directory": directory}
    with pytest.raises(UsageError, match="begins with '/' on the host, such as /srv/demo"):
        load(NAMES | away, {}, Path("/work"))
    here = NAMES | HOST | {"directory": directory}
    assert load(here, {}, Path("/work")).directory.is_absolute()


def test_a_site_over_https_is_verified_with_what_two_cores_carry_unless_it_is_said() -> None:
    plain = worlds.settings()
    secure = plain.model_copy(
        update={"site": plain.site.model_copy(update={"domain": "a.example"})}
    )
    told = secure.model_copy(update={"verify": secure.verify.model_copy(update={"rate": 250.0})})
    assert (plain.rate, secure.rate, told.rate) == (300, 100, 250)


def test_podman_is_said_once_and_its_files_have_nothing_that_it_does_not_know() -> None:
    section = yaml.safe_load((PROJECT / "invoke.yaml").read_text())["cyan"]
    plain = load(section, {}, PROJECT)
    found = load({**section, "engine": "podman"}, {}, PROJECT)
    assert [each.engine for each in plain.hosts] == [EngineKind.DOCKER]
    assert [each.engine for each in found.hosts] == [EngineKind.PODMAN]
    assert found.host_proxy.engine is EngineKind.PODMAN
    for theirs, ours in (
        (plain.stateless_text, found.stateless_text),
        (plain.stateful_text, found.stateful_text),
    ):
        assert "start_interval" in theirs
        assert "start_interval" not in ours
        read = yaml.safe_load(ours)["services"]
        assert read.keys() == yaml.safe_load(theirs)["services"].keys()


def test_what_is_no_engine_is_refused() -> None:
    section = yaml.safe_load((PROJECT / "invoke.yaml").read_text())["cyan"]
    with pytest.raises(UsageError, match="the configuration is not valid") as caught:
        load({**section, "engine": "containerd"}, {}, PROJECT)
    assert "cyan.engine" in str(caught.value)


@pytest.mark.parametrize("engine", ["docker", ""])
def test_a_host_has_no_engine_of_its_own(engine: str) -> None:
    section = yaml.safe_load((PROJECT / "invoke.yaml").read_text())["cyan"]
    given = {key: value for key, value in section.items() if key != "engine"}
    host = {**section["hosts"][0], "engine": "podman"}
    if engine:  # what is said for all wins, as where fab names a host that is not among them
        found = load({**given, "engine": engine, "hosts": [host]}, {}, PROJECT)
        assert found.hosts[0].engine is EngineKind.DOCKER
        return
    with pytest.raises(UsageError) as caught:
        load({**given, "hosts": [host]}, {}, PROJECT)
    assert "cyan.engine says it for all hosts" in str(caught.value)
