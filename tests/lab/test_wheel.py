"""A deployer's installation: the wheel alone, in an environment without the laboratory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.conftest import PROJECT
from tests.lab.harness import settings_section

if TYPE_CHECKING:
    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab

UV = str(Path(sys.executable).with_name("uv"))
LABORATORY = ("locust", "pandas", "plotly", "scipy", "pyarrow", "squawk")


def done(*words: str | Path, cwd: Path) -> str:
    ran = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel and what it depends on; its folder."""
    folder = tmp_path_factory.mktemp("installed")
    done(UV, "build", "-q", "--wheel", "-o", folder, PROJECT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "venv"
    done(UV, "venv", "-q", "--python", sys.executable, environment, cwd=folder)
    lock = PROJECT / "requirements.lock"
    into = ("--python", environment / "bin/python")
    done(UV, "pip", "install", "-q", *into, "-c", lock, wheel, cwd=folder)
    return environment


def elsewhere(lab: Lab, folder: Path, installed: Path) -> Path:
    """A project in another folder for the lab's host, with the wheel's own files for its site."""
    section: dict[str, Any] = settings_section(lab.folder)
    (bundle,) = installed.glob("lib/python3*/site-packages/cyan/bundle")
    shutil.copytree(bundle / "compose", folder / "compose")
    for key in ("identity", "known_hosts"):
        section["hosts"][0][key] = str(lab.folder / section["hosts"][0][key])
    section["secrets"] = {"file": str(PROJECT / "compose/lab.env")}
    section["directory"] = str(lab.folder / section["directory"])
    del section["caddyfile"], section["verify"], section["lab"], section["migrate"]
    (folder / "invoke.yaml").write_text(yaml.safe_dump({"cyan": section}))
    return folder


def test_a_wheel_deploys_from_another_folder_without_the_laboratory(
    lab: Lab, tmp_path: Path, installed: Path
) -> None:
    packages = done(UV, "pip", "list", "-q", "--python", installed / "bin/python", cwd=tmp_path)
    assert not [name for name in LABORATORY if name in packages]
    cyan, folder = installed / "bin/cyan", elsewhere(lab, tmp_path, installed)
    lab.live("v1")
    assert "the shared services run" in (said := done(cyan, "provision", cwd=folder))
    assert "Caddyfile" not in said  # the wheel's own is what the lab's proxy runs
    with lab.load() as client:
        done(cyan, "deploy", "--version", "v2", cwd=folder)
        assert lab.answering()[1] == "v2"
        done(cyan, "rollback", cwd=folder)
    assert lab.answering()[1] == "v1"
    assert client.errors == []
    assert "v1" in done(cyan, "status", cwd=folder)
    lab.is_clean()


def test_what_needs_the_laboratory_says_so_before_anything_is_touched(
    lab: Lab, tmp_path: Path, installed: Path
) -> None:
    folder = elsewhere(lab, tmp_path, installed)
    for words in (["verify-zero-downtime"], ["chaos"], ["lab.up"], ["hammer"]):
        ran = subprocess.run(
            [installed / "bin/cyan", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 2, ran.stderr
        assert "pip install 'cyan[proof]'" in ran.stderr
    assert not (folder / "reports").exists()
