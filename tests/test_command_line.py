"""Bad input is told before anything is touched, with exit code 2; needs no host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parent.parent


def run(folder: Path, *words: str | bytes, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cyan", *words],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONPATH": str(PROJECT),
            **environment,
        },
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
        (
            ("deploy", "--version", "v1", "--env", "A-B=1"),
            "not the name of an environment variable",
        ),
        (("deploy", "--version", "v1", "--env", b"A=\xff"), "bytes that are not UTF-8"),
        (("deploy", "--version", "v1", "--host", "elsewhere"), "is none of cyan.hosts"),
        (("deploy", "--versoin", "v1"), "No idea what '--versoin' is"),
        (("deploy", "--version", "v1", "--lock-wait", "soon"), "'soon' is not a duration"),
        (("unlock",), "only taken by force"),
        (("migrate.contract",), "--version is missing"),
        (("logs", "--color", "red"), "'red' is no color"),
        (("reset",), "nothing was removed"),
        (("hammer", "--url", "localhost"), "is no URL"),
        (("hammer", "--url", "http://127.0.0.1:1/shop"), "its path by --path"),
        (("hammer", "--path", "/a b"), "is not the path of a request"),
        (("hammer", "--path", "--host"), "is not the path of a request"),
        (("hammer", "--rate", "soon"), "could not convert string to float"),
        (("hammer", "--rate", "nan"), "rate cannot be nan"),
        (("hammer", "--seconds=-1"), "seconds cannot be -1"),
        (("verify-zero-downtime", "--workers", "-oProxyCommand=x"), "is no machine"),
        (("verify-zero-downtime", "--quick", "--reload"), "ask for different acts"),
        (("report", "--run", "nowhere"), "is no run"),
        (("chaos", "--only", "meteor"), "there is no fault 'meteor'"),
        (("chaos", "--rtt", "far"), "'far' is not a duration"),
    ],
)
def test_bad_input_exits_with_2_and_a_message(words: tuple[str | bytes, ...], said: str) -> None:
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
        ({"warm": {"for": "soon"}}, "cyan.warm.for: Value error, 'soon' is not a duration"),
        ({"images": {"from": "thin air"}}, "cyan.images.from:"),
        (
            {"images": {"from": "pull", "login": {"registry": "r:5000", "user": "ann"}}},
            "give either password_environment or password_command",
        ),
        ({"secrets": {"environment": ["NOT A NAME"]}}, "cyan.secrets.environment.0:"),
        ({"hosts": [{"address": "-oProxyCommand=x"}]}, "cyan.hosts.0.address:"),
        ({"hosts": [{"address": "a", "user": "-l"}]}, "cyan.hosts.0.user:"),
        ({"hosts": [{"address": "a", "identity": "k\ney"}]}, "cyan.hosts.0.identity: Value error"),
        ({"directory": "/srv/a:b"}, "whose path holds no ':'"),
        ({"directory": "/"}, "a folder of its own"),
        ({"directory": "~nobody-here/a"}, "a user that this machine does not have"),
        ({"directory": "/srv/a\tb"}, "cyan.directory: Value error"),
        ({"proxy": "proxy; reboot"}, "cyan.proxy:"),
        ({"stateless": ["--help"]}, "cyan.stateless.0:"),
        ({"site": {"host": "a\r\nX-Admin: 1"}}, "cyan.site.host:"),
        ({"public": {"ready": "/ready\r\nX-Admin: 1"}}, "cyan.public.ready: Value error"),
        ({"smoke": [{"path": "//elsewhere/x"}]}, "cyan.smoke.0.path: Value error, begin with one"),
        ({"smoke": [{"path": "/a b"}]}, "cyan.smoke.0.path: Value error"),
        ({"verify": {"rate": float("inf")}}, "cyan.verify.rate:"),
        ({"verify": {"workers_directory": "cyan"}}, "cyan.verify.workers_directory: Value error"),
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


def test_a_user_name_from_the_environment_is_checked_as_one_of_the_file(tmp_path: Path) -> None:
    settings = yaml.safe_load((PROJECT / "invoke.yaml").read_text())
    (tmp_path / "invoke.yaml").write_text(yaml.safe_dump(settings))
    done = run(tmp_path, "status", LOGNAME="-oProxyCommand=x")
    assert done.returncode == 2, done.stderr
    assert "cyan.hosts.0.user:" in done.stderr


def test_a_secret_that_is_not_there_is_told_before_the_host_is_looked_at(tmp_path: Path) -> None:
    settings = yaml.safe_load((PROJECT / "invoke.yaml").read_text())
    settings["cyan"]["secrets"] = {"environment": ["API_KEY"]}
    del settings["cyan"]["lab"]["secrets"]
    del settings["cyan"]["migrate"]
    (tmp_path / "invoke.yaml").write_text(yaml.safe_dump(settings))
    done = run(tmp_path, "deploy", "--version", "v1")
    assert done.returncode == 2, done.stderr
    assert "the environment variable API_KEY is not set" in done.stderr


@pytest.mark.parametrize("words", [("deploy", "--version", "v1"), ("migrate.check",)])
def test_a_migration_with_a_wrong_name_is_told_before_anything_is_touched(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "drop_it.sql").write_text("DROP TABLE orders;")
    done = run(PROJECT, *words, INVOKE_CYAN_MIGRATE_DIRECTORY=str(tmp_path))
    assert done.returncode == 2
    assert "'drop_it.sql' is not the name of a migration" in done.stderr


def test_the_environment_wins_over_the_file_and_is_checked_alike() -> None:
    done = run(PROJECT, "status", HEALTH_CHECK_TIMEOUT="soon")
    assert done.returncode == 2
    assert "cyan.health.timeout: Input should be a valid number" in done.stderr


def test_a_project_without_settings_is_told_where_they_belong(tmp_path: Path) -> None:
    done = run(tmp_path, "status")
    assert done.returncode == 2
    assert f"copy {PROJECT}/invoke.yaml" in done.stderr


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


@pytest.mark.parametrize("host", ["a;reboot", "-oProxyCommand=x", "user name@host"])
def test_fab_refuses_a_host_that_is_none(host: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "fab", f"--hosts={host}", "switch-state"],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "is no machine" in done.stderr


@pytest.mark.parametrize("program", [["-m", "invoke"], ["-m", "cyan"]])
@pytest.mark.parametrize(
    ("words", "environment"),
    [(["hammer", "--rate", "soon"], {}), (["status"], {"INVOKE_CYAN_BAKE_SECONDS": "soon"})],
)
def test_what_is_no_number_is_bad_input_and_shows_no_traceback(
    program: list[str], words: list[str], environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, *program, *words],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "could not convert string to float: 'soon'" in done.stderr
    assert "Traceback" not in done.stderr
