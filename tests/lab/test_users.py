"""Hosts on which several people deploy, each as a Unix user of their own, none of them root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cyan.configured import load
from cyan.proof.host_under_test import HostUnderTest
from tests.conftest import SHIFT
from tests.lab.harness import settings_section
from tests.lab.servers import users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.harness import Lab

ANN, BOB = f"cyan-ann{SHIFT}", f"cyan-bob{SHIFT}"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("useradd"), reason="makes users of this machine"
    ),
]


@pytest.fixture(scope="module")
def entries(caddy_lab: Lab) -> Iterator[dict[str, dict[str, Any]]]:
    with users(caddy_lab, ANN, BOB) as made:
        yield made


@pytest.mark.nightly
def test_two_users_and_root_deploy_in_turn_and_roll_each_other_back(
    lab: Lab, entries: dict[str, dict[str, Any]]
) -> None:
    lab.live("v1")
    secret = {"environment": ["TOKEN"]}
    with lab.configured(hosts=[entries[ANN]], secrets=secret):
        lab.cyan("deploy", "--version", "v2", TOKEN="planted-4715")
    kept = lab.release(lab.answering()[0]) / "secrets.env"
    assert (kept.stat().st_mode & 0o777, kept.owner(), kept.group()) == (0o640, ANN, "docker")
    with lab.configured(hosts=[entries[BOB]], keep_releases=2):
        assert "refuse" not in lab.cyan("doctor").stdout
        lab.cyan("deploy", "--version", "v3")
        lab.cyan("cleanup")
        lab.cyan("rollback")
    assert lab.answering()[1] == "v2"
    assert "TOKEN=planted-4715" in lab.inspected(lab.answering()[0], "{{json .Config.Env}}")["rag"]
    lab.cyan("deploy", "--version", "v1")
    with lab.configured(hosts=[entries[ANN]]):
        lab.cyan("rollback")
        lab.cyan("maintenance", "on")
    with lab.configured(hosts=[entries[BOB]]):
        lab.cyan("maintenance", "off")
        said = lab.cyan("proxy.reload", "--again", INVOKE_CYAN_RELOAD_LAMEDUCK="1.0").stdout
        assert "by lame duck" in said  # BOB has no right to lead anybody anywhere
    assert lab.answering()[1] == "v2"
    lab.is_clean()


def test_a_user_who_may_not_work_there_is_told_the_commands_that_share_it(
    lab: Lab, entries: dict[str, dict[str, Any]]
) -> None:
    lab.live("v1")
    folder = lab.folder / ".lab/host"
    (data := folder / "shared/pgdata").mkdir(mode=0o700)
    (data / "PG_VERSION").touch(mode=0o600)
    for words in (["chgrp", "-R", "root"], ["chmod", "-R", "g-sw"]):
        subprocess.run([*words, str(folder)], check=True)
    journal = lab.journal()
    with lab.configured(hosts=[entries[ANN]]):
        done = lab.cyan("deploy", "--version", "v2", check=False)
        assert done.returncode == 1
        assert f"{ANN} may not work with {folder}, which belongs to root:root" in done.stderr
        told = done.stderr.partition("nothing was touched; as root on the host: ")[2]
        assert lab.journal() == journal
        assert lab.cyan("status").returncode == 0  # to look is allowed
        subprocess.run(["sh", "-c", told.strip()], check=True)
        lab.cyan("deploy", "--version", "v2")
    for path, mode in ((data, 0o700), (data / "PG_VERSION", 0o600)):
        assert (path.stat().st_mode & 0o777, path.group()) == (mode, "root")
    shutil.rmtree(data)
    assert lab.answering()[1] == "v2"
    lab.is_clean()


@pytest.mark.nightly
def test_a_lock_that_another_user_holds_is_not_taken_and_their_process_is_named(
    lab: Lab, entries: dict[str, dict[str, Any]]
) -> None:
    lab.live("v1")
    with lab.configured(hosts=[entries[ANN]]):
        slow = {"INVOKE_CYAN_BAKE_SECONDS": "60.0"}
        with lab.begun("deploy", "--version", "v2", reaching="bake", **slow):
            with lab.configured(hosts=[entries[BOB]]):
                done = lab.cyan("unlock", "--force", check=False)
            assert done.returncode == 1
            assert "held by a process of another user's" in done.stderr
            pid = done.stderr.rpartition("kill ")[2].strip()
            assert lab.world().owner
            subprocess.run(["kill", pid], check=True)
    lab.cyan("rollback")
    assert lab.answering()[1] == "v1"
    lab.is_clean()


@pytest.mark.nightly
def test_the_bake_of_a_user_who_may_not_read_the_proxys_log_judges_it_all_the_same(
    lab: Lab, entries: dict[str, dict[str, Any]]
) -> None:
    lab.live("v1")
    log = lab.folder / ".lab/host/logs/access.json"
    log.chmod(0o600)
    with lab.configured(hosts=[entries[ANN]], smoke=[]), lab.load():
        well = lab.cyan("deploy", "--version", "v2", INVOKE_CYAN_BAKE_SECONDS="3.0")
        ill = lab.cyan(
            *("deploy", "--version", "v3", "--env", "FAULT=errors=0.05"),
            check=False,
            INVOKE_CYAN_BAKE_SECONDS="40.0",
        )
    assert re.search(r"nothing went bad in .*; 0\.0% of \d\d+ answers 5xx", well.stdout)
    assert ill.returncode == 1
    assert "v3" in ill.stderr
    assert re.search(r"it errs: [\d.]+% of \d+ answers 5xx", ill.stderr)
    assert lab.answering()[1] == "v2"
    lab.is_clean()


def test_a_run_whose_user_may_not_read_the_proxys_log_has_all_witnesses_all_the_same(
    lab: Lab, entries: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    lab.live("v1")
    (lab.folder / ".lab/host/logs/access.json").chmod(0o600)
    made = load(settings_section(lab.folder) | {"hosts": [entries[ANN]]}, {}, lab.folder)
    with HostUnderTest(made, made.hosts[0]) as around:
        with lab.load() as client:
            lab.cyan("status")
        around.collect(tmp_path)
    assert not (tmp_path / "missing.txt").exists()
    assert len((tmp_path / "proxy.jsonl").read_text().splitlines()) >= len(client.answers)
    assert list((tmp_path / "application").iterdir())
