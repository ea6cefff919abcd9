"""A proxy of the user's own stays in front, and deploys do not touch it."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SHIFT
from tests.lab.foreign_apps import PORT, Foreign, foreign
from tests.lab.harness import until
from tests.lab.visitors import visitors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["foreign"]

pytestmark = pytest.mark.lab

FRONT = PORT + 40
NAME = f"cyan-in-front{SHIFT or ''}"


@pytest.fixture
def in_front(tmp_path: Path) -> Iterator[Path]:
    """An nginx of this machine's, as far as cyan knows: it includes `sites/*.conf`."""
    sites = tmp_path / "sites"
    sites.mkdir()
    main = "events {} http { access_log off; include /sites/*.conf; }"
    (tmp_path / "nginx.conf").write_text(main)
    mounts = ("-v", f"{tmp_path}/nginx.conf:/etc/nginx/nginx.conf:ro", "-v", f"{sites}:/sites:ro")
    words = ("docker", "run", "-d", "--name", NAME, "--network", "host", *mounts)
    started = ("nginx", "-g", "daemon off;")
    tmp_path.chmod(0o755)
    subprocess.run((*words, "cyan-demo/nginx:1", *started), check=True, capture_output=True)
    yield sites
    subprocess.run(("docker", "rm", "-f", NAME), check=True, capture_output=True)


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["chunked", "chunked@nginx"], indirect=True)
def test_its_users_are_known_by_what_it_says_and_no_deploy_touches_it(
    foreign: Foreign, in_front: Path
) -> None:
    foreign.adopt("--behind", "http", "--domain", "shop.example")
    (written,) = (each.read_text() for each in foreign.folder.glob("nginx-*.conf"))
    (in_front / "shop.conf").write_text(written.replace("listen 80;", f"listen {FRONT};"))
    subprocess.run(("docker", "exec", NAME, "nginx", "-s", "reload"), check=True)
    until(lambda: foreign.answers(FRONT), "it leads to the own stack")
    before = subprocess.run(("docker", "top", NAME, "-o", "pid"), check=True, capture_output=True)
    with visitors(FRONT, orders=False) as seen:
        time.sleep(1)
        foreign.cyan("deploy", "--version", "v1", "--take-over")
        foreign.cyan("deploy", "--version", "v2")
        foreign.cyan("rollback")
    assert (seen.failures, seen.on_kept) == ([], [])
    assert seen.versions == {"v0", "v1", "v2"}
    ours = subprocess.run(("ss", "-Hltn", f"sport = :{PORT}"), check=True, capture_output=True)
    assert ours.stdout.split()[3] == f"127.0.0.1:{PORT}".encode()
    told = foreign.text("/headers", FRONT, {"Host": "shop.example", "X-Forwarded-For": "1.2.3.4"})
    assert "X-Forwarded-For: 1.2.3.4, 127.0.0.1" in told
    assert "Host: shop.example" in told
    assert "X-Forwarded-Proto: http" in told
    after = subprocess.run(("docker", "top", NAME, "-o", "pid"), check=True, capture_output=True)
    # not even its workers are others; those of our own reload may have ended
    assert set(after.stdout.split()) <= set(before.stdout.split())
