"""A swarm with two ways in: a proxy on each of two managers, one application on three nodes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from cyan.lab.nodes import SSHD
from tests.lab.spreads import APP, PORT, Spread, live, spread_over
from tests.lab.visitors import visitors

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.nightly]


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spread]:
    with spread_over(tmp_path_factory.mktemp("spread") / "spread", managers=2) as app:
        app.cyan("deploy", "--version", "v2")  # so that there is something to go back to
        yield app


@contextmanager
def visited(app: Spread) -> Iterator[set[str]]:
    """With visitors of both hosts, of whom nothing fails; which versions they saw."""
    versions: set[str] = set()
    with ExitStack() as stack:
        seen = [stack.enter_context(app.visited(4, each)) for each in app.addresses]
        yield versions
        for each in seen:
            versions |= each.versions


@contextmanager
def until_it_says(app: Spread, what: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command that has said so much; it has ended when the block has."""
    with subprocess.Popen(
        (sys.executable, "-m", "cyan", *words),
        cwd=app.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(what in line for line in process.stdout), what
        yield process


def test_both_are_switched_together_and_nobody_notices(spread: Spread) -> None:
    with visited(spread) as versions:
        said = spread.cyan("deploy", "--version", "v2").stdout
        spread.cyan("rollback")
        spread.cyan("deploy", "--version", "v3")
        spread.cyan("cleanup")
        spread.cyan("deploy", "--version", "v1")
    assert versions == {"v1", "v2", "v3"}
    assert "live: v2 on 2 hosts, switched within" in said
    color, version = live(spread)
    assert version == "v1"
    assert sum(spread.places(color).values()) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--rehearse", "fails-smoke"), "failed at smoke"),
        (("--env", "MIGRATE=3"), "migrate exited with code 3"),
    ],
)
def test_what_fails_by_either_is_undone_once_and_neither_was_switched(
    spread: Spread, words: tuple[str, ...], says: str
) -> None:
    before = live(spread)
    with visited(spread):
        done = spread.cyan("deploy", "--version", "v2", *words, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert live(spread) == before
    assert spread.stacks() == {f"{APP}-{before[0]}"}


@pytest.mark.parametrize("step", ["fetch", "start", "healthy", "switch", "drain"])
@pytest.mark.parametrize("then", ["--resume", "--abort", "rollback"])
def test_a_deployer_that_is_killed_leaves_both_with_one_version(
    spread: Spread, step: str, then: str
) -> None:
    before = live(spread)[1]
    version = {"v1": "v2", "v2": "v3", "v3": "v1"}[before]
    words = ("rollback",) if then == "rollback" else ("deploy", then)
    with visited(spread):
        with until_it_says(spread, step, "deploy", "--version", version) as deployer:
            deployer.kill()
        spread.cyan(*words)
    wanted = {"--resume": {version}, "--abort": {before}}.get(then)
    assert wanted is None or {live(spread)[1]} == wanted
    assert "drift" not in spread.cyan("status").stdout


def test_one_may_be_left_out_once_and_follows_before_what_it_leads_to_is_replaced(
    spread: Spread,
) -> None:
    spread.cyan("deploy", "--version", "v1")
    other = spread.addresses[1]
    with visited(spread) as versions:
        spread.cyan("deploy", "--version", "v2", "--without", other)
        again = spread.cyan("deploy", "--version", "v3", "--without", other, check=False)
        kept = spread.cyan("cleanup", check=False)
        said = spread.cyan("deploy", "--version", "v3").stdout
    assert (again.returncode, kept.returncode) == (1, 1)
    assert f"{other} was not taken along by the last switch either" in again.stderr
    assert "leads its users to" in kept.stderr
    assert f"{other} first leads to" in said
    assert "v2" in versions
    assert live(spread)[1] == "v3"
    alone = spread.cyan("deploy", "--version", "v1", "--host", other, check=False)
    assert alone.returncode == 2
    assert "begins and ends what runs on this swarm" in alone.stderr


@pytest.mark.parametrize("step", ["healthy", "switch"])
def test_one_that_is_lost_is_served_by_what_it_has_and_brought_along_later(
    spread: Spread, step: str
) -> None:
    spread.cyan("deploy", "--version", "v1")
    other, node = spread.addresses[1], f"{APP}-swarm2"
    with visited(spread):
        with until_it_says(spread, step, "deploy", "--version", "v2") as deployer:
            spread.run("docker", "exec", node, "pkill", "sshd", check=False)
            assert deployer.stdout is not None
            said = deployer.stdout.read()
        assert deployer.returncode == 1, said
        refused = spread.cyan("deploy", "--version", "v3", "--without", other, check=False)
        spread.run("docker", "exec", node, *f"/usr/sbin/{SSHD}".split())
        spread.cyan("deploy", "--version", "v3")
    committed = "is committed" in said
    assert committed or step == "healthy", said
    assert (refused.returncode == 1) == committed, refused.stderr
    assert live(spread)[1] == "v3"


def test_a_color_may_have_a_node_of_its_own(spread: Spread) -> None:
    path = spread.folder / "invoke.yaml"
    text = path.read_text()
    made = yaml.safe_load(text)
    names = [spread.node(number, "info", "--format", "{{.Name}}").strip() for number in (2, 3)]
    made["cyan"]["colors"] = {"blue": {"host": names[0]}, "green": {"host": names[1]}}
    path.write_text(yaml.safe_dump(made))
    try:
        with visited(spread):
            for version in ("v1", "v2"):
                spread.cyan("deploy", "--version", version)
                color = live(spread)[0]
                assert spread.places(color) == {names[color == "green"]: 3}
            spread.cyan("rollback")
        standby = {"blue": "green", "green": "blue"}[live(spread)[0]]
        made["cyan"]["colors"][standby] = {"host": "nowhere"}
        path.write_text(yaml.safe_dump(made))
        refused = spread.cyan("deploy", "--version", "v3", check=False)
        assert refused.returncode == 1
        assert f"{standby} runs on nowhere, which is no node of the swarm" in refused.stderr
    finally:
        path.write_text(text)


def test_a_release_that_goes_bad_takes_both_back_and_is_gone(spread: Spread) -> None:
    before = live(spread)
    standby = {"blue": "green", "green": "blue"}[before[0]]
    path = spread.folder / "invoke.yaml"
    text = path.read_text()
    made = yaml.safe_load(text)
    ends = f"docker service scale -d {APP}-{standby}_web-{standby}=0 >/dev/null 2>&1; true"
    made["cyan"]["hooks"] = [{"after": "switch", "run": ends, "where": "host"}]
    path.write_text(yaml.safe_dump(made))
    with ExitStack() as stack:
        seen = [
            stack.enter_context(visitors(PORT, orders=True, number=3, address=each))
            for each in spread.addresses
        ]
        time.sleep(1)
        try:
            failed = spread.cyan("deploy", "--version", "v2", check=False)
        finally:
            path.write_text(text)
        gone = [each.answers for each in seen]
        time.sleep(12)  # what hung at the release that went bad has ended
    assert failed.returncode == 1
    assert "went bad" in failed.stderr
    assert live(spread) == before
    assert spread.stacks() == {f"{APP}-{before[0]}"}
    assert all(each.answers > then + 20 for each, then in zip(seen, gone, strict=True))


def test_it_proves_its_own_deploys(spread: Spread) -> None:
    done = spread.cyan("verify-zero-downtime", "--quick", "--versions", "v1,v2", check=False)
    (newest,) = sorted(spread.folder.glob("reports/*-fleet/verdict.json"))[-1:]
    verdict = json.loads(newest.read_text())
    assert (done.returncode, verdict["verdict"], verdict["drops"]) == (0, "pass", 0), done.stdout
    assert "on client, proxy and application" in verdict["sentence"]  # of all replicas


def test_giving_up_removes_it_from_both_and_leaves_its_data(spread: Spread) -> None:
    with spread.visited(4):  # of the first, while the other one leaves
        spread.cyan("reset", "--yes", "--host", spread.addresses[1])
    assert spread.stacks()
    spread.cyan("init", "--undo", "--yes")
    assert spread.stacks() == set()
    assert "cyan-foreign-spread_data" in spread.node(1, "volume", "ls", "--format", "{{.Name}}")
    for number in (1, 2):
        left = spread.node(number, "ps", "-a", "--format", "{{.Names}}").split()
        assert left == ([] if number == 2 else ["cyan-foreign-spread-db-1"])
