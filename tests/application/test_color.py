"""The file of one color, from what Compose resolved of an application that knows nothing of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cyan.adopted import AdoptedSettings
from cyan.application.color import (
    External,
    Mould,
    color_file,
    external_names,
)
from cyan.application.mounts import files_of
from cyan.application.own_stack import mounted, own_file
from cyan.application.source import OURS, resolve, version_variables
from cyan.errors import UsageError
from cyan.names import Color

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "/srv/checkout"
ADOPTED = {
    "project": "shop",
    "services": {
        "web": "web",
        "api": "web",
        "jobs": "worker",
        "migrate": "once",
        "db": "shared",
        "nginx": "proxy",
    },
    "routes": [{"service": "web", "port": 8000, "published": 8080}],
}
SERVICES: dict[str, Any] = {
    "web": {
        "build": {"context": f"{FOLDER}/web", "dockerfile": "Dockerfile"},
        "command": ["serve", "--price", "5$$"],
        "container_name": "the-web",
        "hostname": "web.example",
        "depends_on": {
            "db": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        },
        "environment": {"DATABASE": "postgres://db/shop"},
        "labels": {"traefik.enable": "true", "team": "blue"},
        "links": ["db:database"],
        "networks": {"default": None, "back": {"aliases": ["inner"]}},
        "ports": [{"target": 8000, "published": "8080"}],
        "volumes": [
            {"type": "volume", "source": "uploads", "target": "/uploads"},
            {"type": "bind", "source": f"{FOLDER}/web", "target": "/app"},
            {"type": "bind", "source": f"{FOLDER}/web.toml", "target": "/etc/web.toml"},
            {"type": "bind", "source": f"{FOLDER}/media", "target": "/media"},
            {"type": "bind", "source": f"{FOLDER}/shop.db", "target": "/shop.db"},
            {"type": "bind", "source": f"{FOLDER}/pages", "target": "/p", "read_only": True},
            {"type": "bind", "source": "/etc/ssl", "target": "/etc/ssl"},
        ],
        "secrets": [{"source": "key", "target": "key"}],
    },
    "api": {"image": "api:1", "networks": {"default": None}, "stop_grace_period": "90s"},
    "jobs": {"image": "api:1", "networks": {"default": None}, "deploy": {"replicas": 3}},
    "migrate": {"image": "api:1", "networks": {"default": None}},
    "db": {"image": "postgres:16", "networks": {"default": None}},
    "nginx": {"image": "nginx", "networks": {"default": None}},
}
CONFIG: dict[str, Any] = {
    "name": "shop",
    "services": SERVICES,
    "networks": {"default": {"name": "shop_default"}, "back": {"name": "shop_back"}},
    "volumes": {"uploads": {"name": "shop_uploads"}, "data": {"name": "shop_data"}},
    "secrets": {"key": {"file": f"{FOLDER}/key.pem"}},
    OURS: {"folder": FOLDER},
}


def adopted(**changes: Any) -> AdoptedSettings:
    return AdoptedSettings.model_validate({**ADOPTED, "without": ["web:/app"], **changes})


def mould(color: Color = Color.BLUE, **changes: Any) -> Mould:
    return Mould("shop", color, "v1", "r1", "ann", adopted(**changes), 40)


def made(color: Color = Color.BLUE, **changes: Any) -> Any:
    return json.loads(color_file(json.dumps(CONFIG), mould(color, **changes)))


def test_a_color_has_what_rotates_by_names_that_are_nobody_elses() -> None:
    assert set(made()["services"]) == {"web-blue", "api-blue", "jobs-blue", "migrate-blue"}
    assert set(made(Color.GREEN)["services"]).isdisjoint(made()["services"])


def test_within_its_network_a_service_has_all_its_names_and_elsewhere_only_the_new_one() -> None:
    networks = made()["services"]["web-blue"]["networks"]
    assert networks == {
        "cyan.color": {"aliases": ["web", "the-web", "inner", "shop-blue-web"]},
        "default": None,
        "back": None,
    }
    assert made()["networks"] == {
        "cyan.color": {"name": "shop-blue", "external": True},
        "default": {"name": "shop_default", "external": True},
        "back": {"name": "shop_back", "external": True},
    }


def test_what_a_service_has_of_another_ones_containers_is_its_own_colors() -> None:
    joined = {
        "ipc": "service:api",
        "pid": "service:api",
        "network_mode": "service:api",
        "volumes_from": ["api", "api:ro", "container:else"],
    }
    services = {**SERVICES, "web": {**SERVICES["web"], **joined}}
    text = json.dumps({**CONFIG, "services": services})
    web = json.loads(color_file(text, mould()))["services"]["web-blue"]
    assert {key: web[key] for key in joined} == {
        "ipc": "service:api-blue",
        "pid": "service:api-blue",
        "network_mode": "service:api-blue",
        "volumes_from": ["api-blue", "api-blue:ro", "container:else"],
    }
    assert not {"networks", "external_links"} & set(web)


def test_a_name_is_linked_to_the_one_container_that_has_it() -> None:
    services = made()["services"]
    assert services["web-blue"]["external_links"] == [
        "shop-blue-api-blue-1:api",  # jobs are three, and migrate ends
        "shop-db-1:database",
    ]
    links = services["api-blue"]["external_links"]
    assert links == [f"shop-blue-web-blue-1:{name}" for name in ("web", "the-web", "inner")]


def test_what_would_be_one_for_two_is_left_out_and_what_is_theirs_stays() -> None:
    web = made()["services"]["web-blue"]
    assert not {"ports", "container_name", "hostname", "links"} & set(web)
    assert web["command"] == ["serve", "--price", "5$$"]
    assert web["environment"] == {"DATABASE": "postgres://db/shop"}
    assert web["labels"]["team"] == "blue"
    assert "traefik.enable" not in web["labels"]
    assert web["labels"]["cyan.service"] == "web"
    assert web["depends_on"] == {
        "migrate-blue": {"condition": "service_completed_successfully"},
        "api-blue": {"condition": "service_started", "required": True},  # it leads to the others
    }
    assert web["stop_grace_period"] == "40s"
    assert made()["services"]["api-blue"]["stop_grace_period"] == "90s"


def test_users_who_wait_do_not_wait_longer_for_an_end_than_compose_would() -> None:
    told = json.loads(color_file(json.dumps(CONFIG), replace(mould(Color.BLUE), held=True)))[
        "services"
    ]
    graces = {name: each["stop_grace_period"] for name, each in told.items()}
    assert graces["web-blue"] == "10s"
    assert graces["api-blue"] == "90s", "what is asked for is given"
    assert graces["jobs-blue"] == "40s", "nobody waits for a worker"


def test_an_image_without_a_name_is_called_after_project_service_and_version() -> None:
    web = made()["services"]["web-blue"]
    assert web["image"] == "shop-web:v1"
    assert web["build"]["context"] == "./web"
    assert made()["services"]["api-blue"]["image"] == "api:1"


def test_what_is_read_goes_along_what_is_written_stays_and_code_is_left_out() -> None:
    web = made(there="/opt/shop")["services"]["web-blue"]
    assert [(each["source"], each["target"]) for each in web["volumes"]] == [
        ("uploads", "/uploads"),
        ("./files/web.toml", "/etc/web.toml"),
        ("/opt/shop/media", "/media"),
        ("/opt/shop/shop.db", "/shop.db"),
        ("./files/pages", "/p"),
        ("/etc/ssl", "/etc/ssl"),
    ]
    assert made()["secrets"] == {"key": {"file": "./files/key.pem"}}
    assert made()["volumes"] == {"uploads": {"name": "shop_uploads", "external": True}}
    source = json.dumps(CONFIG)
    assert files_of(source, adopted()) == ("key.pem", "pages", "web.toml")
    assert external_names(source, adopted()) == (
        External("network", "default", "shop_default"),
        External("network", "back", "shop_back"),
        External("volume", "uploads", "shop_uploads"),
    )


@pytest.mark.parametrize(
    ("services", "says"),
    [
        ({**SERVICES, "rag": {"image": "rag"}}, "has rag, of which"),
        ({name: each for name, each in SERVICES.items() if name != "api"}, "has no api"),
    ],
)
def test_a_list_of_services_that_has_changed_is_told(services: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        color_file(json.dumps({**CONFIG, "services": services}), mould())


def test_what_is_built_outside_of_the_folder_cannot_be_sent() -> None:
    web = {**SERVICES["web"], "build": {"context": "/elsewhere"}}
    with pytest.raises(UsageError, match="outside of"):
        color_file(json.dumps({**CONFIG, "services": {**SERVICES, "web": web}}), mould())


@pytest.mark.parametrize(
    ("image", "variables"),
    [
        ("ghcr.io/a/b:${TAG:-latest}", ("TAG",)),
        ("${REGISTRY:-here:5000}/b:$VERSION-${FLAVOR}", ("VERSION", "FLAVOR")),
        ("${REGISTRY}/b", ()),
        ("here:5000/b", ()),
        ("here:${PORT}/b", ()),
        ("b:1", ()),
        ("", ()),
    ],
)
def test_the_version_is_what_the_tag_is_made_of(image: str, variables: tuple[str, ...]) -> None:
    raw = {"services": {"web": {"image": image}, "db": {"image": "postgres:${PG}"}}}
    assert version_variables(raw, ("web", "gone")) == variables


@pytest.mark.skipif(shutil.which("docker") is None, reason="Compose is not installed")
def test_compose_reads_the_file_of_a_color_as_it_resolved_it(tmp_path: Path) -> None:
    (tmp_path / "app.env").write_text("SECRET=a$$b'c\n")
    (tmp_path / "compose.yaml").write_text(
        "name: shop\nservices:\n  web:\n    image: web:${TAG}\n    env_file: app.env\n"
        "    command: [sh, -c, 'echo $$HOME']\n    volumes: [data:/data]\n"
        "  db: {image: postgres}\nvolumes: {data: {}}\n"
    )
    config = {**resolve(tmp_path, (), (("TAG", "7"),)), OURS: {"folder": str(tmp_path)}}
    plain = AdoptedSettings.model_validate(
        {
            "project": "shop",
            "services": {"web": "web", "db": "shared"},
            "routes": [{"service": "web", "port": 80}],
        }
    )
    text = color_file(json.dumps(config), Mould("shop", Color.BLUE, "7", "r", "ann", plain, 40))
    (tmp_path / "color.json").write_text(text)
    words = ["docker", "compose", "-p", "shop-blue", "-f", str(tmp_path / "color.json")]
    read = subprocess.run(
        [*words, "config", "--format", "json"], capture_output=True, text=True, check=True
    )
    again = json.loads(read.stdout)["services"]["web-blue"]
    for key in ("image", "environment", "command", "volumes"):
        assert again[key] == config["services"]["web"][key], key
    assert again["image"] == "web:7"


def test_a_check_of_theirs_is_asked_often_at_first_where_the_engine_knows_how() -> None:
    check = {"test": ["CMD", "true"], "interval": "30s", "start_period": "5s"}
    web = {**SERVICES["web"], "healthcheck": check}
    api = {**SERVICES["api"], "healthcheck": {"disable": True}}
    source = json.dumps({**CONFIG, "services": {**SERVICES, "web": web, "api": api}})
    plain = json.loads(color_file(source, mould()))["services"]
    assert plain["web-blue"]["healthcheck"] == check
    quick = json.loads(color_file(source, replace(mould(), quick=True)))["services"]
    assert quick["web-blue"]["healthcheck"] == {"start_interval": "1s", **check}
    assert quick["api-blue"]["healthcheck"] == {"disable": True}
    assert "healthcheck" not in quick["jobs-blue"]


def test_a_start_interval_of_theirs_goes_only_to_an_engine_that_knows_it() -> None:
    check = {"test": ["CMD", "true"], "interval": "30s", "start_interval": "2s"}
    web = {**SERVICES["web"], "healthcheck": check}
    source = json.dumps({**CONFIG, "services": {**SERVICES, "web": web}})
    plain = json.loads(color_file(source, mould()))["services"]["web-blue"]["healthcheck"]
    assert plain == {"test": ["CMD", "true"], "interval": "30s"}
    quick = json.loads(color_file(source, replace(mould(), quick=True)))["services"]["web-blue"]
    assert quick["healthcheck"]["start_interval"] == "2s"


def test_a_standby_waits_for_nothing_that_takes_work_and_what_is_asked_for_the_others() -> None:
    needs = {"jobs": {"condition": "service_started"}}
    web = {**SERVICES["web"], "depends_on": needs}
    source = json.dumps({**CONFIG, "services": {**SERVICES, "web": web}})
    found = json.loads(color_file(source, mould()))["services"]["web-blue"]["depends_on"]
    assert set(found) == {"api-blue"}
    circle = {**SERVICES["api"], "depends_on": {"web": {"condition": "service_started"}}}
    source = json.dumps({**CONFIG, "services": {**SERVICES, "web": web, "api": circle}})
    assert "depends_on" not in json.loads(color_file(source, mould()))["services"]["web-blue"]


def test_what_shared_services_mount_of_the_checkout_goes_along_unless_it_is_written() -> None:
    paths = {"init.sql": False, "pgdata": False, "conf": True}
    mounts = [
        {"type": "bind", "source": f"{FOLDER}/{path}", "target": f"/{path}", "read_only": read}
        for path, read in paths.items()
    ]
    away = {"type": "bind", "source": "/etc/localtime", "target": "/etc/localtime"}
    db = {"image": "postgres:17", "volumes": [*mounts, away]}
    web = {**SERVICES["web"], "volumes": [mounts[0]]}
    source = json.dumps({**CONFIG, "services": {**SERVICES, "db": db, "web": web}})
    found = mounted(source, adopted())
    assert found["db"] == [("init.sql", True), ("pgdata", False), ("conf", True)]
    assert "web" not in found


def test_what_has_never_run_is_started_from_a_file_without_what_rotates() -> None:
    db = {
        "image": "postgres:17",
        "depends_on": {"web": {"condition": "service_started"}},
        "volumes": [
            {"type": "bind", "source": f"{FOLDER}/init.sql", "target": "/init.sql"},
            {"type": "volume", "source": "uploads", "target": "/data"},
        ],
    }
    source = json.dumps({**CONFIG, "services": {**SERVICES, "db": db}})
    made_ = json.loads(own_file(source, adopted(there="/opt/shop")))
    assert set(made_["services"]) == {"db", "nginx"}
    assert "depends_on" not in made_["services"]["db"]
    sources = [each["source"] for each in made_["services"]["db"]["volumes"]]
    assert sources == ["/opt/shop/init.sql", "uploads"]
    sent = json.loads(own_file(source, adopted(there="/opt/shop"), ("init.sql",)))
    sources = [each["source"] for each in sent["services"]["db"]["volumes"]]
    assert sources == ["./files/init.sql", "uploads"]
    assert not [key for key in made_ if key.startswith("x-")]
