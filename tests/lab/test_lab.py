"""The lab itself: strict host keys, ports that are taken, and what another checkout left."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.conftest import APP, BARE, PORTS, project_at
from tests.lab.harness import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_an_unknown_host_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    stranger = project_at(
        tmp_path, APP, {"site": 1, "tls": 4, "blue": 2, "green": 3, "ssh": PORTS["ssh"]}
    )
    shutil.copytree(lab.folder / ".lab", stranger / ".lab", ignore=lambda *_: ["host"])
    (stranger / ".lab/known_hosts").unlink()
    done = run(stranger, "status")
    assert done.returncode == 1
    assert "not found in known_hosts" in done.stderr
    assert "pin its key first" in done.stderr


def test_a_changed_host_key_is_refused_as_an_impostor(lab: Lab, tmp_path: Path) -> None:
    stranger = project_at(
        tmp_path, APP, {"site": 1, "tls": 4, "blue": 2, "green": 3, "ssh": PORTS["ssh"]}
    )
    shutil.copytree(lab.folder / ".lab", stranger / ".lab", ignore=lambda *_: ["host"])
    other = (stranger / ".lab/client_key.pub").read_text().split()[1]
    (stranger / ".lab/known_hosts").write_text(f"[127.0.0.1]:{PORTS['ssh']} ssh-ed25519 {other}\n")
    done = run(stranger, "status")
    assert done.returncode == 1
    assert "impostor" in done.stderr


def test_a_taken_port_is_an_error_that_names_its_holder(bare: Path) -> None:
    handler = http.server.SimpleHTTPRequestHandler
    server = http.server.ThreadingHTTPServer(("127.0.0.1", BARE["ssh"]), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = run(bare, "lab.up")
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 2
    assert f"port {BARE['ssh']} is held by process" in done.stderr
    assert sys.executable.rsplit("/", maxsplit=1)[-1] in done.stderr


def test_a_lab_that_does_not_run_is_said_to_be_so(bare: Path) -> None:
    done = run(bare, "deploy", "--version", "v1")
    assert done.returncode == 1
    assert "inv lab.up" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.nightly
def test_what_another_checkout_left_is_taken_over(tmp_path: Path) -> None:
    folders = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        folders.append(project_at(tmp_path / name, f"{APP}-twice", BARE))
    first, second = folders
    for parent in (tmp_path, *tmp_path.parents):
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    try:
        assert run(first, "lab.up").returncode == 0
        assert run(first, "deploy", "--version", "v1").returncode == 0
        took = run(second, "lab.up")
        assert took.returncode == 0, took.stderr
        assert "had left" in took.stdout
        assert "nothing is live" in run(second, "status").stdout
        with socket.create_connection(("127.0.0.1", BARE["site"]), timeout=5):
            pass
    finally:
        assert run(second, "lab.down", "--volumes").returncode == 0
    assert (
        f"{APP}-twice"
        not in subprocess.run(
            ["docker", "ps", "-a"], capture_output=True, text=True, check=True
        ).stdout
    )
