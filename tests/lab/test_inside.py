"""What goes into the containers of a color, and what is printed for programs."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.harness import COMMAND, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def told(lab: Lab, *words: str) -> dict[str, Any]:
    """The one host of what a command prints as JSON."""
    made = json.loads(lab.cyan(*words, "--json").stdout)
    assert made["schema"] == f"cyan.{words[0] if '--plan' not in words else 'plan'}/1"
    (host,) = made["hosts"]
    return dict(host)


def test_a_command_runs_in_the_live_color_and_its_exit_code_is_the_tasks(lab: Lab) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    done = lab.cyan("exec", "echo $COLOR $SERVICE $VERSION; echo wrong >&2; exit 7", check=False)
    assert done.stdout == f"{color} platform v1\n"
    assert done.stderr == "wrong\n"
    assert done.returncode == 7
    assert lab.cyan("exec", "echo $SERVICE", "--service", "rag").stdout == "rag\n"
    assert "postgres" in lab.cyan("exec", "postgres --version", "--service", "database").stdout
    other = {"blue": "green", "green": "blue"}[color]
    none = lab.cyan("exec", "true", "--color", other, check=False)
    assert none.returncode == 2
    assert f"no container of service platform runs in {other}" in none.stderr


def test_what_a_command_prints_of_a_secret_is_taken_out(lab: Lab) -> None:
    lab.live("v1")
    said = lab.cyan("exec", "echo it is $PGPASSWORD").stdout
    assert said.startswith("it is ")
    assert "only-in-the-lab" not in said


def test_a_console_has_the_terminal(lab: Lab) -> None:
    lab.live("v1")
    process, terminal = pty.fork()  # whose terminal is its own: Invoke asks whose it is
    if process == 0:
        os.chdir(lab.folder)
        os.execv(COMMAND[0], [*COMMAND, "console"])
    said = b""

    def shows(text: bytes) -> bool:
        nonlocal said
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 4096)
        return text in said

    try:
        until(lambda: shows(b"$ "), "a prompt", 30)
        os.write(terminal, b"test -t 0 && echo terminal-$SERVICE; exit 5\n")
        until(lambda: shows(b"terminal-platform"), "an answer", 30)
        _, status = os.waitpid(process, 0)
    except BaseException:
        os.kill(process, signal.SIGKILL)
        raise
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5
    refused = lab.cyan("console", check=False)
    assert refused.returncode == 2
    assert "this is no terminal" in refused.stderr


def test_logs_are_followed_as_they_come_each_with_its_service(lab: Lab, tmp_path: Path) -> None:
    lab.live("v1")
    words = [*COMMAND, "logs", "--follow", "--tail", "0", "--service", "database"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(words, cwd=lab.folder, stdout=said)
    psql = "psql -h 127.0.0.1 -U demo -d demo -c 'select nobody' || true"

    def followed() -> bool:
        lab.cyan("exec", psql, "--service", "database")
        lines = (tmp_path / "said").read_text()
        return re.search(r"^database \| .*nobody", lines, re.MULTILINE) is not None

    try:
        until(followed, "its line", 60)
    finally:
        process.kill()
        process.wait()


def test_status_history_doctor_and_plan_are_there_for_programs(lab: Lab) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    found = told(lab, "status")
    assert (found["live"], found["colors"][color]["version"]) == (color, "v1")
    assert found["drift"] == []
    assert {each["service"] for each in found["shared"]} == {"database", "proxy"}
    assert all(each["up"] for each in found["colors"][color]["containers"])
    assert told(lab, "history", "--lines", "3")["journal"][-1]["event"] == "end"
    checks = {each["name"]: each["level"] for each in told(lab, "doctor")["checks"]}
    assert (checks["memory"], checks["answers"]) == ("ok", "warn")
    plan = told(lab, "deploy", "--version", "v2", "--plan")
    kinds = [step["kind"] for step in plan["steps"]]
    assert kinds.index("start") < kinds.index("switch")
    assert {step["phase"] for step in plan["steps"]} == {"prepare", "switch", "settle"}
    assert "only-in-the-lab" not in json.dumps(plan)
    refused = lab.cyan("deploy", "--version", "v2", "--json", check=False)
    assert refused.returncode == 2
    assert "--plan --json" in refused.stderr


def test_status_is_shown_again_and_again_until_it_is_interrupted(lab: Lab) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cyan", "status", "--watch"],
        cwd=lab.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(6)
    process.terminate()
    said, wrong = process.communicate(timeout=30)
    assert said.count("live is") >= 2
    assert "Traceback" not in wrong
