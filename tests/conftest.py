"""One lab for the tests, beside the user's own: other names, other ports, its own folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.lab.harness import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parent.parent
PORTS = {"site": 18080, "tls": 18443, "blue": 18001, "green": 18002, "ssh": 12222}


def project_at(folder: Path, app: str, ports: dict[str, int]) -> Path:
    """A project of its own in `folder`, with this one's files and other names and ports."""
    for name in ("compose", "Caddyfile", "loadtests"):
        (folder / name).symlink_to(PROJECT / name)
    settings = yaml.safe_load((PROJECT / "invoke.yaml").read_text())
    cyan = settings["cyan"]
    cyan["app"] = app
    cyan["hosts"][0]["port"] = cyan["lab"]["ssh_port"] = ports["ssh"]
    cyan["site"]["port"] = ports["site"]
    cyan["site"]["tls_port"] = ports["tls"]
    cyan["doors"] = {"blue": ports["blue"], "green": ports["green"]}
    cyan["health"] = {"timeout": 60, "interval": 0.3, "passes": 2}
    cyan["bake"] = {"seconds": 1}
    cyan["verify"] |= {"steady": 8, "gap": 3}
    (folder / "invoke.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running lab; every test puts it into the state that it needs."""
    # not under /tmp/pytest-*: whose folders only their owner may enter, and containers must
    folder = project_at(tmp_path_factory.mktemp("lab"), "cyan-test", PORTS)
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    made = Lab(folder, PORTS["site"])
    made.cyan("lab.up")
    yield made
    made.cyan("lab.down", "--volumes", check=False)


@pytest.fixture
def command() -> list[str]:
    """The cyan command line."""
    return [sys.executable, "-m", "cyan"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A project whose lab does not run."""
    ports = {"site": 19080, "tls": 19443, "blue": 19001, "green": 19002, "ssh": 19222}
    return project_at(tmp_path, "cyan-bare", ports)
