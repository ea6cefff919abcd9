"""`cyan init --check`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(not shutil.which("docker"), reason="Compose is not installed")
PROJECT = Path(__file__).parents[2]
PLAIN = """\
services:
  web: {build: ., ports: ["80:8000"], environment: {TOKEN: "${TOKEN}"}}
  beat: {image: shop, command: celery -A shop beat}
  db: {image: "postgres:16", volumes: ["data:/var/lib/postgresql/data"]}
volumes: {data: {}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def made(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cyan", "init", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return made


def test_a_plain_application_is_shown_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(PLAIN)
    (tmp_path / ".env").write_text("TOKEN=x\n")
    done = run("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "route    any host/ → web:8000" in done.stdout
    assert "beat never runs twice" in done.stdout
    assert "It can be rotated as it is: beat, web." in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"compose.yaml", ".env"}


def test_what_is_to_be_decided_is_exit_code_1_also_for_machines(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(PLAIN)
    (tmp_path / "two.yml").write_text("services: {proxy: {image: traefik, ports: ['443:443']}}")
    done = run("--check", "--json", "--file", "one.yml", "--file", "two.yml")
    assert done.returncode == 1
    made = json.loads(done.stdout)
    assert made["services"]["proxy"]["role"] == "proxy"
    assert [each["safe"] for each in made["questions"]] == ["keep"]
    said = run("--check", "--file", "one.yml", "--file", "two.yml", "--service", "proxy=tool")
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("", ["--check"], "there is no Compose file in"),
        ("services: {web: {image: 5}}", ["--check"], "Compose does not take these files"),
        (PLAIN, ["--check", "--service", "wbe=tool"], "no service is called 'wbe'"),
        (PLAIN, ["--check", "--service", "web=robot"], "'robot' is no role of a service"),
        (PLAIN, ["--check", "--file", "nowhere.yml"], "nowhere.yml"),
        (PLAIN, [], "--check is all that init does yet"),
    ],
)
def test_bad_input_is_exit_code_2_with_what_to_do(
    run: Run, tmp_path: Path, text: str, words: list[str], said: str
) -> None:
    if text:
        (tmp_path / "compose.yaml").write_text(text)
    done = run(*words)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hostile_file_name_reaches_no_shell(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a$(touch canary);b.yml").write_text(PLAIN)
    done = run("--check", "--file", "a$(touch canary);b.yml")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()
