"""Hosts that act as one: all are switched or none, whatever fails and whoever is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cyan.rollout import plan as planning
from cyan.rollout.planned import Request
from tests.conftest import PROJECT
from tests.lab.fleets import Fleet, fleet
from tests.lab.test_killed import SETTINGS, kill
from tests.rollout.worlds import V1_ON_BLUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def three(caddy_lab: Lab) -> Iterator[Fleet]:
    caddy_lab.live("v1")
    with fleet(caddy_lab) as made:
        yield made


def test_three_hosts_are_deployed_and_rolled_back_as_one_and_no_user_of_any_notices(
    three: Fleet,
) -> None:
    three.live("v1")
    with three.load() as users:
        done = three.lab.cyan("deploy", "--version", "v2")
        assert three.versions() == {"v2"}
        back = three.lab.cyan("rollback")
        assert three.versions() == {"v1"}
    for client in users:
        client.saw_no_drop()
    assert re.search(r"live: v2 on 3 hosts, switched within [0-9.]+ ms", done.stdout)
    assert "live: v1 on 3 hosts" in back.stdout
    runs = {world.journal[-1].run for world in three.worlds().values()}
    assert len(runs) == 1
    (run,) = runs
    proofs = [*three.lab.folder.glob(f"reports/{run}-*-deploy/proof.json")]
    told = [json.loads(path.read_text())["fleet"] for path in proofs]
    assert len(told) == 3
    assert all({*each["renamed_at"]} == {*three.addresses} for each in told)
    assert "3 hosts were switched within" in proofs[0].with_name("report.html").read_text()
    three.are_clean()


@pytest.mark.nightly
@pytest.mark.alone
def test_a_verification_has_users_on_every_host_and_finds_what_one_of_them_drops(
    three: Fleet,
) -> None:
    three.live("v1")
    told = three.lab.cyan("verify-zero-downtime", "--quick").stdout
    assert re.search(r"requests to 3 hosts, which switched within [0-9.]+ ms", told)
    (whole,) = three.lab.folder.glob("reports/*-fleet/verdict.json")
    kept = json.loads(whole.read_text())
    assert (kept["verdict"], kept["drops"]) == ("pass", 0)
    assert [each["host"] for each in kept["hosts"]] == [*three.addresses]
    assert all(each["requests"] > 1000 for each in kept["hosts"])
    assert {*kept["acts"][1]["versions"].values()} == {"v2"}
    words = ("verify-zero-downtime", "--quick")
    with three.lab.begun(*words, reaching="prune") as process:
        color = three.lab.answering(three.second)[0]
        killed = f"{three.lab.app}-{color}-platform-1"
        inside = ["docker", "exec", three.nodes[three.second], "docker", "kill", killed]
        subprocess.run(inside, check=True, capture_output=True)
        said, _ = process.communicate(timeout=400)
    assert process.returncode == 1, said
    newest = max(three.lab.folder.glob("reports/*-fleet/verdict.json"))
    found = {each["host"]: each for each in json.loads(newest.read_text())["hosts"]}
    assert found[three.second]["verdict"] == "fail", said
    assert found[three.second]["drops"] > 0
    others = [found[each] for each in three.addresses if each != three.second]
    assert [each["drops"] for each in others] == [0, 0]


def test_what_fails_on_one_host_before_the_switch_is_undone_on_all(three: Fleet) -> None:
    three.live("v1")
    before = {each: world.containers for each, world in three.worlds().items()}
    fails = {"after": "smoke", "run": f'case "$CYAN_HOST" in *{three.second}*) exit 1;; esac'}
    with three.load() as users, three.lab.configured(hooks=[fails]):
        done = three.lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "the hook after smoke failed" in done.stderr
    assert f"{three.second}: blue v1" in done.stderr or f"{three.second}: green v1" in done.stderr
    assert f"called off: {three.second} failed at smoke" in done.stdout
    for client in users:
        client.saw_no_drop()
        assert {version for _, _, version in client.answers} == {"v1"}
    assert {each: world.containers for each, world in three.worlds().items()} == before
    three.are_clean()


@pytest.mark.nightly
def test_a_release_that_goes_bad_on_one_host_is_switched_back_on_all(three: Fleet) -> None:
    three.live("v1")
    app, second = three.lab.app, three.second
    color = three.worlds()[second].standby
    kill = f"docker exec {three.nodes[second]} docker kill {app}-{color}-platform-1"
    begun = {"before": "bake", "run": f'case "$CYAN_HOST" in *{second}*) {kill};; esac'}
    with three.lab.configured(hooks=[begun], bake={"seconds": 6}):
        done = three.lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert f"{second} went bad at bake" in done.stdout
    assert three.versions() == {"v1"}
    for world in three.worlds().values():
        assert "switch-back" in {entry.step for entry in world.journal}
    three.are_clean()


@pytest.mark.nightly
def test_a_host_that_does_not_answer_refuses_the_deploy_by_name_and_may_be_left_out(
    three: Fleet,
) -> None:
    three.live("v1")
    second = three.second
    with three.cut_off(second):
        begun = len(three.lab.journal())
        refused = three.lab.cyan("deploy", "--version", "v2", check=False)
        assert refused.returncode == 1
        assert f"{second} cannot be reached, so deploy v2 was begun on no host" in refused.stderr
        assert f"inv deploy --version v2 --without {second}" in refused.stderr
        assert len(three.lab.journal()) == begun
        three.lab.cyan("deploy", "--version", "v2", "--without", second)
    assert [three.lab.answering(each)[1] for each in three.addresses] == ["v2", "v1", "v2"]
    assert "the hosts differ:" in three.lab.cyan("status").stdout
    refused = three.lab.cyan("rollback", check=False)
    assert "the hosts differ, so rollback was begun on none of them" in refused.stderr
    three.lab.cyan("deploy", "--version", "v2")
    assert three.versions() == {"v2"}
    three.are_clean()


@pytest.mark.nightly
def test_a_host_that_is_lost_after_its_switch_goes_on_serving_and_no_old_color_is_stopped(
    three: Fleet,
) -> None:
    three.live("v1")
    second = three.second
    lost = {
        "before": "verify",
        "run": f'case "$CYAN_HOST" in *{second}*) {three.cut(second)};; esac',
    }
    with three.load() as users:
        with three.lab.configured(hooks=[lost], warm={"services": "none"}):
            done = three.lab.cyan("deploy", "--version", "v2", check=False)
        assert done.returncode == 1
        assert f"deploy v2 is committed, but {second} did not follow" in done.stderr
        assert three.versions() == {"v2"}
        assert all(world.of(world.standby) for world in three.worlds(but=second).values())
        three.reachable(second)
        told = three.lab.cyan("rollback").stdout
        assert "deploy of v2 (" in told
        assert "was committed, and is finished first" in told
    assert three.versions() == {"v1"}
    for client in users:
        client.saw_no_drop()
    three.are_clean()


def after_a_kill(three: Fleet, point: str, *words: str) -> None:
    """Run a command whose deployer dies, or loses the second host, at a point of the commit."""
    script = str(Path(__file__).parent / "fleet_killed.py")
    cut = three.cut(three.second) if point == "lost" else ""
    done = subprocess.run(
        [sys.executable, script, point, cut, *words],
        cwd=three.lab.folder,
        env={**os.environ, "INVOKE_CYAN_BAKE_SECONDS": "0.3", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == (1 if point == "lost" else -signal.SIGKILL), done.stdout + done.stderr


POINTS = ("before", "recorded", "between", "all", "lost")
NEXT = {
    "resume": ("deploy", "--resume"),
    "abort": ("deploy", "--abort"),
    "other": ("deploy", "--version", "v3"),
    "rollback": ("rollback",),
}
EVERY_DAY = {("between", "resume")}
CASES = [
    pytest.param(*case, marks=() if case in EVERY_DAY else pytest.mark.nightly)
    for case in product(POINTS, NEXT)
    if case != ("before", "rollback")  # nothing was decided: it goes to what was live before v1
]


@pytest.mark.parametrize(("point", "then"), CASES)
def test_around_the_commit_none_or_all_of_the_hosts_are_switched_by_the_next_command(
    three: Fleet, point: str, then: str
) -> None:
    three.live("v1")
    with three.load() as users:
        after_a_kill(three, point, "deploy", "--version", "v2")
        switched = sum(three.lab.answering(each)[1] == "v2" for each in three.addresses)
        assert switched == {"before": 0, "recorded": 0, "between": 1, "all": 3, "lost": 2}[point]
        three.reachable(three.second)
        done = three.lab.cyan(*NEXT[then])
    forward = {"resume": "v2", "abort": "v1", "other": "v3", "rollback": "v1"}
    assert three.versions() == {forward[then]}, done.stdout
    for client in users:
        client.saw_no_drop()
    three.are_clean()


PLAN = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, SETTINGS, "")
STEPS = [(step.kind.value, when) for step in PLAN.steps for when in ("before", "after")]
THEN = {name: NEXT[name] for name in ("resume", "abort", "other")}


def then_all_or_none(three: Fleet, name: str) -> None:
    """Give the next command: none of the hosts is switched to v2, or all of them are."""
    three.reachable(three.second)
    three.lab.cyan(*NEXT[name])
    assert three.versions() in {"resume": [{"v2"}], "abort": [{"v1"}], "other": [{"v3"}]}[name]
    three.are_clean()


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("step", "when", "then"), [(*at, then) for at, then in zip(STEPS, cycle(THEN), strict=False)]
)
def test_a_deployer_that_is_killed_at_any_step_leaves_none_or_all_of_the_hosts_switched(
    three: Fleet, step: str, when: str, then: str
) -> None:
    three.live("v1")
    with three.load() as users:
        kill(three.lab, step, when, "deploy", "--version", "v2")
        then_all_or_none(three, then)
    for client in users:
        client.saw_no_drop()


@pytest.mark.nightly
@pytest.mark.parametrize(("step", "when"), STEPS)
def test_a_host_that_is_cut_off_at_any_step_leaves_none_or_all_of_the_others_switched(
    three: Fleet, step: str, when: str
) -> None:
    three.live("v1")
    second = three.second
    cut = {when: step, "run": f'case "$CYAN_HOST" in *{second}*) {three.cut(second)};; esac'}
    with three.load() as users:
        with three.lab.configured(hooks=[cut]):
            done = three.lab.cyan("deploy", "--version", "v2", check=False)
        others = {three.lab.answering(each)[1] for each in three.addresses if each != second}
        assert len(others) == 1
        # its very last step is done, or what follows it is not missed
        assert done.returncode == 1 or step == "prune"
        three.reachable(second)
        three.lab.cyan("deploy", "--version", "v3")
    assert three.versions() == {"v3"}
    for client in users:
        client.saw_no_drop()
    three.are_clean()
