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


HERE = f"127.0.0.1:{PORTS['ssh']}"


def fab(lab: Lab, *words: str) -> str:
    """What fab prints, run as an operator would, in the lab's project."""
    done = ran(lab, HERE, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(lab: Lab, where: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command `fab -H WHERE WORDS...`."""
    for name in ("fabfile.py", "setup"):
        link = lab.folder / name
        if not link.exists():
            link.symlink_to(PROJECT / name)
    return subprocess.run(
        [str(Path(sys.executable).parent / "fab"), "-H", where, *words],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_host_elsewhere_does_not_get_a_folder_of_this_machine(lab: Lab) -> None:
    done = ran(lab, "deploy@192.0.2.1", "provision")
    assert done.returncode == 2, done.stderr
    assert "would be taken from this machine's folders" in done.stderr


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
