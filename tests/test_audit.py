"""The audit of the lock file, with the real pip-audit and an advisory service of our own."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.tools import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not installed: ./setup"
)
OLD, NEW = "2.4.1", "3.1.6"
FLAW = {
    "id": "GHSA-462w-v97r-4m45",
    "modified": "2024-09-20T15:25:00Z",
    "published": "2019-04-10T14:30:24Z",
    "summary": "Jinja2 sandbox escape via string formatting",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
            "versions": [OLD],
        }
    ],
}
"""As the open source vulnerability database tells it: https://ossf.github.io/osv-schema/."""


class Service(http.server.BaseHTTPRequestHandler):
    """Knows one flaw, of one version; answers 500 to everybody where it is `ill`."""

    ill = False

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hit = (asked["package"]["name"], asked["version"]) == ("jinja2", OLD)
        body = json.dumps({"vulns": [FLAW]} if hit else {}).encode()
        self.send_response(500 if self.ill else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def service(*, ill: bool = False) -> Iterator[str]:
    handler = type("Ill", (Service,), {"ill": ill})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


def audited(folder: Path, url: str, *lines: str, **more: str) -> subprocess.CompletedProcess[str]:
    lock = folder / "requirements.lock"
    lock.write_text("".join(f"{line}\n" for line in lines))
    asked = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url}
    return subprocess.run(
        [sys.executable, PROJECT / ".ci/audit.py", str(lock)],
        env={**os.environ, "no_proxy": "127.0.0.1", "GITHUB_ACTIONS": "", **asked, **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pinned(version: str) -> str:
    return f"jinja2=={version} --hash=sha256:{'0' * 64}"


def test_a_version_that_is_known_to_be_vulnerable_fails_and_is_named(tmp_path: Path) -> None:
    with service() as url:
        done = audited(tmp_path, url, pinned(OLD))
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"jinja2 {OLD}: GHSA-462w-v97r-4m45, mended in 2.10.1" in done.stdout


def test_a_version_without_a_flaw_passes_and_says_how_many_were_looked_at(tmp_path: Path) -> None:
    with service() as url:
        done = audited(tmp_path, url, pinned(NEW))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 1 packages have a known vulnerability" in done.stdout


def test_our_own_lock_file_can_be_audited_as_it_is(tmp_path: Path) -> None:
    with service() as url:
        done = audited(tmp_path, url, (PROJECT / "requirements.lock").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "packages have a known vulnerability" in done.stdout


def test_a_service_that_cannot_be_reached_is_said_and_fails_nothing(tmp_path: Path) -> None:
    with socket.socket() as nobody:  # bound, and never listening
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        done = audited(tmp_path, url, pinned(OLD), GITHUB_ACTIONS="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "audit: NOT DONE: the advisory service did not answer" in done.stdout
    assert "::warning " in done.stdout


def test_a_service_that_is_ill_is_said_and_fails_nothing(tmp_path: Path) -> None:
    with service(ill=True) as url:
        done = audited(tmp_path, url, pinned(OLD))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "audit: NOT DONE: the advisory service did not answer" in done.stdout


def test_a_lock_file_that_cannot_be_read_is_no_silence_of_the_service(tmp_path: Path) -> None:
    with service() as url:
        done = audited(tmp_path, url, f"jinja2=={OLD}")  # no hash
    assert done.returncode == 2, done.stdout + done.stderr
    assert "pip-audit failed on" in done.stdout


def test_a_service_that_knows_no_package_is_not_taken_for_a_clean_bill(tmp_path: Path) -> None:
    """As a mirror without the advisories answers: 404 to everything."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import audit; sys.exit(audit._judged("
    skipped = "[{'name': 'jinja2', 'skip_reason': 'not found'}]))"
    done = subprocess.run(
        [sys.executable, "-c", code + skipped, str(PROJECT / ".ci")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0
    assert "NOT DONE: the advisory service knows none of the 1 packages" in done.stdout
