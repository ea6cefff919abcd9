"""The action for other projects' workflows, and the script that any shell may call."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.tools import PROJECT, tool

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = PROJECT / ".github/actions/deploy"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PROOF = {"verdict": "pass", "host": "deploy@10.0.0.1:22", "sentence": "none failed by it"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project, and programs that write down what they were called with."""
    (tmp_path / "invoke.yaml").write_text("cyan: {}\n")
    (tmp_path / "bin").mkdir()
    for name, more in {
        "docker": "",
        "git": f"echo {COMMIT}",
        "ssh-agent": "echo 'SSH_AGENT_PID=1'",
        "ssh-add": "cat >>$HOME/added",
        "cyan": 'mkdir -p reports/r1-deploy\necho "$PROOF" >reports/r1-deploy/proof.json\n'
        "exit $EXITS",
    }.items():
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>$HOME/calls\n{more}\n')
        path.chmod(0o755)
    return tmp_path


def run(project: Path, exits: int = 0, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{project}/bin:{os.environ['PATH']}",
        "HOME": str(project),
        "DEPLOY_KEY": "a key",
        "KNOWN_HOSTS": "10.0.0.1 ssh-ed25519 AAAA",
        "GITHUB_STEP_SUMMARY": str(project / "summary.md"),
        "GITHUB_OUTPUT": str(project / "output"),
        "PROOF": json.dumps(PROOF),
        "EXITS": str(exits),
        **given,
    }
    return subprocess.run(
        [FOLDER / "run"], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_it_builds_and_pushes_by_the_full_commit_id_deploys_and_shows_the_proof(
    project: Path,
) -> None:
    done = run(project, IMAGE="ghcr.io/me/shop", CONTEXT="app")
    assert done.returncode == 0, done.stderr
    calls = (project / "calls").read_text().splitlines()
    assert f"docker build --tag ghcr.io/me/shop:{COMMIT} app" in calls
    assert f"docker push ghcr.io/me/shop:{COMMIT}" in calls
    assert f"cyan deploy --version={COMMIT} --lock-wait=10m" in calls
    assert calls.index(f"docker push ghcr.io/me/shop:{COMMIT}") < calls.index(calls[-2])
    assert (project / "added").read_text() == "a key\n"
    assert "10.0.0.1 ssh-ed25519" in (project / ".ssh/known_hosts").read_text()
    told = (project / "summary.md").read_text()
    assert f"{COMMIT}: deployed" in told
    assert "**pass** on deploy@10.0.0.1:22: none failed by it" in told
    assert (project / "output").read_text() == "verdict=pass\n"


def test_a_deploy_that_fails_fails_the_job_and_is_told_all_the_same(project: Path) -> None:
    proof = json.dumps(PROOF | {"verdict": "fail"})
    done = run(project, exits=1, VERSION="v2", HOST="10.0.0.1", PROOF=proof)
    assert done.returncode == 1
    calls = (project / "calls").read_text()
    assert "docker" not in calls
    assert "cyan deploy --version=v2 --host=10.0.0.1 --lock-wait=10m" in calls
    assert "v2: not deployed" in (project / "summary.md").read_text()
    assert (project / "output").read_text() == "verdict=fail\n"


@pytest.mark.parametrize("name", ["DEPLOY_KEY", "KNOWN_HOSTS"])
def test_nothing_is_done_without_a_key_or_the_hosts_keys(project: Path, name: str) -> None:
    given: dict[str, Any] = {name: ""}
    done = run(project, **given)
    assert done.returncode == 2
    assert f"{name} is not set" in done.stderr
    assert not (project / "calls").exists()


def test_a_proof_of_an_earlier_deploy_is_not_shown_as_this_ones(project: Path) -> None:
    old = project / "reports/r0-deploy/proof.json"
    old.parent.mkdir(parents=True)
    old.write_text(json.dumps(PROOF | {"sentence": "long ago"}))
    os.utime(old, (1, 1))
    run(project, VERSION="v2")
    assert "long ago" not in (project / "summary.md").read_text()


def test_the_action_passes_what_it_is_given_through_the_environment_only() -> None:
    action: dict[str, Any] = yaml.safe_load((FOLDER / "action.yml").read_text())
    steps = action["runs"]["steps"]
    assert all("${{" not in step["run"] for step in steps)
    used = " ".join(str(step.get("env", "")) for step in steps)
    assert all(f"inputs.{name} " in used for name in action["inputs"])
    assert action["outputs"]["verdict"]["value"] == "${{ steps.deploy.outputs.verdict }}"


def test_it_is_an_action_by_githubs_own_schema() -> None:
    action = str(FOLDER / "action.yml")
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", action)
    assert done.returncode == 0, done.stdout + done.stderr
