"""What of a live color is replaced where some services are named, and what its release is."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pytest

from cyan.adopted import AdoptedSettings
from cyan.application.partial import blended, replaced, staying
from cyan.errors import UsageError

ADOPTED = AdoptedSettings.model_validate(
    {
        "project": "shop",
        "services": {
            "web": "web",
            "api": "web",
            "edge": "web",
            "side": "web",
            "migrate": "once",
            "db": "shared",
        },
        "routes": [{"service": "web", "port": 8000, "published": 8080}],
    }
)
STARTED = {"condition": "service_started", "required": True}


def services(**tags: str) -> dict[str, Any]:
    """What Compose resolves: edge asks web, which asks api; side lives in the network of api."""
    made: dict[str, Any] = {
        name: {"image": f"shop/{name}:{tags.get(name, 'v1')}"}
        for name in ("web", "api", "edge", "side", "migrate")
    }
    made["edge"]["depends_on"] = {"web": STARTED}
    made["web"]["depends_on"] = {"api": STARTED}
    made["side"]["network_mode"] = "service:api"
    return made


def source(made: dict[str, Any], **more: Any) -> str:
    return json.dumps({"name": "shop", "services": made, **more})


@pytest.mark.parametrize(
    ("tags", "named", "wanted"),
    [
        ({"web": "v2"}, ("web",), {"web"}),
        ({"web": "v2", "edge": "v2"}, ("web",), {"web", "edge"}),
        ({"web": "v2", "api": "v2"}, ("web",), {"web"}),  # whom it asks stays
        ({"web": "v2", "api": "v2"}, ("api",), {"api", "web", "side"}),
        ({"edge": "v2", "api": "v2"}, ("api",), {"api", "edge", "side"}),  # it asks who asks it
        ({}, ("edge",), {"edge"}),  # which was named, though nothing of it differs
        ({"migrate": "v2", "web": "v2"}, ("web",), {"web"}),
    ],
)
def test_who_depends_on_what_is_named_is_replaced_where_it_differs(
    tags: dict[str, str], named: tuple[str, ...], wanted: set[str]
) -> None:
    assert replaced(source(services(**tags)), source(services()), named, ADOPTED) == wanted


def test_compose_says_who_is_restarted_with_what_it_depends_on() -> None:
    made = services(web="v2")
    made["edge"]["depends_on"]["web"] = {**STARTED, "restart": True}
    before = services()
    before["edge"]["depends_on"]["web"] = {**STARTED, "restart": True}
    assert replaced(source(made), source(before), ("web",), ADOPTED) == {"web", "edge"}


def test_a_file_with_another_service_is_no_part_of_what_is_live() -> None:
    before = services()
    del before["side"]
    with pytest.raises(UsageError, match="what is live has no side"):
        replaced(source(services()), source(before), ("web",), ADOPTED)


def test_the_release_is_made_from_what_is_new_and_what_is_live() -> None:
    new = source(services(web="v2", api="v2"), volumes={"new": {}})
    live = source(services(), volumes={"old": {}})
    made = json.loads(blended(new, live, ("web",)))
    tags = {name: each["image"].partition(":")[2] for name, each in made["services"].items()}
    assert tags == {"web": "v2", "api": "v1", "edge": "v1", "side": "v1", "migrate": "v1"}
    assert set(made["volumes"]) == {"new", "old"}


def test_what_stays_is_to_the_letter_what_its_container_was_made_from() -> None:
    sent = {"type": "bind", "source": "./files/shop.conf", "target": "/etc/shop.conf"}
    there = {"type": "bind", "source": "/etc/ssl", "target": "/etc/ssl"}
    live: dict[str, dict[str, Any]] = {
        "web-blue": {"image": "web:v1", "labels": {"cyan.release": "r1"}},
        "api-blue": {"image": "api:v1", "labels": {"cyan.release": "r1"}, "volumes": [sent, there]},
    }
    new = {name: {"image": "new", "labels": {"cyan.release": "r2"}} for name in live}
    folder = PurePosixPath("/srv/shop/releases/r1")
    made = json.loads(staying(source(new), source(live), ("web-blue",), folder))["services"]
    assert made["web-blue"] == new["web-blue"]
    kept = {**sent, "source": "/srv/shop/releases/r1/files/shop.conf"}
    assert made["api-blue"] == {**live["api-blue"], "volumes": [kept, there]}
