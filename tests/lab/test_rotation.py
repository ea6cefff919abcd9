"""Deploys and rollbacks in the real lab, watched by an independent client that never retries."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import product
from typing import Any

import httpx
import pytest

from tests.lab.harness import EVERYWHERE_AT_NIGHT, Lab, until

pytestmark = pytest.mark.lab


def other(color: str) -> str:
    return {"blue": "green", "green": "blue"}[color]


@EVERYWHERE_AT_NIGHT
def test_deploy_deploy_and_rollback_drop_nothing_and_answer_as_the_new_release(lab: Lab) -> None:
    lab.live("v1")
    with lab.load() as client:
        for version in ("v2", "v3"):
            lab.cyan("deploy", "--version", version)
            assert lab.answering()[1] == version
        lab.cyan("rollback")
        assert lab.answering()[1] == "v2"
    client.saw_no_drop()
    assert {version for _, _, version in client.answers} == {"v1", "v2", "v3"}


@EVERYWHERE_AT_NIGHT
def test_no_request_started_after_the_rename_is_answered_by_the_old_color(lab: Lab) -> None:
    lab.live("v1")
    with lab.load() as client:
        lab.cyan("deploy", "--version", "v2")
    switch = next(
        e for e in reversed(lab.journal()) if (e["step"], e["event"]) == ("switch", "done")
    )["detail"]
    after = [a for a in client.answers if a[0] > switch["renamed_at"] + 0.005]
    assert after
    assert {color for _, color, _ in after} == {switch["to"]}


@pytest.mark.nightly
def test_a_rollback_after_cleanup_deploys_the_previous_release_again(lab: Lab) -> None:
    lab.live("v1")
    lab.cyan("deploy", "--version", "v2")
    lab.cyan("cleanup")
    with lab.load() as client:
        lab.cyan("rollback")
    assert lab.answering()[1] == "v1"
    client.saw_no_drop()


@EVERYWHERE_AT_NIGHT
@pytest.mark.parametrize(
    ("fault", "within", "said"),
    [
        ("never-healthy", "5", "did not become healthy"),
        ("bad-smoke", "60", "fails smoke: GET /items: answered 500"),
        ("crash-after=0.1", "60", "platform"),
    ],
)
def test_a_release_that_fails_before_the_switch_leaves_the_live_color_untouched(
    lab: Lab, fault: str, within: str, said: str
) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    before = lab.containers(color)
    with lab.load() as client:
        done = lab.cyan(
            *("deploy", "--version", "v2", "--env", f"FAULT={fault}"),
            check=False,
            HEALTH_CHECK_TIMEOUT=within,
        )
    assert done.returncode == 1
    assert said in done.stderr
    assert f"serving: {color} v1, untouched" in " ".join(done.stderr.split())
    assert lab.containers(color) == before
    assert lab.containers(other(color)) == {}
    client.saw_no_drop()


@EVERYWHERE_AT_NIGHT
def test_a_release_that_dies_while_it_bakes_is_switched_away_from(lab: Lab) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    words = ("deploy", "--version", "v2")
    with lab.begun(*words, reaching="bake", INVOKE_CYAN_BAKE_SECONDS="60") as process:
        lab.kills(other(color), "platform")
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "went bad after the switch: platform exited" in output
    assert lab.answering() == (color, "v1")
    lab.is_clean()


def test_a_version_that_is_nowhere_fails_before_anything_is_started(lab: Lab) -> None:
    lab.live("v1")
    done = lab.cyan("deploy", "--version", "v404", check=False)
    assert done.returncode == 1
    assert "cyan-demo/site:v404 is not on the host" in done.stderr
    assert lab.answering()[1] == "v1"


def test_a_second_deploy_is_told_who_holds_the_lock_and_touches_nothing(lab: Lab) -> None:
    lab.live("v1")
    words = ("deploy", "--version", "v2", "--env", "FAULT=healthy-after=8")
    with lab.begun(*words, reaching="healthy") as first:
        second = lab.cyan("deploy", "--version", "v3", check=False)
        assert second.returncode == 1
        assert "locked by" in second.stderr
        assert "deploy v2" in second.stderr
        assert first.wait(60) == 0
    assert lab.answering()[1] == "v2"


@pytest.mark.nightly
def test_a_deploy_waits_for_the_lock_if_it_is_told_to(lab: Lab) -> None:
    lab.live("v1")
    words = ("deploy", "--version", "v2", "--env", "FAULT=healthy-after=8")
    with lab.begun(*words, reaching="healthy") as first:
        second = lab.cyan("deploy", "--version", "v3", "--lock-wait", "1m")
        assert "waiting: the application is locked by" in second.stdout
        assert first.wait(60) == 0
    assert lab.answering()[1] == "v3"


@EVERYWHERE_AT_NIGHT
@pytest.mark.nightly
def test_a_lock_that_is_taken_by_force_stops_its_deployer_where_it_is(lab: Lab) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    words = ("deploy", "--version", "v2", "--env", "FAULT=healthy-after=12")
    with lab.begun(*words, reaching="healthy") as process:
        assert "inv unlock --force" in lab.cyan("unlock", check=False).stderr
        assert "taken from" in lab.cyan("unlock", "--force").stdout
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "the deploy lock was lost" in output
    assert lab.answering() == (color, "v1")
    assert "nobody holds the lock" in lab.cyan("unlock", "--force").stdout
    assert "was killed in healthy" in lab.cyan("status").stdout
    lab.cyan("deploy", "--version", "v3")
    assert "drift" not in lab.cyan("status").stdout


@pytest.mark.nightly
@pytest.mark.parametrize("deploys", [4, 10])
def test_of_many_deploys_at_once_one_wins_and_the_world_is_clean(lab: Lab, deploys: int) -> None:
    lab.live("v1")
    words = [sys.executable, "-m", "cyan", "deploy", "--env", "FAULT=healthy-after=8", "--version"]
    with lab.load() as client:
        begun = [
            subprocess.Popen([*words, version], cwd=lab.folder, stderr=subprocess.PIPE, text=True)
            for version in ["v2", "v3"] * (deploys // 2)
        ]
        ended = [(process.communicate(timeout=120)[1], process.returncode) for process in begun]
    assert [code for _, code in ended].count(0) == 1
    assert all("locked by" in error for error, code in ended if code)
    lab.is_clean()
    client.saw_no_drop()


def interruptions() -> list[Any]:
    """Each signal before and after the switch; one of each is enough for every day."""
    every = product((signal.SIGINT, signal.SIGTERM), ("healthy", "drain", "bake"))
    often = ((signal.SIGINT, "healthy"), (signal.SIGTERM, "bake"))
    marks = {True: (), False: (pytest.mark.nightly,)}
    return [pytest.param(*each, marks=marks[each in often]) for each in every]


@EVERYWHERE_AT_NIGHT
@pytest.mark.parametrize(("how", "step"), interruptions())
def test_an_interrupted_deploy_undoes_what_it_began_and_says_what_serves(
    lab: Lab, how: signal.Signals, step: str
) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    fault = ("--env", "FAULT=never-healthy") if step == "healthy" else ()
    words = ("deploy", "--version", "v2", *fault)
    with (
        lab.load() as client,
        lab.begun(*words, reaching=step, INVOKE_CYAN_BAKE_SECONDS="60") as process,
    ):
        process.send_signal(how)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    said = " ".join(output.split())
    assert "it was interrupted" in said
    untouched, back = f"serving: {color} v1, untouched", f"serving: v1 ({color}) again"
    assert (untouched if step == "healthy" else back) in said
    assert lab.answering() == (color, "v1")
    assert lab.containers(other(color)) == {}
    lab.is_clean()
    client.saw_no_drop()


@EVERYWHERE_AT_NIGHT
def test_the_crawler_loses_no_job_and_does_none_twice_across_a_rotation(lab: Lab) -> None:
    lab.live("v1")
    with lab.load():
        lab.cyan("deploy", "--version", "v2")
        lab.cyan("rollback")
    done = "select count(*) from jobs where state <> 'done'"
    until(lambda: lab.sql(done) == "0", "the crawler does every job")
    assert (
        lab.sql(
            "select count(*) from (select job_id from job_runs group by 1 having count(*) > 1) t"
        )
        == "0"
    )
    assert lab.sql("select count(*) from jobs") == lab.sql("select count(*) from job_runs")


@EVERYWHERE_AT_NIGHT
def test_a_session_made_on_one_color_holds_on_the_other(lab: Lab) -> None:
    lab.live("v1")
    with httpx.Client(base_url=f"http://{lab.address}:{lab.port}") as user:
        user.post("/login", json={"name": "ann"})
        first = user.get("/me")
        lab.cyan("deploy", "--version", "v2")
        second = user.get("/me")
    assert first.headers["X-Color"] != second.headers["X-Color"]
    assert second.json() == {"name": "ann"}
