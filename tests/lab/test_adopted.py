"""An application that knows nothing of cyan, its own stack and both colors beside each other."""

from __future__ import annotations

import http.client
import json
import subprocess
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from cyan.adopted import AdoptedSettings
from cyan.application.color import Mould, color_file, upstream
from cyan.application.source import OURS, resolve
from cyan.names import Color
from cyan.proxies import caddyfile, markers
from tests.conftest import SHIFT
from tests.lab.harness import until
from tests.proxies.test_front import adopted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab

APP = "cyan-foreign"
OWN = f"""
name: {APP}
x-service: &service {{init: true, command: [python3, -m, http.server, "80"]}}
services:
  web: {{<<: *service, image: "cyan-demo/site:${{TAG}}"}}
  api: {{<<: *service, image: "cyan-demo/site:${{TAG}}"}}
  db: {{<<: *service, image: "cyan-demo/site:v1"}}
"""
ADDRESS = "import socket,sys; print(socket.gethostbyname(sys.argv[1]))"


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def address(container: str, network: str) -> str:
    form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return docker("inspect", "-f", form, container).strip()


def asked(container: str, name: str) -> str:
    """The address that a container has for a name; "" for an error."""
    done = subprocess.run(
        ["docker", "exec", container, "python3", "-c", ADDRESS, name],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[None]:
    """The application's own stack and both of its colors."""
    (tmp_path / "compose.yaml").write_text(OWN)
    config = {**resolve(tmp_path, (), (("TAG", "v2"),)), OURS: {"folder": str(tmp_path)}}
    (tmp_path / "own.json").write_text(json.dumps(config))
    known = AdoptedSettings.model_validate(
        {
            "project": APP,
            "services": {"web": "web", "api": "web", "db": "shared"},
            "routes": [{"service": "web", "port": 80}],
        }
    )
    files = {APP: tmp_path / "own.json"}
    for color in Color:
        mould = Mould(APP, color, "v2", "r", "ann", known, 5)
        files[f"{APP}-{color}"] = tmp_path / f"{color}.json"
        files[f"{APP}-{color}"].write_text(color_file(json.dumps(config), mould))
    try:
        for color in Color:
            docker("network", "create", f"{APP}-{color}")
        for project, file in files.items():
            docker("compose", "-p", project, "-f", str(file), "up", "-d", "--wait")
        yield
    finally:
        for project in reversed(files):
            docker("compose", "-p", project, "-f", str(files[project]), "down", "-t", "1")
        for color in Color:
            docker("network", "rm", f"{APP}-{color}")


@pytest.mark.usefixtures("three")
def test_a_name_means_the_own_colors_service_and_fails_closed_and_the_database_is_shared() -> None:
    own = f"{APP}_default"
    database = address(f"{APP}-db-1", own)
    assert asked(f"{APP}-web-1", "api") == address(f"{APP}-api-1", own)
    for color in Color:
        web, api = (f"{APP}-{color}-{name}-{color}-1" for name in ("web", "api"))
        mine = address(api, f"{APP}-{color}")
        assert {asked(web, "api") for _ in range(20)} == {mine}
        assert asked(api, upstream(APP, color, "web")) == address(web, f"{APP}-{color}")
        assert {asked(web, "db") for _ in range(20)} == {database}
        docker("stop", "-t", "1", api)
        assert asked(web, "api") == ""
        docker("start", api)
        assert asked(web, "api") == address(api, f"{APP}-{color}")


def test_caddy_takes_what_the_routes_of_two_applications_become(tmp_path: Path) -> None:
    routes = (
        {"service": "web", "port": 80},
        {"service": "api", "port": 9000, "path": "/images"},
        {"service": "api", "port": 9000, "host": "api.shop.example"},
    )
    site = {"domain": "shop.example", "tell_color": True, "keepalive": 2}
    tmp_path.chmod(0o755)
    (tmp_path / "more").write_text("encode gzip\n")
    more = {"assets": ["/_next/static/*", "/assets/*"], "snippet": str(tmp_path / "more")}
    first = adopted(tmp_path, *routes, site=site)
    assert first.adopted is not None
    second = adopted(tmp_path, app="blog")
    assert second.adopted is not None
    second = second.model_copy(
        update={"adopted": second.adopted.model_copy(update={**more, "snippet": tmp_path / "more"})}
    )
    for wanted in (first, second):
        for name, text in caddyfile.files(wanted):
            path = tmp_path / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    docker(
        *("run", "--rm", "--network", "none", "--user", "0", "--tmpfs", "/logs"),
        *("-v", f"{tmp_path}/config:/etc/caddy:ro", "cyan-demo/proxy:1"),
        *("caddy", "validate", "--adapter", "caddyfile", "--config", "/etc/caddy/Caddyfile"),
    )


@pytest.fixture
def both(tmp_path: Path) -> Iterator[int]:
    """Both colors behind the proxy, green live: each has an asset of its own. The site's port."""
    tmp_path.chmod(0o755)
    port, name = 18700 + SHIFT, f"cyan-both{SHIFT}"
    route = {"service": "web", "port": 80, "published": port}
    wanted = adopted(tmp_path, route, site={"sticky": True})
    assert wanted.adopted is not None
    assets = wanted.adopted.model_copy(update={"assets": ("/assets/*",)})
    for path, text in caddyfile.files(wanted.model_copy(update={"adopted": assets})):
        (tmp_path / "config" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "config" / path).write_text(text)
    (tmp_path / "traffic/shop").mkdir(parents=True)
    (tmp_path / "traffic/shop/green").touch()
    (tmp_path / "logs/shop").mkdir(parents=True)
    (tmp_path / "logs/shop").chmod(0o777)
    docker("network", "create", name)
    try:
        for color in Color:
            folder = tmp_path / color / "assets"
            folder.mkdir(parents=True)
            (folder / f"{color}.js").write_text(color)
            (folder.parent / "index.html").write_text(color)
            docker(
                *("run", "-d", "--init", "--name", f"{name}-{color}", "--network", name),
                *("--network-alias", upstream("shop", color, "web"), "--user", "0"),
                *("-v", f"{tmp_path}/{color}:/srv/pages:ro", "-w", "/srv/pages"),
                *("cyan-demo/site:v1", "python3", "-m", "http.server", "80"),
            )
        docker(
            *("run", "-d", "--name", f"{name}-proxy", "--network", name),
            *("-p", f"127.0.0.1:{port}:{port}", "-v", f"{tmp_path}/config:/etc/caddy:ro"),
            *("-v", f"{tmp_path}/traffic:/traffic:ro", "-v", f"{tmp_path}/logs:/logs"),
            "cyan-demo/proxy:1",
        )
        until(lambda: answer(port, "/")[0] == HTTPStatus.OK, "the site answers")
        yield port
    finally:
        for each in ("proxy", *Color):
            docker("rm", "-f", f"{name}-{each}")
        docker("network", "rm", name)


def answer(port: int, path: str) -> tuple[int, str]:
    """What the site answers; 0 where it does not."""
    return told(port, path)[:2]


def told(port: int, path: str = "/", cookie: str = "") -> tuple[int, str, str]:
    """The same to who has a cookie, and the one that it gives."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        found = connection.getresponse()
        return found.status, found.read().decode(), found.headers.get("Set-Cookie", "")
    except OSError:
        return 0, "", ""
    finally:
        connection.close()


def test_an_old_page_gets_its_assets_from_the_color_that_was_live(both: int) -> None:
    assert answer(both, "/") == (HTTPStatus.OK, "green")
    assert answer(both, "/assets/green.js") == (HTTPStatus.OK, "green")
    assert answer(both, "/assets/blue.js") == (HTTPStatus.OK, "blue")
    assert answer(both, "/assets/none.js")[0] == HTTPStatus.NOT_FOUND
    assert answer(both, "/blue.html")[0] == HTTPStatus.NOT_FOUND
    docker("rm", "-f", f"cyan-both{SHIFT}-blue")
    assert answer(both, "/assets/blue.js")[0] == HTTPStatus.NOT_FOUND, "and no 502"
    assert answer(both, "/assets/green.js") == (HTTPStatus.OK, "green")


def test_who_was_answered_by_the_new_color_stays_with_it_where_the_old_one_is_live_still(
    both: int, tmp_path: Path
) -> None:
    def run(command: str) -> None:
        subprocess.run(["bash", "-c", command], check=True)

    host, run_ = str(tmp_path / "host"), "20261121T013000.250Z-v1.2_3"
    (tmp_path / "host").mkdir()
    (tmp_path / "host/traffic").symlink_to(tmp_path / "traffic/shop")
    assert told(both) == (HTTPStatus.OK, "green", "")
    run(markers.pin_command(host, run_, Color.BLUE))
    assert told(both) == (HTTPStatus.OK, "green", ""), "not switched, and nobody stays"
    run(markers.switch_command(host, "green", "blue"))
    status, color, given = told(both, cookie="theirs=1")
    assert (status, color) == (HTTPStatus.OK, "blue")
    pinned = f"pin-{run_}; Path=/; HttpOnly; SameSite=Lax"
    assert given in {f"cyan-shop={pinned}", f"cyan-shop=/{pinned}"}
    mine = f"theirs=1; {given.partition(';')[0]}; last=2"
    run(markers.switch_command(host, "blue", "green"))  # as another host, which has to switch yet
    assert told(both, cookie=mine)[:2] == (HTTPStatus.OK, "blue")
    assert told(both)[:2] == (HTTPStatus.OK, "green")
    for forged in ("*", "pin-*", "pinned-blue", "blue", "pin-x", "pin-../blue"):
        said = told(both, cookie=f"cyan-shop={forged}")
        assert said[:2] == (HTTPStatus.OK, "green"), forged
    run(markers.pin_command(host, "another", Color.BLUE))
    assert told(both, cookie=mine)[:2] == (HTTPStatus.OK, "green"), "of an earlier run"
    run(markers.unpin_command(host))
    assert told(both, cookie=mine) == (HTTPStatus.OK, "green", "")
