"""A color that takes no connection for a moment: how long Caddy asks, and that it must."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from cyan.proxies.caddyfile import DIAL
from tests.conftest import APP
from tests.lab.harness import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

NAME = f"{APP}-backlog"
BUSY = """
import http.server, socket, sys, threading, time
listening = socket.create_server(("", 8000), backlog=0)
listening.settimeout(None)
def full():  # two that nobody accepts: the next one's first asking is dropped
    kept = [socket.create_connection(("127.0.0.1", 8000)) for _ in range(1)]
    second = socket.socket(); second.setblocking(False); second.connect_ex(("127.0.0.1", 8000))
    time.sleep(0.2); print("full", flush=True); time.sleep(2.4)
    for each in (*kept, second): each.close()
full()
while True:
    asked, _ = listening.accept()
    if asked.recv(65536): asked.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    asked.close()
"""
CADDY = ":8080\nreverse_proxy busy:8000 {{\n transport http {{\n dial_timeout {dial}\n }}\n}}\n"


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(params=["2s", DIAL])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """How long it asks, and where the site is, whose application is about to be full."""
    file = tmp_path / "Caddyfile"
    file.write_text(CADDY.format(dial=request.param))
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    docker("network", "create", NAME)
    try:
        mounted = ("-v", f"{file}:/etc/caddy/Caddyfile:ro", "-p", "127.0.0.1::8080")
        docker("run", "-d", "--name", NAME, "--network", NAME, *mounted, "cyan-demo/proxy:1")
        where = f"http://{docker('port', NAME, '8080').splitlines()[0]}"
        until(lambda: answering(where) == 502, "the proxy answers, and nobody is behind it")
        yield request.param, where
    finally:
        subprocess.run(
            ["docker", "rm", "-f", NAME, f"{NAME}-busy"], capture_output=True, check=False
        )
        docker("network", "rm", NAME)


def answering(where: str) -> int:
    try:
        return httpx.get(where, timeout=20).status_code
    except httpx.HTTPError:
        return 0


def test_who_comes_while_a_backlog_is_full_is_answered_by_the_kernels_second_or_third_asking(
    site: tuple[str, str],
) -> None:
    dial, where = site
    run = ("--network", NAME, "--network-alias", "busy", "cyan-demo/site:v1")
    docker("run", "-d", "--name", f"{NAME}-busy", *run, "python3", "-c", BUSY)
    until(lambda: "full" in docker("logs", f"{NAME}-busy"), "its backlog is full")
    assert answering(where) == (200 if dial == DIAL else 502)
