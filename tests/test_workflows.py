"""The workflows of GitHub: what they call, what they may, and that a bad one would be found."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.tools import PROJECT, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = PROJECT / ".github/workflows"
NAMES = ("ci", "nightly-chaos", "deploy")
SCHEMA = ("check-jsonschema", "--builtin-schema", "vendor.github-workflows")
LINES = {path: path.read_text().splitlines() for path in FOLDER.glob("*.yml")}


def workflow(name: str) -> dict[str, Any]:
    """A workflow as data; YAML 1.1 reads its key `on` as a truth."""
    loaded = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    return {("on" if key is True else key): value for key, value in loaded.items()}


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = workflow(name)["jobs"]
    return found


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in jobs(name).values():
        yield from job["steps"]


def commands(name: str) -> list[str]:
    return [step["run"] for step in steps(name) if "run" in step]


def test_there_are_exactly_the_workflows_that_are_tested_here() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(NAMES)


def test_every_action_is_pinned_by_its_full_commit_and_says_which_version_that_is() -> None:
    used = [line for lines in LINES.values() for line in lines if "uses:" in line]
    assert used
    for line in used:
        assert re.fullmatch(r"\s*(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_is_pinned_alike_wherever_it_is_used() -> None:
    pins = {
        tuple(step["uses"].split("@")) for name in NAMES for step in steps(name) if "uses" in step
    }
    by_repository = {("/".join(action.split("/")[:2]), commit) for action, commit in pins}
    assert len(by_repository) == len({repository for repository, _ in by_repository})


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_permitted_but_what_a_job_asks_for(name: str) -> None:
    assert workflow(name)["permissions"] == {}
    allowed = {"contents": "read"}
    for job, body in jobs(name).items():
        assert body["permissions"] == ({"issues": "write"} if job == "tell" else allowed)


@pytest.mark.parametrize("name", NAMES)
def test_no_job_hangs_for_ever_and_no_two_runs_meet(name: str) -> None:
    assert workflow(name)["concurrency"]["group"]
    assert all(job["timeout-minutes"] <= 240 for job in jobs(name).values())


@pytest.mark.parametrize("name", NAMES)
def test_a_checkout_leaves_no_credentials_behind(name: str) -> None:
    checkouts = [step for step in steps(name) if "checkout" in step.get("uses", "")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", NAMES)
def test_no_shell_text_holds_an_expression(name: str) -> None:
    assert commands(name)
    assert not [text for text in commands(name) if "${{" in text]


@pytest.mark.parametrize("name", NAMES)
def test_every_script_that_is_called_is_there_and_can_be_run(name: str) -> None:
    for script in re.findall(r"(?<![\w/])(?:\./setup|\.ci/\w+)", "\n".join(commands(name))):
        assert os.access(PROJECT / script, os.X_OK), script


def test_the_nights_run_the_tests_that_ci_has_no_time_for() -> None:
    last = jobs("nightly-chaos")["tests"]["steps"][-1]
    assert last["run"] == ".venv/bin/pytest -m nightly"


def test_ci_runs_what_a_contributor_runs() -> None:
    assert commands("ci") == [".ci/run"]
    assert {"push", "pull_request"} <= workflow("ci")["on"].keys()


def test_the_night_is_one_command_with_the_minutes_and_the_seed_that_were_asked_for() -> None:
    nights = [text for text in commands("nightly-chaos") if "inv" in text.split()[0]]
    assert nights == ['.venv/bin/inv nightly --minutes "$MINUTES" --seed "$SEED"']
    night = workflow("nightly-chaos")
    assert night["on"]["schedule"]
    assert night["on"]["workflow_dispatch"]["inputs"].keys() == {"minutes", "seed"}
    assert night["env"].keys() == {"MINUTES", "SEED"}


def test_what_a_failing_night_leaves_is_kept_and_told() -> None:
    night, tell = (jobs("nightly-chaos")[name] for name in ("night", "tell"))
    after = night["steps"][[step.get("name") for step in night["steps"]].index("The night") + 1 :]
    assert [step["if"] for step in after] == ["${{ !cancelled() }}"] * 3
    assert tell["needs"] == ["night", "tests"]
    for job in tell["needs"]:
        assert f"needs.{job}.result != 'success'" in tell["if"]


def test_the_verdicts_that_are_kept_are_those_that_the_next_night_finds() -> None:
    history = [step for step in steps("nightly-chaos") if "actions/cache/" in step.get("uses", "")]
    restored, saved = history
    assert restored["with"]["path"] == saved["with"]["path"] == "reports/*/verdict.json"
    assert saved["with"]["key"].startswith(restored["with"]["restore-keys"])


def test_a_deploy_waits_for_the_environments_reviewers_and_takes_its_inputs_as_values() -> None:
    deploy = workflow("deploy")
    assert deploy["on"].keys() == {"workflow_dispatch"}
    assert deploy["on"]["workflow_dispatch"]["inputs"].keys() == {"version", "host"}
    job = jobs("deploy")["deploy"]
    assert job["environment"] == "production"
    last = job["steps"][-1]
    assert last["run"] == ".ci/deploy"
    assert last["env"].keys() == {"VERSION", "HOST", "DEPLOY_KEY", "KNOWN_HOSTS"}


def test_ci_checks_the_workflows_themselves_and_the_locked_packages() -> None:
    run = (PROJECT / ".ci/run").read_text()
    for wanted in ("zizmor --offline", "vendor.github-workflows", "audit.py requirements.lock"):
        assert wanted in run


def test_zizmor_finds_nothing_in_our_workflows_and_the_schema_holds() -> None:
    found = tool("zizmor", "--offline", "--quiet", ".github")
    assert found.returncode == 0, found.stdout + found.stderr
    held = tool(*SCHEMA, *(str(path) for path in LINES))
    assert held.returncode == 0, held.stdout + held.stderr


BAD = """\
name: Bad
on: {issues: {types: [opened]}}
permissions: {}
jobs:
  bad:
    runs-on: ubuntu-24.04
    steps:
      - run: echo "${{ github.event.issue.title }}"
"""


def test_zizmor_fails_on_a_title_that_becomes_shell_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(BAD)
    found = tool("zizmor", "--offline", "--quiet", str(path))
    assert found.returncode != 0
    assert "template-injection" in found.stdout


def test_zizmor_fails_on_our_own_workflow_with_an_action_by_its_tag(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(re.sub(r"@[0-9a-f]{40}", "@v6", (FOLDER / "ci.yml").read_text()))
    found = tool("zizmor", "--offline", "--quiet", str(path))
    assert found.returncode != 0
    assert "unpinned-uses" in found.stdout


def test_the_schema_fails_on_our_own_workflow_with_a_misspelt_key(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text((FOLDER / "ci.yml").read_text().replace("timeout-minutes", "timeout-minute"))
    found = tool(*SCHEMA, str(path))
    assert found.returncode == 1
    assert "timeout-minute" in found.stdout


GH = """#!/bin/sh
printf '%s\\0' "$@" >>"$CALLS"; printf '\\n' >>"$CALLS"
case "$1 $2" in "issue list") printf '%s' "$OPEN" ;; esac
"""


def told(folder: Path, open_issue: str) -> list[list[str]]:
    """What the last job of a failing night asks of `gh`, with a hostile summary."""
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    told_how = jobs("nightly-chaos")["tell"]["steps"][0]["run"]
    given = {"MINUTES": "20", "SEED": "7", "RUN": "https://ci.invalid/1", "OPEN": open_issue}
    given |= {"SUMMARY": '$(touch canary) `touch canary` "it\'s"', "CALLS": str(folder / "calls")}
    path = f"{folder}:/usr/bin:/bin"
    subprocess.run(
        ["bash", "-e", "-c", told_how], cwd=folder, env={"PATH": path, **given}, check=True
    )
    assert not (folder / "canary").exists()
    calls = (folder / "calls").read_text().removesuffix("\0\n").split("\0\n")
    return [call.split("\0") for call in calls]


def test_the_first_failing_night_opens_an_issue_that_says_how_to_run_it_again(
    tmp_path: Path,
) -> None:
    last = told(tmp_path, "")[-1]
    assert last[:2] == ["issue", "create"]
    assert "inv nightly --minutes 20 --seed 7" in last[-1]
    assert "https://ci.invalid/1" in last[-1]
    assert last[-1].endswith('$(touch canary) `touch canary` "it\'s"')


def test_a_further_failing_night_writes_into_the_open_issue(tmp_path: Path) -> None:
    calls = told(tmp_path, "41")
    assert calls[-1][:3] == ["issue", "comment", "41"]
    assert not [call for call in calls if call[:2] == ["issue", "create"]]


def test_the_summary_goes_to_the_page_and_cannot_end_its_own_output(tmp_path: Path) -> None:
    text = "# fail\nend-0\nother=1\n"
    shown, output = summarised(tmp_path, {"b": text, "a": "# chaos\n"})
    assert shown == "# chaos\n" + text
    (name, end), *lines = [output[0].split("<<"), *output[1:]]
    assert name == "text"
    assert lines == ["# chaos", *text.splitlines(), end]


def test_a_night_that_came_to_its_end_is_told_by_its_own_summary_only(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/summary.md").write_text("# The night: PASS\n")
    shown, output = summarised(tmp_path, {"20260102-000000-controls": "## FAIL, as it must\n"})
    assert shown == "# The night: PASS\n"
    assert output[1:-1] == ["# The night: PASS"]


def test_a_night_without_a_summary_says_so(tmp_path: Path) -> None:
    shown, _ = summarised(tmp_path, {})
    assert shown == "The night ended before it had written a summary.\n"


def summarised(folder: Path, runs: dict[str, str]) -> tuple[str, list[str]]:
    """What .ci/summary shows, and hands on, in a project with these runs."""
    (folder / ".ci").mkdir()
    (folder / ".ci/summary").write_bytes((PROJECT / ".ci/summary").read_bytes())
    (folder / "reports").mkdir(exist_ok=True)
    for name, text in runs.items():
        (folder / "reports" / name).mkdir()
        (folder / "reports" / name / "summary.md").write_text(text)
        (folder / "reports" / name / "verdict.json").write_text(json.dumps({}))
    page, output = folder / "page", folder / "output"
    files = {"GITHUB_STEP_SUMMARY": str(page), "GITHUB_OUTPUT": str(output)}
    subprocess.run(
        ["bash", str(folder / ".ci/summary")], env={"PATH": "/usr/bin:/bin", **files}, check=True
    )
    return page.read_text(), output.read_text().splitlines()
