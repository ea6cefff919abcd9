"""What the settings of any application must say, and what they may not name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyan.errors import UsageError
from cyan.settings import load
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
        ({"proxy": "caddy"}, "cyan.proxy names 'caddy', which cyan.stateful does not have"),
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
