"""Bad input is told before anything is touched, with exit code 2; needs no host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parent.parent


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cyan", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deploy",), "--version is missing"),
        (("deploy", "--version", "latest"), "nobody can know what is running"),
        (("deploy", "--version", "v1;reboot"), "is not a tag"),
        (("deploy", "--version", "../v1"), "is not a tag"),
        (("deploy", "--version", "v1", "--env", "FAULT"), "is not KEY=VALUE"),
        (("deploy", "--version", "v1", "--env", "COLOR=red"), "is set by cyan itself"),
        (("deploy", "--version", "v1", "--env", "A=it's"), "single quote"),
        (("deploy", "--version", "v1", "--host", "elsewhere"), "is none of cyan.hosts"),
        (("deploy", "--versoin", "v1"), "No idea what '--versoin' is"),
        (("deploy", "--version", "v1", "--lock-wait", "soon"), "'soon' is not a duration"),
        (("unlock",), "only taken by force"),
        (("logs", "--color", "red"), "'red' is no color"),
        (("reset",), "nothing was removed"),
        (("hammer", "--url", "localhost"), "is no URL"),
        (("report", "--run", "nowhere"), "is no run"),
    ],
)
def test_bad_input_exits_with_2_and_a_message(words: tuple[str, ...], said: str) -> None:
    done = run(PROJECT, *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"app": "My App"}, "cyan.app: Value error, use at most 41 lower-case"),
        ({"hosts": []}, "cyan.hosts:"),
        ({"helth": {}}, "cyan.helth: Extra inputs are not permitted"),
        ({"health": {"timeout": -1}}, "cyan.health.timeout:"),
        ({"hosts": [{"address": "-oProxyCommand=x"}]}, "cyan.hosts.0.address:"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    settings = yaml.safe_load((PROJECT / "invoke.yaml").read_text())
    settings["cyan"].update(change)
    (tmp_path / "invoke.yaml").write_text(yaml.safe_dump(settings))
    done = run(tmp_path, "status")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


def test_the_environment_wins_over_the_file_and_is_checked_alike() -> None:
    done = run(PROJECT, "status", HEALTH_CHECK_TIMEOUT="soon")
    assert done.returncode == 2
    assert "cyan.health.timeout: Input should be a valid number" in done.stderr


def test_a_project_without_settings_is_told_where_they_belong(tmp_path: Path) -> None:
    done = run(tmp_path, "status")
    assert done.returncode == 2
    assert "copy cyan's own invoke.yaml" in done.stderr


def test_every_task_says_what_it_does_and_every_flag_what_it_is_for() -> None:
    listed = run(PROJECT, "--list").stdout
    for task in ("deploy", "rollback", "verify-zero-downtime", "lab.up"):
        assert task in listed
    help_of = run(PROJECT, "--help", "deploy").stdout
    for flag in ("--version", "--plan", "--env", "--host"):
        assert flag in help_of


def test_listing_the_tasks_imports_nothing_heavy() -> None:
    heavy = ("pandas", "locust", "docker", "fabric", "pydantic", "rich")
    code = f"import cyan.tasks, sys; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("asked", "shown"), [("", False), ("1", True)])
def test_a_fault_of_our_own_shows_its_traceback_only_when_asked(asked: str, shown: bool) -> None:
    code = "from cyan.cli import told; told(lambda: 1 / 0)()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"CYAN_DEBUG": asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert ("Traceback" in done.stderr) is shown
