"""What `cyan init` is told of the programs of a host."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        (("--engine", "containerd"), "cyan knows no engine 'containerd'"),
        (("--proxy", "haproxy"), "cyan knows no proxy 'haproxy'"),
    ],
)
def test_a_program_that_cyan_does_not_know_is_refused_before_anything_is_read(
    tmp_path: Path, flag: tuple[str, str], said: str
) -> None:
    words = [sys.executable, "-m", "cyan", "init", *flag]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "one of: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not shutil.which("docker"), reason="Compose is not installed")
def test_what_a_swarm_would_leave_out_is_said_when_the_application_is_adopted(
    tmp_path: Path,
) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  web: {build: ., ports: ['8080:80'], security_opt: ['no-new-privileges:true']}\n"
    )
    words = [sys.executable, "-m", "cyan", "init", "--yes", "--engine", "swarm"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stderr
    assert "Docker Swarm has nothing for web:security_opt: deploy refuses that" in said
    assert "images are on the manager only" in said
