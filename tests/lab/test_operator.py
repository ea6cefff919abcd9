"""What an operator needs on a worse day: figures, folders, hooks, maintenance, a fence."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.lab.harness import until

if TYPE_CHECKING:
    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def other(color: str) -> str:
    return {"blue": "green", "green": "blue"}[color]


def get(lab: Lab, path: str = "/items") -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{lab.port}{path}", timeout=10)


def switched_back(lab: Lab, fault: str) -> tuple[str, list[str]]:
    """What is told of a fault that the bake finds under load, and the users' errors."""
    lab.live("v1")
    color = lab.answering()[0]
    with lab.configured(smoke=[]), lab.load() as client:
        done = lab.cyan(
            *("deploy", "--version", "v2", "--env", f"FAULT={fault}"),
            check=False,
            INVOKE_CYAN_BAKE_SECONDS="40.0",
        )
    assert done.returncode == 1, done.stdout
    assert lab.answering() == (color, "v1")
    lab.is_clean()
    return done.stderr, client.errors


@pytest.mark.nightly
def test_a_release_that_is_healthy_and_then_errs_is_switched_away_from_with_its_figures(
    lab: Lab,
) -> None:
    said, errors = switched_back(lab, "errors=0.05")
    assert re.search(r"it errs: [\d.]+% of \d+ answers 5xx.*before the switch 0\.\d%", said)
    assert {error.split(": ")[1] for error in errors} == {"HTTPException('status 500')"}


@pytest.mark.nightly
def test_a_release_that_is_slower_under_load_is_switched_away_from_with_its_figures(
    lab: Lab,
) -> None:
    said, errors = switched_back(lab, "slow=1")
    assert re.search(r"it is slow: 0.0% of \d+ answers 5xx, 95 % within 1\d\d\d ms", said)
    assert errors == []


def test_a_failure_leaves_a_folder_with_logs_events_and_journal_but_no_values(lab: Lab) -> None:
    lab.live("v1")
    done = lab.cyan(
        *(
            "deploy",
            "--version",
            "v2",
            "--env",
            "FAULT=never-healthy",
            "--env",
            "TOKEN=s3cr3t-value",
        ),
        check=False,
        HEALTH_CHECK_TIMEOUT="3",
    )
    assert done.returncode == 1
    folder = max((lab.folder / "reports").glob("*-failed"))
    assert str(folder) in done.stdout
    names = {path.name for path in folder.iterdir()}
    green = f"{lab.app}-{other(lab.answering()[0])}"
    assert {f"{green}-platform-1.log", f"{green}-rag-1.json", "events.jsonl", "error.txt"} <= names
    assert "did not become healthy" in (folder / "error.txt").read_text()
    steps = [json.loads(line)["step"] for line in (folder / "journal.jsonl").open()]
    assert steps[-2:] == ["healthy", ""]
    happened = [json.loads(line)["Action"] for line in (folder / "events.jsonl").open()]
    assert {"create", "start"} <= set(happened)
    made = json.loads((folder / f"{green}-platform-1.json").read_text())
    assert "TOKEN=..." in made["Config"]["Env"] or "FAULT=..." in made["Config"]["Env"]
    assert not [path for path in folder.iterdir() if "s3cr3t-value" in path.read_text()]


def test_a_command_in_a_container_of_the_standby_is_a_smoke_check(lab: Lab) -> None:
    lab.live("v1")
    color = other(lab.answering()[0])
    says = {"service": "crawler", "command": ["sh", "-c", "echo I am $COLOR"]}
    checks = [
        says | {"contains": f"I am {color}"},
        {"service": "rag", "command": ["sleep", "9"], "within": 0.3},
    ]
    with lab.configured(smoke=checks):
        done = lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "fails smoke: rag: sleep 9: " in done.stderr
    assert lab.answering()[1] == "v1"
    lab.is_clean()


def test_a_hook_that_fails_before_the_switch_fails_the_deploy(lab: Lab) -> None:
    lab.live("v1")
    hook = {"before": "switch", "run": "echo no $CYAN_VERSION today; exit 3", "where": "host"}
    with lab.configured(hooks=[hook]):
        done = lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "the hook before switch failed with exit code 3" in done.stderr
    assert "no v2 today" in done.stderr
    assert lab.answering()[1] == "v1"
    lab.is_clean()


def test_hooks_are_told_of_the_release_and_warn_after_the_switch(lab: Lab, tmp_path: Path) -> None:
    lab.live("v1")
    told = tmp_path / "told"
    hooks = [
        {"after": "healthy", "run": f"env | grep ^CYAN_ > {told}"},
        {"after": "switch", "run": "exit 4"},
        {"after": "verify", "run": "sleep 9", "within": 0.2},
    ]
    with lab.configured(hooks=hooks):
        done = lab.cyan("deploy", "--version", "v2")
    assert "the hook after switch failed with exit code 4" in done.stdout
    assert "it was not done within 0.2 s" in done.stdout
    assert lab.answering()[1] == "v2"
    said = dict(line.split("=", 1) for line in told.read_text().splitlines())
    assert (said["CYAN_VERSION"], said["CYAN_OLD_VERSION"]) == ("v2", "v1")
    assert said["CYAN_COLOR"] == lab.answering()[0]


@pytest.mark.nightly
def test_maintenance_answers_users_with_503_until_it_is_over_also_across_a_deploy(lab: Lab) -> None:
    lab.live("v1")
    assert lab.cyan("maintenance", "sometimes", check=False).returncode == 2
    lab.cyan("maintenance", "on")
    try:
        assert (get(lab).status_code, get(lab).headers["Retry-After"]) == (503, "60")
        assert "the site is in maintenance" in lab.cyan("status").stdout
        lab.cyan("deploy", "--version", "v2")
        assert get(lab).status_code == 503
    finally:
        lab.cyan("maintenance", "off")
    assert lab.answering()[1] == "v2"
    lab.is_clean()


def test_a_changed_caddyfile_is_loaded_without_a_drop_and_a_broken_one_is_not(lab: Lab) -> None:
    lab.live("v1")
    caddyfile = lab.folder / "Caddyfile"
    original = caddyfile.read_text()
    caddyfile.unlink()  # a link to the project's own
    try:
        assert "this Caddyfile already" in changed(lab, original)
        with lab.load() as client:
            lines = original.replace("\t# The proxy's own witness.", "\theader X-Loaded yes\n\t#")
            said = changed(lab, lines)
        assert "the Caddyfile is loaded;" in said
        assert get(lab).headers["X-Loaded"] == "yes"
        client.saw_no_drop()
        caddyfile.write_text(lines.replace("header X-Loaded", "haeder X-Loaded"))
        assert "another configuration" in lab.cyan("doctor").stdout
        done = lab.cyan("proxy.reload", check=False)
        assert done.returncode == 1
        assert "the Caddyfile is not valid" in done.stderr
        kept_of(lab, "proxy.reload", done)
        assert get(lab).headers["X-Loaded"] == "yes"
        assert lab.markers() == {lab.answering()[0]}
    finally:
        with lab.load() as client:
            said = changed(lab, original, "--in-place")
    assert "by lame duck" in said
    assert len(client.errors) <= 2  # without a lame duck about one for every idle connection
    assert "X-Loaded" not in get(lab).headers


@pytest.mark.nightly
def test_a_deployer_that_is_killed_while_the_lame_duck_is_up_leaves_no_marker(lab: Lab) -> None:
    lab.live("v1")
    port, lax = lab.settings.site.tls_port, ssl._create_unverified_context()
    with contextlib.closing(http.client.HTTPSConnection("localhost", port, context=lax)) as idle:
        idle.request("GET", "/items")
        idle.getresponse().read()  # and stays connected, so that it is waited for
        process = subprocess.Popen(
            [sys.executable, "-m", "cyan", "proxy.reload", "--again", "--in-place"],
            cwd=lab.folder,
            env={**os.environ, "INVOKE_CYAN_RELOAD_LAMEDUCK": "4.0"},
        )
        until(lambda: "lameduck" in lab.markers(), "the lame duck is up")
        time.sleep(1)
        assert "lameduck" in lab.markers()  # one who came by HTTPS is waited for, too
        process.kill()
        process.wait()
        assert lab.cyan("deploy", "--version", "v2").returncode == 0  # waits for the host's command
    assert lab.answering()[1] == "v2"
    lab.is_clean()


def kept_of(lab: Lab, what: str, done: subprocess.CompletedProcess[str]) -> None:
    """The folder of what failed and is no rotation tells of every container."""
    folder = max((lab.folder / "reports").glob(f"*Z-{what}-failed"))
    assert str(folder) in done.stdout
    assert (folder / "error.txt").read_text().splitlines()[0] in done.stderr
    assert (folder / "events.jsonl").exists()
    made = {f"{lab.app}-{name}-1.json" for name in ("proxy", "database")}
    logs = {f"{lab.app}-{lab.answering()[0]}-platform-1.log", f"{lab.app}-proxy-1.log"}
    assert made | logs <= {path.name for path in folder.iterdir()}


def changed(lab: Lab, text: str, *how: str) -> str:
    (lab.folder / "Caddyfile").write_text(text)
    return lab.cyan("proxy.reload", *how, INVOKE_CYAN_RELOAD_LAMEDUCK="1.0").stdout


def test_doctor_tells_every_figure_and_a_check_that_refuses_is_overridden_by_name(lab: Lab) -> None:
    lab.live("v1")
    hooks = [{"after": "switch", "run": "true", "where": "host"}]
    with lab.configured(secrets={"environment": ["TOKEN"]}, hooks=hooks):
        said = lab.cyan("doctor", TOKEN="planted-4714").stdout
    figures = ("memory", "disk", "engine", "compose", "caddy", "ports", "traffic", "clock")
    for name in (*figures, "compose-file", "images", "migrations", "secrets", "hooks"):
        assert f"  {name}" in said
    assert "refuse" not in said
    assert "planted-4714" not in said
    hooks[0]["run"] = "if then"
    images = {"from": "build"}
    with lab.configured(secrets={"environment": ["TOKEN"]}, hooks=hooks, images=images):
        ill = lab.cyan("doctor", check=False)
        done = lab.cyan("deploy", "--version", "v2", check=False, TOKEN="planted-4714")
    assert ill.returncode == 1
    for name in ("secrets", "hooks", "images"):
        assert re.search(rf"refuse +{name} ", ill.stdout), ill.stdout
    assert "failed at preflight: cannot be had: no service of the Compose" in done.stderr
    folder, live = max((lab.folder / "reports").glob("*-failed")), lab.answering()[0]
    kept = {path.name for path in folder.iterdir()}
    assert {f"{lab.app}-{live}-rag-1.json", "events.jsonl", "journal.jsonl", "error.txt"} <= kept
    before = lab.containers(lab.answering()[0])
    wrong = {"INVOKE_CYAN_SITE_PORT": "9"}
    done = lab.cyan("deploy", "--version", "v2", check=False, **wrong)
    assert done.returncode == 1
    assert "the proxy does not publish 9" in done.stderr
    assert "--force ports" in done.stderr
    assert lab.containers(lab.answering()[0]) == before
    forced = lab.cyan("deploy", "--version", "v2", "--force", "ports", check=False, **wrong)
    assert "failed at verify" in forced.stderr  # it went on, and nobody answers at that port
    assert lab.answering()[1] == "v1"
    lab.is_clean()


def test_a_warm_color_is_removed_once_its_time_is_over_and_no_sooner(lab: Lab) -> None:
    lab.live("v1")
    lab.cyan("deploy", "--version", "v2", INVOKE_CYAN_BAKE_SECONDS="0")
    color = other(lab.answering()[0])
    with lab.configured(warm={"services": "all", "for": "1h"}):
        assert f"nothing: {color} may stay warm" in lab.cyan("cleanup", "--expired").stdout
    assert len(lab.containers(color)) == 3
    with lab.configured(warm={"services": "all", "for": "1ms"}):
        assert f"removed {color} v1" in lab.cyan("cleanup", "--expired").stdout
    assert lab.containers(color) == {}
    assert lab.answering()[1] == "v2"
    lab.is_clean()


@pytest.mark.nightly
def test_a_live_color_that_dies_after_its_bake_is_told_and_rolled_back_from(lab: Lab) -> None:
    lab.live("v1")
    words = ("deploy", "--version", "v2", "--env", "FAULT=crash-after=15")
    lab.cyan(*words, INVOKE_CYAN_BAKE_SECONDS="0")
    until(lambda: "lacks a healthy" in lab.cyan("status").stdout, "the live color dies", 60)
    lab.cyan("rollback")
    assert lab.answering()[1] == "v1"


@pytest.mark.nightly
def test_a_deployer_that_slept_while_its_lock_was_taken_does_not_switch_when_it_wakes(
    lab: Lab,
) -> None:
    lab.live("v1")
    process = stopped(lab, "switch", "deploy", "--version", "v2")
    try:
        lab.cyan("unlock", "--force")
        lab.cyan("deploy", "--version", "v3")
        color = lab.answering()[0]
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 1, output
    assert "the deploy lock was lost" in output
    assert lab.answering() == (color, "v3")
    lab.is_clean()


def stopped(lab: Lab, step: str, *words: str) -> subprocess.Popen[str]:
    """A command that has stopped itself between a step's line and the step."""
    tests = Path(__file__).parent
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(tests.parents[1])}
    process = subprocess.Popen(
        [sys.executable, str(tests / "killed.py"), step, "stopped", *words],
        cwd=lab.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    state = Path(f"/proc/{process.pid}/stat")
    until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "it stops", 60)
    return process
