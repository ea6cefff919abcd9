"""Commands that remove or break things touch the lab only; elsewhere verification is agreed to."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab.harness import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab


@pytest.fixture
def production(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """The lab in the role of a production: another project's settings lead there, by its sshd.

    Its directory is no part of that project's lab, and nothing says that it may be broken.
    """
    lab.live("v1")
    for name in ("compose", "Caddyfile", "loadtests", "migrations"):
        (tmp_path / name).symlink_to(lab.folder / name)
    section = yaml.safe_load((lab.folder / "invoke.yaml").read_text())
    cyan: dict[str, Any] = section["cyan"]
    cyan["directory"] = str(tmp_path / "srv")
    (tmp_path / "srv").symlink_to(lab.folder / ".lab/host")
    cyan["lab"]["directory"] = str(lab.folder / ".lab")  # whose sshd runs already
    for host in cyan["hosts"]:
        host |= {key: str(lab.folder / host[key]) for key in ("identity", "known_hosts")}
    (tmp_path / "invoke.yaml").write_text(yaml.safe_dump(section))
    marker = lab.folder / ".lab/host/this-is-a-lab"
    shutil.move(marker, tmp_path / "marker")
    yield Lab(tmp_path, lab.app, lab.port)
    shutil.move(tmp_path / "marker", marker)


def elsewhere(production: Lab) -> None:
    """Let its host be reached by another sshd than the lab's own."""
    path = production.folder / "invoke.yaml"
    section = yaml.safe_load(path.read_text())
    section["cyan"]["lab"]["ssh_port"] = 1
    path.write_text(yaml.safe_dump(section))


@pytest.mark.parametrize("by", ["marker", "address"])
@pytest.mark.parametrize(
    "words",
    [
        ("lab.down", "--volumes"),
        ("lab.up",),
        ("chaos", "--minutes", "0.1"),
        ("verify-zero-downtime", "--quick"),
        ("verify-zero-downtime", "--quick", "--yes-on", "somebody@else:22"),
    ],
)
def test_what_is_no_lab_is_not_touched(
    production: Lab, lab: Lab, words: tuple[str, ...], by: str
) -> None:
    before, lines = lab.states(), lab.journal()
    if by == "address":
        elsewhere(production)
    done = production.cyan(*words, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "is not the lab" in done.stderr
    assert (lab.states(), lab.journal()) == (before, lines)


def test_verification_says_what_it_would_do_to_a_host_that_is_no_lab(production: Lab) -> None:
    elsewhere(production)
    done = production.cyan("verify-zero-downtime", "--quick", check=False)
    name = production.settings.hosts[0].name
    assert f"deploys v1, v2, v3 of {production.app} to {name}" in " ".join(done.stderr.split())
    assert f"--yes-on {name}" in done.stderr
