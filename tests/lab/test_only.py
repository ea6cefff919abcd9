"""Only what changed: services of the live color are replaced in their place, others run on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.foreign_apps import PORT, Foreign, foreign, not_the_proxys_own, taken_over
from tests.lab.harness import until
from tests.lab.visitors import visitors

__all__ = ["foreign"]

pytestmark = pytest.mark.lab

STEPS = ("preflight", "fetch", "hold", "stop", "start", "healthy", "switch", "verify", "prune")
NEXT = {
    "whole": ("deploy", "--version", "v2"),
    "same": ("deploy", "--version", "v2", "--only", "web"),
    "resume": ("deploy", "--resume"),
    "abort": ("deploy", "--abort"),
    "rollback": ("rollback",),
}


@pytest.fixture
def shop(foreign: Foreign) -> Foreign:
    """Django with a worker and a scheduler, adopted; v1 is live in blue."""
    foreign.adopt()
    path = foreign.folder / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    made["cyan"] |= {"hold": {"timeout": 6}, "bake": {"seconds": 0.3}}
    path.write_text(yaml.safe_dump(made))
    taken_over(foreign, orders=foreign.name == "django")
    return foreign


EITHER = pytest.mark.parametrize(
    "foreign", ["django", "django@nginx", "django@newer"], indirect=True
)


def containers(app: Foreign) -> dict[str, Any]:
    """The live color's containers, by service."""
    (told,) = json.loads(app.cyan("status", "--json").stdout)["hosts"]
    assert told["drift"] == []
    return {each["service"]: each for each in told["colors"][told["live"]]["containers"]}


def ids(app: Foreign) -> dict[str, str]:
    return {name: each["id"] for name, each in containers(app).items()}


def versions(app: Foreign) -> dict[str, str]:
    """The version of each service of the live color, by its containers' own environment."""
    form = "{{range .Config.Env}}{{println .}}{{end}}"
    words = ("docker", "inspect", "--format", form)
    told = {name: app.run(*words, each).stdout for name, each in ids(app).items()}
    return {
        name: next(line for line in text.splitlines() if line.startswith("VERSION="))[8:]
        for name, text in told.items()
    }


@pytest.mark.parametrize("foreign", ["parts"], indirect=True)
def test_only_what_is_named_is_replaced(shop: Foreign) -> None:
    def refused(*words: str) -> str:
        done = shop.cyan("deploy", "--version", "v2", *words, check=False)
        assert done.returncode == 2
        return " ".join(done.stderr.split())

    assert "--only store is no service" in refused("--only", "store")
    assert "not --strategy colors" in refused("--only", "web", "--strategy", "colors")
    before, store = ids(shop), shop.database()
    with visitors(PORT, orders=False) as seen:
        shop.cyan("deploy", "--only", "web", "--version", "v2")
    assert (seen.failures, seen.on_kept) == ([], [])
    assert seen.versions == {"v1", "v2"}
    after = ids(shop)
    assert {name for name in after if after[name] != before[name]} == {"web"}
    assert shop.database() == store
    assert versions(shop) == {"web": "v2", "admin": "v1"}


@pytest.mark.nightly
@EITHER
def test_a_service_is_replaced_in_its_place_and_the_others_run_on(shop: Foreign) -> None:
    before = ids(shop)
    with visitors(PORT, orders=True) as seen:
        said = shop.cyan("deploy", "--only", "web", "--version", "v2").stdout
        after = ids(shop)
        worker = shop.cyan("deploy", "--only", "worker", "--version", "v2").stdout
    assert not_the_proxys_own(shop, (*seen.failures, *seen.on_kept)) == []
    assert seen.versions == {"v1", "v2"}
    assert "only web" in said
    assert "new requests wait" in said
    assert {name for name in after if after[name] != before[name]} == {"web"}
    assert "new requests wait" not in worker, "who takes work by itself is asked by nobody"
    assert versions(shop) == {"web": "v2", "worker": "v2", "beat": "v1"}
    until(lambda: {*seen.acknowledged} <= {*counted(shop)}, "each order is counted")
    assert {each for each, times in Counter(counted(shop)).items() if times > 1} == set()
    shop.cyan("rollback")
    assert versions(shop) == {"web": "v2", "worker": "v1", "beat": "v1"}, "the release before"
    shop.cyan("rollback")
    assert versions(shop) == {"web": "v2", "worker": "v2", "beat": "v1"}


def counted(app: Foreign) -> list[str]:
    return [line.split()[0] for line in app.text("/counted").splitlines()]


@pytest.mark.nightly
@EITHER
def test_what_is_never_healthy_makes_way_for_what_was_there(shop: Foreign) -> None:
    before = ids(shop)
    with visitors(PORT, orders=True) as seen:
        words = ("deploy", "--only", "web", "--version", "v2", "--rehearse", "never-healthy")
        done = shop.cyan(*words, check=False)
    assert done.returncode == 1
    assert "v1 (blue) again: what waited went to it" in " ".join(done.stderr.split())
    assert "Starting gunicorn" in done.stderr, "what the one that failed said is kept"
    assert not_the_proxys_own(shop, (*seen.failures, *seen.on_kept)) == []
    assert seen.versions == {"v1"}
    after = ids(shop)
    assert {name for name in after if after[name] != before[name]} == {"web"}
    assert versions(shop) == dict.fromkeys(("web", "worker", "beat"), "v1")
    shop.cyan("deploy", "--version", "v2")
    assert versions(shop) == dict.fromkeys(("web", "worker", "beat"), "v2")
    shop.cyan("rollback")
    assert versions(shop) == dict.fromkeys(("web", "worker", "beat"), "v1")


def kill(app: Foreign, step: str, when: str, *words: str) -> None:
    """Run a command until it kills itself."""
    script = str(Path(__file__).parent / "killed.py")
    done = subprocess.run(
        [sys.executable, script, step, when, *words],
        cwd=app.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


POINTS = list(product(STEPS, ("before", "after")))


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["django"], indirect=True)
@pytest.mark.parametrize("then", NEXT)
def test_killed_at_any_point_it_drops_nothing_and_the_next_command_ends_clean(
    shop: Foreign, then: str
) -> None:
    if then == "rollback":
        shop.cyan("deploy", "--version", "v2")  # else there is no release before
    for step, when in POINTS:
        was = shop.text().split()[-1]
        new = {"v1": "v2", "v2": "v1"}[was]
        words = ("deploy", "--only", "web", "--version", new)
        after = tuple(new if each == "v2" else each for each in NEXT[then])
        with visitors(PORT, orders=True) as seen:
            kill(shop, step, when, *words)
            time.sleep(1)
            shop.cyan(*after)
            now = shop.text().split()[-1]
        where = f"{step} {when}, then {then}"
        assert not_the_proxys_own(shop, (*seen.failures, *seen.on_kept)) == [], where
        told = containers(shop)
        assert all(each["up"] for each in told.values()), where
        assert then == "rollback" or now == (was if then == "abort" else new), where
