"""What a release's folder gets on the host, by a real shell."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from cyan.application.partial import Live
from cyan.engines.compose import Project
from cyan.releases.contents import Contents, write


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Two releases: r1, whose services stay, and r2, to which its own files were sent already."""
    for path in ("r1/files/conf/a.txt", "r1/files/web.toml", "r2/files/web.toml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path[:2])
    return tmp_path


def written(releases: Path, *mounted: str) -> subprocess.CompletedProcess[str]:
    project = Project("shop-blue", PurePosixPath(releases / "r2"))
    script = write(project, (), Contents(live=Live("r1", "{}", mounted)))
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def test_what_stays_finds_its_files_in_a_release_that_replaces_a_part(releases: Path) -> None:
    assert written(releases, "conf/a.txt", "web.toml").returncode == 0
    files = releases / "r2/files"
    assert (files / "conf/a.txt").read_text() == "r1"
    assert (files / "web.toml").read_text() == "r2", "what came with it is newer"


def test_a_file_that_is_gone_ends_it_before_anybody_waits(releases: Path) -> None:
    assert written(releases, "gone.conf", "conf/a.txt").returncode != 0
