"""A swarm of three nodes: an application that knows nothing of cyan, on all of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.conftest import SHIFT
from tests.lab.engines import PASSWORD, USER, registry
from tests.lab.harness import until
from tests.lab.spreads import APP, PORT, Spread, live, spread_over
from tests.lab.visitors import visitors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

STORE = 15400 + SHIFT


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spread]:
    with spread_over(tmp_path_factory.mktemp("spread") / "spread") as app:
        yield app


def test_it_is_spread_rotated_and_rolled_back_and_nobody_notices(spread: Spread) -> None:
    with spread.visited() as seen:
        spread.cyan("deploy", "--version", "v2")
        spread.cyan("deploy", "--version", "v3")
        said = spread.cyan("rollback").stdout
        spread.cyan("cleanup")
        spread.cyan("deploy", "--version", "v1")
    assert seen.versions == {"v1", "v2", "v3"}
    assert "live: v2" in said
    color, version = live(spread)
    assert version == "v1"
    assert list(spread.places(color).values()) == [1, 1, 1]
    services = spread.node(1, "service", "ls", "--format", "{{.Name}} {{.Replicas}}")
    found = dict(line.split(" ", 1) for line in services.splitlines())
    other = {"blue": "green", "green": "blue"}[color]
    assert found[f"{APP}-{color}_worker-{color}"] == "2/2"  # those of the live color only work
    assert found[f"{APP}-{other}_worker-{other}"] == "0/0"
    assert not [name for name in found if "migrate" in name]  # is a container, and has ended


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--version", "v2", "--env", "LAME=2"),
            "a replica answers 503 ({app}-{color}_web-{color}.2, ",
        ),
        (("--version", "v2", "--rehearse", "never-healthy"), "web ended and was restarted"),
        (("--version", "alone"), "is not on every node of the swarm"),
        (("--version", "silent"), "no command specified"),
        (("--version", "v2", "--env", "MIGRATE=3"), "migrate exited with code 3"),
    ],
)
def test_a_release_that_fails_on_one_of_its_nodes_is_undone_on_all(
    spread: Spread, words: tuple[str, ...], says: str
) -> None:
    before = live(spread)
    standby = {"blue": "green", "green": "blue"}[before[0]]
    if "alone" in words:
        spread.run("docker", "tag", "shop/spread:v1", "shop/spread:alone")
        spread.load("shop/spread:alone", 1, 3)
    if "silent" in words:  # has no command of its own
        spread.run("docker", "tag", "cyan-demo/site:v1", "shop/spread:silent")
        spread.load("shop/spread:silent", 1, 2, 3)
    with spread.visited():
        done = spread.cyan("deploy", *words, check=False)
    assert done.returncode == 1
    assert says.format(app=APP, color=standby) in done.stderr
    assert f"serving: {' '.join(before)}, untouched" in done.stderr
    assert live(spread) == before
    if "alone" not in words:  # of which nothing was begun
        assert spread.stacks() == {f"{APP}-{before[0]}"}


@pytest.mark.parametrize("step", ["preflight", "fetch", "start", "healthy", "switch", "drain"])
@pytest.mark.parametrize("then", [("deploy", "--version", "v3"), ("deploy", "--resume")])
def test_a_deployer_that_is_killed_leaves_what_the_next_command_mends(
    spread: Spread, step: str, then: tuple[str, ...]
) -> None:
    with spread.visited():
        words = (sys.executable, "-m", "cyan", "deploy", "--version", "v2")
        with subprocess.Popen(
            words, cwd=spread.folder, stdout=subprocess.PIPE, text=True
        ) as deployer:
            assert deployer.stdout is not None
            assert any(step in line for line in deployer.stdout)
            deployer.kill()
        spread.cyan(*then)
    assert live(spread)[1] == ("v2" if "--resume" in then else "v3")
    assert "drift" not in spread.cyan("status").stdout


def test_what_a_shared_service_mounts_of_the_checkout_is_on_a_host_that_never_had_it(
    spread: Spread,
) -> None:
    db = spread.node(1, "ps", "-q", "--filter", "name=^cyan-foreign-spread-db-1$").strip()
    assert spread.node(1, "exec", db, "cat", "/etc/greeting.txt") == "a shop\n"


def test_a_node_that_is_lost_costs_no_more_than_the_writes_that_were_on_their_way_to_it(
    spread: Spread,
) -> None:
    spread.cyan("deploy", "--version", "v1")
    node = f"{APP}-swarm2"
    with visitors(PORT, orders=True, number=20, address=spread.address) as seen:
        time.sleep(2)
        spread.run("docker", "network", "disconnect", "bridge", node)
        cut = time.time()
        try:
            time.sleep(20)
            kept = spread.cyan("deploy", "--version", "v2", check=False)
        finally:
            spread.run("docker", "network", "connect", "bridge", node)
            until(lambda: spread.ready() == Counter({"Ready": 3}), "the node is back", 60)
            time.sleep(10)  # until it knows again where the others are
    told = [each.split(" ", 1) for each in (*seen.failures, *seen.on_kept)]
    late = [text for at, text in told if float(at) > cut + 5 and "504" not in text]
    assert late == []
    hung = [text for _, text in told if "timed out" in text]
    assert hung == []
    first = [text for at, text in told if float(at) <= cut + 5]
    assert len(first) <= 20  # one a visitor
    assert seen.answers > 500
    assert kept.returncode == 0, kept.stderr


def test_images_come_to_every_node_by_their_digest_from_a_registry_that_wants_a_log_in(
    spread: Spread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = "{{(index .IPAM.Config 0).Gateway}}"
    here = spread.run("docker", "network", "inspect", "bridge", "--format", form).stdout.strip()
    there = f"{here}:{STORE}"
    monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)
    with registry(tmp_path, f"127.0.0.1:{STORE}", f":{STORE}") as store, asking(spread, there):
        for version in ("r1", "r2"):
            spread.run("docker", "tag", "shop/spread:v1", f"{store.address}/spread:{version}")
            store.push(f"{store.address}/spread:{version}")
        for number in (1, 2):
            trusting(spread, number, there)
        before = live(spread)
        refused = spread.cyan("deploy", "--version", "r1", check=False)
        assert refused.returncode == 1
        assert "is not on every node of the swarm" in refused.stderr
        assert spread.node(3, "info", "--format", "{{.Name}}").strip() in refused.stderr
        assert live(spread) == before
        trusting(spread, 3, there)
        with spread.visited():
            spread.cyan("deploy", "--version", "r2")
    color, version = live(spread)
    assert version == "r2"
    form = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    runs = spread.node(1, "service", "inspect", "--format", form, f"{APP}-{color}_web-{color}")
    assert runs.startswith(f"{there}/spread@sha256:")
    assert list(spread.places(color).values()) == [1, 1, 1]
    spread.cyan("deploy", "--version", "v1")


@contextmanager
def asking(app: Spread, registry: str) -> Iterator[None]:
    """With its images asked of a registry."""
    path, env = app.folder / "invoke.yaml", app.folder / ".env"
    texts = path.read_text(), env.read_text()
    made = yaml.safe_load(texts[0])
    login = {"registry": registry, "user": USER, "password_environment": "REGISTRY_PASSWORD"}
    made["cyan"]["images"] = {"login": login}
    path.write_text(yaml.safe_dump(made))
    env.write_text(f"{texts[1]}IMAGE={registry}/spread\n")
    try:
        yield
    finally:
        path.write_text(texts[0])
        env.write_text(texts[1])


def trusting(app: Spread, number: int, registry: str) -> None:
    """Have a node ask a registry that has no certificate."""
    trusted = json.dumps({"insecure-registries": [registry]})
    script = f"mkdir -p /etc/docker && echo '{trusted}' >/etc/docker/daemon.json && kill -HUP 1"
    app.run("docker", "exec", f"{APP}-swarm{number}", "sh", "-c", script)
    time.sleep(1)


@contextmanager
def cut_off(app: Spread, nodes: list[str], *, back: bool = True) -> Iterator[None]:
    """With the network of these nodes cut; in the end all are `back`."""
    for node in nodes:
        app.run("docker", "network", "disconnect", "bridge", node)
    time.sleep(20)  # until the others have noticed
    try:
        yield
    finally:
        for node in nodes if back else ():
            app.run("docker", "network", "connect", "bridge", node)
            until(lambda: app.ready() == Counter({"Ready": 3}), "all nodes are back", 90)
            time.sleep(10)  # until they know again where the others are


def test_it_proves_its_own_deploys(spread: Spread) -> None:
    done = spread.cyan("verify-zero-downtime", "--quick", "--versions", "v1,v2", check=False)
    (newest,) = sorted(spread.folder.glob("reports/*-verify/verdict.json"))[-1:]
    verdict = json.loads(newest.read_text())
    assert (done.returncode, verdict["verdict"], verdict["drops"]) == (0, "pass", 0), done.stdout
    assert "on client, proxy and application" in verdict["sentence"]  # of all replicas


def test_its_logs_are_those_of_all_replicas_and_giving_up_leaves_its_data(spread: Spread) -> None:
    told = spread.cyan("logs").stdout
    assert all(f"web-{live(spread)[0]}.{number}" in told for number in (1, 2, 3))
    spread.cyan("init", "--undo", "--yes")
    assert spread.stacks() == set()
    assert "cyan-foreign-spread_data" in spread.node(1, "volume", "ls", "--format", "{{.Name}}")


def test_one_of_three_managers_may_be_lost_and_without_two_it_is_told_what_serves(
    spread: Spread,
) -> None:
    """The last one here: who was cut off may come back under another address."""
    spread.cyan("provision")
    spread.cyan("deploy", "--version", "v1")
    others = [f"{APP}-swarm{number}" for number in (2, 3)]
    names = [spread.node(number, "info", "--format", "{{.Name}}").strip() for number in (2, 3)]
    spread.node(1, "node", "promote", *names)
    with cut_off(spread, others[1:]):
        spread.cyan("deploy", "--version", "v2")
    color, version = live(spread)
    assert version == "v2"
    with cut_off(spread, others, back=False):
        failed = spread.cyan("deploy", "--version", "v3", check=False)
        asked = spread.run("curl", "-sf", "-m", "10", f"http://{spread.address}:{PORT}/").stdout
    assert failed.returncode == 1
    assert "the swarm has no leader" in failed.stderr
    assert f"serving: {color}, as far as the host's marker says" in failed.stderr
    assert asked.startswith("a shop")
