"""The host's side by `fab`, on a host that is named on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PORTS

if TYPE_CHECKING:
    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab

PROJECT = Path(__file__).parent.parent.parent


def fab(lab: Lab, *words: str) -> str:
    """Run fab as an operator would, in the lab's project."""
    for name in ("fabfile.py", "setup"):
        link = lab.folder / name
        if not link.exists():
            link.symlink_to(PROJECT / name)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "fab"), "-H", f"127.0.0.1:{PORTS['ssh']}", *words],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_live_color_is_read_from_the_marker(lab: Lab) -> None:
    lab.live("v1")
    assert f"live: {lab.answering()[0]}" in fab(lab, "switch-state")


def test_a_prepared_host_is_provisioned_again_without_a_change(lab: Lab) -> None:
    lab.live("v1")
    before = lab.containers(lab.answering()[0])
    said = fab(lab, "provision")
    assert "answers" in said
    assert "the shared services run" in said
    assert lab.containers(lab.answering()[0]) == before


def test_status_and_logs_are_those_of_inv(lab: Lab) -> None:
    lab.live("v1")
    assert "v1" in fab(lab, "status")
    assert f"{lab.app}-database-1" in fab(lab, "logs", "--service", "database")
