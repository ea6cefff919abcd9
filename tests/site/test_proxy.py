"""The Caddyfile, and nginx's, in the real proxy: which marker sends a request where."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from cyan.configured import load
from cyan.proxies import nginx
from cyan.proxies.front import REQUESTS
from tests.conftest import APP
from tests.lab.harness import until
from tests.site import newer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.lab

PROJECT = Path(__file__).parent.parent.parent
NAME = f"{APP}-caddyfile"
CADDY = "/usr/bin/caddy"
BIG = "x" * 50_000
ECHO = f":8000\nheader /big X-Big {BIG}\nheader X-Accel-Redirect /elsewhere\nrespond {{$COLOR}}\n"
SETTINGS = {
    "app": "demo",
    "hosts": [{"address": "127.0.0.1"}],
    "directory": "/srv/demo",
    "stateless": ["web"],
    "stateful": ["proxy"],
    "proxy": "nginx",
    "public": {"service": "web"},
}


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Proxy:
    """A proxy with the project's Caddyfile, and a server of each color that says its color."""

    traffic: Path
    site: str
    doors: dict[str, str]
    is_nginx: bool

    def mark(self, *names: str) -> None:
        for path in self.traffic.iterdir():
            path.unlink()
        for name in names:
            (self.traffic / name).touch()


NGINX = "nginx"


def configured(kind: str, folder: Path) -> tuple[str, ...]:
    """What `docker run` is told of the proxy: its mounts, and its image."""
    if kind == NGINX:
        for path, text in nginx.files(load(SETTINGS, {}, folder)):
            file = folder / "config" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return ("--tmpfs", "/tmp", "-v", f"{folder}/config:/etc/nginx:ro", "cyan-demo/nginx:1")
    newest = () if kind.startswith("Debian") else ("-v", f"{newer.caddy()}:{CADDY}:ro")
    own = f"{PROJECT / 'Caddyfile'}:/etc/caddy/Caddyfile:ro"
    return ("-v", own, *newest, "cyan-demo/proxy:1")


@pytest.fixture(scope="module", params=["Debian's Caddy", f"Caddy {newer.VERSION}", NGINX])
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    traffic, logs = folder / "traffic", folder / "logs"
    traffic.mkdir()
    logs.mkdir()
    logs.chmod(0o777)
    (folder / "Echofile").write_text(ECHO)
    docker("network", "create", NAME)
    try:
        for color in ("blue", "green"):
            docker(
                *("run", "-d", "--name", f"{NAME}-{color}", "--network", NAME),
                *("--network-alias", color, "-e", f"COLOR={color}"),
                *("-v", f"{folder / 'Echofile'}:/etc/caddy/Caddyfile:ro", "cyan-demo/proxy:1"),
            )
        docker(
            *("run", "-d", "--name", NAME, "--network", NAME),
            *("-p", "127.0.0.1::8080", "-p", "127.0.0.1::8001", "-p", "127.0.0.1::8002"),
            *("-v", f"{traffic}:/traffic:ro", "-v", f"{logs}:/logs"),
            *configured(request.param, folder),
        )
        doors = {"blue": url(8001), "green": url(8002)}
        made = Proxy(traffic, url(8080), doors, request.param == NGINX)
        until(lambda: answers(made.doors["green"]), "the proxy answers")
        until(lambda: answers(made.doors["blue"]), "the proxy answers")
        yield made
    finally:
        docker("rm", "-f", NAME, f"{NAME}-blue", f"{NAME}-green")
        docker("network", "rm", NAME)


def url(port: int) -> str:
    return f"http://{docker('port', NAME, str(port)).splitlines()[0]}"


def answers(where: str) -> bool:
    try:
        return httpx.get(where).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    ("markers", "color"),
    [(("blue",), "blue"), (("green",), "green"), (("blue", "green"), "green")],
)
def test_the_marker_says_who_gets_a_request(
    proxy: Proxy, markers: tuple[str, ...], color: str
) -> None:
    proxy.mark(*markers)
    assert httpx.get(proxy.site).text == color
    assert httpx.post(proxy.site, content=b"body").text == color


def test_without_a_marker_a_plain_503_names_the_problem(proxy: Proxy) -> None:
    proxy.mark()
    answer = httpx.get(proxy.site)
    assert answer.status_code == 503
    assert re.search("no color (of demo )?is live", answer.text)


def test_what_an_application_answers_is_passed_on_as_it_is(proxy: Proxy) -> None:
    proxy.mark("blue")
    answer = httpx.get(f"{proxy.site}/big")
    assert (answer.text, answer.headers["X-Big"]) == ("blue", BIG)
    assert "Caddy" in answer.headers["Server"]  # that of the echo
    cookie = {"Cookie": f"session={BIG[:16_000]}"}
    assert httpx.get(proxy.site, headers=cookie).text == "blue"


def test_maintenance_wins_over_every_color(proxy: Proxy) -> None:
    proxy.mark("maintenance", "blue", "green")
    answer = httpx.get(proxy.site)
    assert answer.status_code == 503
    assert "maintenance" in answer.text


def test_a_lame_duck_asks_its_clients_to_reconnect(proxy: Proxy) -> None:
    proxy.mark("blue")
    assert httpx.get(proxy.site).headers.get("Connection") != "close"
    proxy.mark("blue", "lameduck")
    answer = httpx.get(proxy.site)
    assert (answer.text, answer.headers["Connection"]) == ("blue", "close")


def test_a_lame_duck_spares_who_asks_for_a_websocket(proxy: Proxy) -> None:
    proxy.mark("blue", "lameduck")
    asks = {"Connection": "Upgrade", "Upgrade": "websocket"}
    answer = httpx.get(proxy.site, headers=asks)  # the echo takes it for a request like any other
    assert answer.text == "blue"
    if not proxy.is_nginx:  # which says what becomes of the connection in a 101 itself
        assert answer.headers.get("Connection") != "close"


@pytest.mark.parametrize("held", ["hold-blue", "hold"])
def test_a_request_waits_where_it_is_to_and_goes_to_who_is_live_then(
    proxy: Proxy, held: str
) -> None:
    proxy.mark(held)
    with ThreadPoolExecutor(20) as pool:
        bodies = [bytes([number]) * 100_000 for number in range(20)]
        waiting = [pool.submit(httpx.post, proxy.site, content=body) for body in bodies]
        time.sleep(1)
        assert not any(each.done() for each in waiting)
        assert httpx.get(proxy.doors["green"]).text == "green"  # a door is no user's
        (proxy.traffic / held).rename(proxy.traffic / "green")
        answers = [each.result() for each in waiting]
    assert {(each.status_code, each.text) for each in answers} == {(200, "green")}


def test_who_waits_and_gives_up_is_forgotten_by_nginx(proxy: Proxy) -> None:
    if not proxy.is_nginx:
        pytest.skip("Caddy has it executed all the same: docs/hold.md")
    proxy.mark("hold-blue")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{proxy.site}/given-up", content=b"body", timeout=0.5)
    (proxy.traffic / "hold-blue").rename(proxy.traffic / "blue")
    assert httpx.get(f"{proxy.site}/after").text == "blue"
    time.sleep(1)
    said = (proxy.traffic.parent / "logs/access.json").read_text().splitlines()
    (told,) = (json.loads(line) for line in said if "given-up" in line)
    assert (told["status"], told["user_id"].split()[0]) == (
        499,
        told["request"]["headers"]["X-Request-Id"][0],
    )


def answered(connections: list[socket.socket]) -> list[socket.socket]:
    """Those on which something has come."""
    waits = select.poll()
    known = {made.fileno(): made for made in connections}
    for number in known:
        waits.register(number, select.POLLIN)
    return [known[number] for number, _ in waits.poll(0)]


def test_more_than_may_wait_are_told_to_come_back(proxy: Proxy) -> None:
    if not proxy.is_nginx:
        pytest.skip("of Caddy in tests/lab/test_hold.py")
    proxy.mark("hold-blue")
    connections = []
    try:
        host, _, port = proxy.site.removeprefix("http://").partition(":")
        for number in range(REQUESTS + 10):
            made = socket.create_connection((host, int(port)), 20)
            made.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
            connections.append(made)
        until(lambda: len(answered(connections)) >= 10, "the last ones are answered")
        told = answered(connections)
        refused = [made.recv(4096) for made in told]
        assert len(refused) == 10
        assert all(b"503 Service" in each and b"Retry-After: 5" in each for each in refused)
        (proxy.traffic / "hold-blue").rename(proxy.traffic / "blue")
        others = [made.recv(4096) for made in connections if made not in told]
        assert all(each.startswith(b"HTTP/1.1 200") for each in others)
    finally:
        for made in connections:
            made.close()


def test_nginx_begins_another_log_before_the_disk_is_full(tmp_path: Path) -> None:
    name, logs = f"{NAME}-log", tmp_path / "logs"
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    logs.mkdir()
    logs.chmod(0o1777)
    mounts = configured(NGINX, tmp_path)
    start = tmp_path / "config/start.sh"
    start.write_text(start.read_text().replace("sleep 30", "sleep 0.2"))
    words = ("run", "-d", "--name", name, "-v", f"{logs}:/logs", "-p", "127.0.0.1::8080")
    docker(*words, *mounts)
    try:
        site = f"http://{docker('port', name, '8080').splitlines()[0]}"
        until(lambda: refused(site), "it answers")
        for number in range(1, nginx.KEPT + 3):
            os.truncate(logs / "access.json", nginx.ROLLED + 1)
            until(rolled(logs, min(number, nginx.KEPT)), "it is rolled")
            until((logs / "access.json").exists, "it begins another")
            time.sleep(1)  # of two in one second the first would be lost
        # a worker opens the new one a moment after it is there
        log = logs / "access.json"
        until(lambda: refused(f"{site}/after") and "/after" in log.read_text(), "it is written to")
        assert (logs / "access.json").stat().st_size < 10_000
    finally:
        docker("rm", "-f", name)


def rolled(logs: Path, number: int) -> Callable[[], bool]:
    """Whether so many logs were rolled and kept."""
    return lambda: len([*logs.glob("access-*.json")]) == number


def refused(where: str) -> bool:
    try:
        return httpx.get(where).status_code == 503
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("color", ["blue", "green"])
def test_a_door_leads_to_its_color_whatever_the_marker_says(proxy: Proxy, color: str) -> None:
    for markers in (("blue",), ("green",), ("maintenance",), ()):
        proxy.mark(*markers)
        assert httpx.get(proxy.doors[color]).text == color


def test_the_admin_api_is_reached_from_inside_the_proxy_only(proxy: Proxy) -> None:
    if proxy.is_nginx:
        pytest.skip("nginx has none")
    inside = ("curl", "-fsS", "-m", "3", "http://localhost:2019/reverse_proxy/upstreams")
    assert "num_requests" in docker("exec", NAME, *inside)
    outside = ("curl", "-sS", "-m", "3", f"http://{NAME}:2019/config/")
    refused = subprocess.run(
        ["docker", "exec", f"{NAME}-blue", *outside], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
