"""The Caddyfile in the real proxy: which marker sends a request where."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.conftest import APP
from tests.lab.harness import until
from tests.site import newer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

PROJECT = Path(__file__).parent.parent.parent
NAME = f"{APP}-caddyfile"
CADDY = "/usr/bin/caddy"
ECHO = ":8000\nrespond {$COLOR}\n"


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

    def mark(self, *names: str) -> None:
        for path in self.traffic.iterdir():
            path.unlink()
        for name in names:
            (self.traffic / name).touch()


@pytest.fixture(scope="module", params=["Debian's Caddy", f"Caddy {newer.VERSION}"])
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    mounts = () if request.param.startswith("Debian") else ("-v", f"{newer.caddy()}:{CADDY}:ro")
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
            *("-v", f"{PROJECT / 'Caddyfile'}:/etc/caddy/Caddyfile:ro", *mounts),
            "cyan-demo/proxy:1",
        )
        made = Proxy(traffic, url(8080), {"blue": url(8001), "green": url(8002)})
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
    assert "no color is live" in answer.text


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


@pytest.mark.parametrize("color", ["blue", "green"])
def test_a_door_leads_to_its_color_whatever_the_marker_says(proxy: Proxy, color: str) -> None:
    for markers in (("blue",), ("green",), ("maintenance",), ()):
        proxy.mark(*markers)
        assert httpx.get(proxy.doors[color]).text == color


def test_the_admin_api_is_reached_from_inside_the_proxy_only(proxy: Proxy) -> None:
    del proxy
    inside = ("curl", "-fsS", "-m", "3", "http://localhost:2019/reverse_proxy/upstreams")
    assert "num_requests" in docker("exec", NAME, *inside)
    outside = ("curl", "-sS", "-m", "3", f"http://{NAME}:2019/config/")
    refused = subprocess.run(
        ["docker", "exec", f"{NAME}-blue", *outside], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
