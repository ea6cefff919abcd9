"""nginx's files, from the same routes as Caddy's, and what it says of requests in flight."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cyan.configured import load
from cyan.errors import HostError, UsageError
from cyan.hosts.site import headers
from cyan.names import Server
from cyan.proxies import caddyfile, error_log, front, nginx
from cyan.proxies.configuration import Configuration, configuration, others_only
from cyan.proxies.in_flight import parse

if TYPE_CHECKING:
    from cyan.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
WEB: dict[str, Any] = {"service": "web", "port": 8000, "published": 3000}
TLS = {"certificate": "/etc/ssl/shop.pem", "key": "/etc/ssl/shop.key"}
DEMO = {
    "app": "demo",
    "hosts": [{"address": "127.0.0.1"}],
    "directory": "/srv/demo",
    "stateless": ["web"],
    "stateful": ["database", "proxy"],
    "public": {"service": "web"},
}


def adopted(base: Path, *routes: dict[str, Any], **changes: Any) -> Settings:
    section = {
        "app": "my-shop",
        "hosts": [{"address": "127.0.0.1"}],
        "directory": "/srv/cyan/shop",
        "proxy": "nginx",
        "adopted": {
            "project": "shop",
            "services": {"web": "web", "api": "web", "db": "shared"},
            "routes": list(routes or (WEB,)),
            **changes.pop("adopted", {}),
        },
        **changes,
    }
    return load(section, {}, base)


def text(wanted: Settings, path: str) -> str:
    return dict(nginx.files(wanted))[path]


@pytest.mark.parametrize(
    ("stateful", "service"), [(["database", "proxy"], "proxy"), (["database", "nginx"], "nginx")]
)
def test_the_settings_say_nginx_and_a_service_may_be_called_so(
    tmp_path: Path, stateful: list[str], service: str
) -> None:
    wanted = load({**DEMO, "proxy": "nginx", "stateful": stateful}, {}, tmp_path)
    assert (wanted.server, wanted.proxy) == (Server.NGINX, service)
    assert configuration(wanted).folder == "/srv/demo/shared/proxy"


def test_the_host_s_proxy_is_nginx_with_its_image_or_the_one_that_is_given(tmp_path: Path) -> None:
    wanted = adopted(tmp_path)
    assert (wanted.server, wanted.proxy) == (Server.NGINX, "cyan-proxy")
    assert (wanted.host_proxy.server, wanted.host_proxy.image) == (Server.NGINX, "nginx:1")
    own = adopted(tmp_path, host_proxy={"image": "registry.example/nginx:2"})
    assert own.host_proxy.image == "registry.example/nginx:2"
    made = json.loads(front.compose_file(wanted.host_proxy, {"my-shop": ("3000",)}))
    service = made["services"]["cyan-proxy"]
    assert service["command"] == ["sh", "/etc/nginx/start.sh"]
    assert "/srv/cyan/proxy/config:/etc/nginx:ro" in service["volumes"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"site": {"domain": "shop.example"}, "proxy": "nginx"}, "nginx gets no certificate"),
        ({"site": {"certificate": "/a"}, "proxy": "nginx"}, "are given together"),
        ({"site": TLS, "proxy": "caddy"}, "Caddy gets its own"),
        ({"site": {**TLS, "key": "key.pem"}, "proxy": "nginx"}, "an absolute path"),
    ],
)
def test_a_certificate_that_is_missing_or_for_nobody_is_told(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        load({**DEMO, **changes}, {}, tmp_path)


def test_a_path_of_a_color_leads_to_its_service_the_longest_first(tmp_path: Path) -> None:
    api = {"service": "api", "port": 9000, "published": 3000}
    wanted = adopted(tmp_path, WEB, {**api, "path": "/api"}, {**api, "path": "/*.png"})
    lines = [line.strip() for line in text(wanted, "apps/my-shop.conf").splitlines()]
    routes = [line for line in lines if line.startswith('"~*^blue ')]
    assert routes == [
        r'"~*^blue /.*\.png$" my-shop-blue-api:9000;',
        '"~*^blue /api(/|$)" my-shop-blue-api:9000;',
        '"~*^blue " my-shop-blue-web:8000;',
    ]
    doors = text(wanted, "doors/my-shop.conf").splitlines()
    assert doors[-1] == '"~*^my-shop-green [^ ]* " my-shop-green-web:8000;'
    assert leads(doors, "my-shop-green shop.example /api/1") == "my-shop-green-api:9000"
    assert leads(doors, "my-shop-green shop.example /apiary") == "my-shop-green-web:8000"
    assert leads(doors, "another-green shop.example /api/1") == ""


def leads(lines: list[str], asked: str) -> str:
    """What a map of regular expressions, in nginx's words, makes of a text."""
    found = (re.fullmatch(r'"~\*(.*)" (\S+);', line) for line in lines)
    return next(
        (each[2] for each in found if each and re.search(each[1], asked, re.IGNORECASE)), ""
    )


def test_each_name_has_its_server_and_a_name_that_nobody_has_gets_none_of_them(
    tmp_path: Path,
) -> None:
    other = {"service": "api", "port": 9000, "host": "api.shop.example"}
    web = {"service": "web", "port": 8000}
    wanted = adopted(tmp_path, web, other, site={"domain": "shop.example", **TLS})
    app = text(wanted, "apps/my-shop.conf")
    assert app.count("listen 443 ssl http2;") == 2
    assert app.count("return 308 https://$host$request_uri") == 2
    assert "default_server" not in app
    assert "ssl_reject_handshake on;" in text(wanted, "ports/443.conf")
    assert "404: no such site" in text(wanted, "ports/80.conf")
    doors = text(wanted, "doors/my-shop.conf").splitlines()
    assert leads(doors, "my-shop-blue api.shop.example /") == "my-shop-blue-api:9000"
    assert leads(doors, "my-shop-blue shop.example /") == "my-shop-blue-web:8000"


def test_an_application_whose_name_begins_with_a_figure_has_variables_too(tmp_path: Path) -> None:
    app = text(adopted(tmp_path, app="1-shop"), "apps/1-shop.conf")
    assert "proxy_pass http://$in_1_shop_to1$request_uri;" in app
    assert not re.search(r"\$[0-9]", app)


def test_a_site_without_a_name_is_everybody_s_on_its_port(tmp_path: Path) -> None:
    assert "listen 3000 default_server;" in text(adopted(tmp_path), "apps/my-shop.conf")
    assert not any(path.startswith("ports/") for path, _ in nginx.files(adopted(tmp_path)))


def test_who_leaves_takes_its_own_files_and_leaves_those_of_all(tmp_path: Path) -> None:
    wanted = adopted(tmp_path, site={"domain": "shop.example", **TLS})
    assert set(configuration(wanted).own) == {
        *("apps/my-shop.conf", "doors/my-shop.conf"),
        *("certificates/my-shop.crt", "certificates/my-shop.key"),
    }
    assert {path for path, _ in others_only(wanted).files} == {"nginx.conf", "start.sh"}


@pytest.mark.parametrize(("put", "shared"), [("put", False), ("write", False), ("put", True)])
def test_a_certificate_is_copied_and_a_new_one_is_noticed(
    tmp_path: Path, put: str, *, shared: bool
) -> None:
    given, folder = tmp_path / "given.pem", tmp_path / "config"
    given.write_text("one")
    wanted = Configuration(
        *(str(folder), "traffic", (8009,), (("nginx.conf", "events {}"),), Server.NGINX),
        copied=((str(given), "certificates/a.crt"),),
    )
    folder.mkdir()
    folder.chmod(0o2775 if shared else 0o755)
    done = f"{wanted.put()} && {wanted.keep()}" if put == "put" else wanted.write()
    subprocess.run(["sh", "-c", done], check=True)
    copied = folder / "certificates/a.crt"
    assert copied.read_text() == "one"
    assert copied.stat().st_mode & 0o777 == (0o640 if shared else 0o600)
    same = subprocess.run(["sh", "-c", wanted.same()], check=False)
    given.write_text("two")
    other = subprocess.run(["sh", "-c", wanted.same()], check=False)
    assert (same.returncode, bool(other.returncode)) == (0, True)


NETS = {"BLUE": "172.18.0.0/16 fd00::/64 ", "GREEN": "172.19.0.0/16 "}
CONNECTIONS = """\
  sl  local_address rem_address   st
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000
   1: 020012AC:A001 050012AC:1F40 01 00000000:00000000
   2: 020012AC:A002 050012AC:1F40 08 00000000:00000000
   3: 020012AC:A003 050012AC:1F40 06 00000000:00000000
   4: 020012AC:1F90 050012AC:C001 01 00000000:00000000
   5: 020013AC:A004 050013AC:1F40 02 00000000:00000000
   6: 020014AC:A005 050014AC:1F40 01 00000000:00000000
   7: 0100007F:A006 GATE:07E4 01 00000000:00000000
   8: GATE:07E4 0100007F:A006 01 00000000:00000000
   9: GATE:07E4 00000000:0000 0A 00000000:00000000
"""
"""A blue connection that is open, one that blue has closed, one that is over; one from blue to us;
one to green that is being opened; one to somebody else; one that waits."""


def test_the_connections_to_a_color_s_network_are_the_requests_in_flight(tmp_path: Path) -> None:
    script = nginx.connections("demo")
    gate = re.search(r"gate=([0-9A-F]{8}):07E4", script)
    assert gate
    (tmp_path / "tcp").write_text(CONNECTIONS.replace("GATE", gate[1]))
    command = script.replace("/proc/net/tcp", str(tmp_path / "tcp"))
    said = subprocess.run(
        ["sh", "-c", command],
        env={**NETS, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    counts = parse(said, "demo")
    assert (counts.blue, counts.green, counts.waiting) == (2, 1, 1)


def test_an_answer_that_was_cut_off_is_told_in_caddy_s_words(tmp_path: Path) -> None:
    wanted = adopted(tmp_path)
    said = (
        "2026-11-27T12:46:57.943159605Z 2026/11/27 12:46:57 [error] 10#10: *31 upstream "
        "prematurely closed connection while sending to client, client: 172.18.0.1, server: _\n"
        "2026-11-27T12:46:58.000000001Z 2026/11/27 12:46:58 [error] 10#10: *32 connect() failed\n"
        "2026-11-27T12:46:59.000000001Z 2026/11/27 12:46:59 [notice] 1#1: signal process started\n"
    )
    told = [json.loads(line) for line in error_log.lines(wanted, said)]
    assert [each["msg"] == error_log.ABORTED for each in told] == [True, False]
    assert told[0]["ts"] == pytest.approx(1795783617.943159, abs=1e-5)
    assert "-t" in error_log.command(wanted, "abc", 1.5).split()


def test_what_the_user_adds_and_the_assets_of_old_pages_are_in_each_site(tmp_path: Path) -> None:
    snippet = tmp_path / "more.conf"
    snippet.write_text("add_header X-Frame-Options DENY always;\n")
    more = {"assets": ["/_next/static/*"], "snippet": str(snippet)}
    app = text(adopted(tmp_path, adopted=more, site={"tell_color": True}), "apps/my-shop.conf")
    assert "add_header X-Frame-Options DENY always;" in app
    assert r'location ~* "^/_next/static/.*$" {' in app
    assert '"~*^blue " my-shop-green-web:8000;' in app  # the other one
    assert "proxy_hide_header X-Color;" in app


def test_who_is_in_front_is_believed_and_only_where_nobody_else_can_come(tmp_path: Path) -> None:
    here = {**WEB, "bind": "127.0.0.1"}
    site = {"behind": "https", "host": "shop.example"}
    wanted = adopted(tmp_path, here, site=site)
    assert "X-Forwarded-For $proxy_add_x_forwarded_for" in text(wanted, "apps/my-shop.conf")
    assert "$proxy_add" not in text(adopted(tmp_path, here), "apps/my-shop.conf")
    assert headers(wanted, {}) == {"Host": "shop.example", "X-Forwarded-Proto": "https"}
    block = nginx.in_front(wanted)
    assert "server_name shop.example;" in block
    assert "proxy_pass http://127.0.0.1:3000;" in block
    assert "listen 443 ssl http2;" in block
    by_caddy = adopted(tmp_path, here, site=site, proxy="caddy")
    assert caddyfile.sites_of(by_caddy).count("trusted_proxies private_ranges") == 8
    for changes, says in (
        ({"site": site}, "port 3000 is open to everybody"),
        ({"site": {"behind": "https", "domain": "shop.example", **TLS}}, "has the domain"),
        ({"site": {"behind": "ftp"}}, "'http' or 'https'"),
        ({"site": {"keepalive": 3}}, "keepalive is for Caddy"),
    ):
        with pytest.raises(UsageError, match=says):
            adopted(tmp_path, WEB, **changes)


def test_the_demos_file_with_nginx_differs_in_the_proxy_only() -> None:
    with_caddy, with_nginx = (
        yaml.safe_load((PROJECT / "compose" / name).read_text())
        for name in ("stateful.yml", "nginx.yml")
    )
    assert with_nginx["services"]["database"] == with_caddy["services"]["database"]
    assert with_nginx["networks"] == with_caddy["networks"]
    proxies = [told["services"]["proxy"] for told in (with_caddy, with_nginx)]
    same = {"ports", "networks", "restart", "read_only", "security_opt", "cap_drop", "labels"}
    for key in same:
        assert proxies[0][key] == proxies[1][key], key


@pytest.mark.parametrize("nets", [{}, {"GREEN": ""}, {"BLUE": "fd00::/64"}])
def test_where_a_network_is_not_known_the_count_is_no_zero(nets: dict[str, str]) -> None:
    said = subprocess.run(
        ["sh", "-c", nginx.connections("demo")],
        env={**(NETS if nets else {}), **nets, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    with pytest.raises(HostError, match="nonsense"):
        parse(said, "demo")


@pytest.mark.parametrize("taken", [True, False, None])
def test_what_nginx_does_not_take_leaves_its_files_as_they_were(
    tmp_path: Path, *, taken: bool | None
) -> None:
    """None: there is no room for a copy of what one would go back to."""
    config, traffic, bin_ = (tmp_path / name for name in ("config", "traffic", "bin"))
    for each in (config, traffic, bin_):
        each.mkdir()
    (config / "nginx.conf").write_text("old")
    docker = bin_ / "docker"  # stands for a container whose nginx refuses what is valid
    refuses = "0" if taken else "1"
    docker.write_text(f'#!/bin/sh\ncase "$*" in *"-s reload"*) exit {refuses} ;; esac\n')
    docker.chmod(0o755)
    if taken is None:
        full = bin_ / "cp"
        full.write_text('#!/bin/sh\n[ "$1" != -p ] || { : >"$3"; exit 1; }\nexec /bin/cp "$@"\n')
        full.chmod(0o755)
    files = (("nginx.conf", "new"), ("apps/a.conf", "new"))
    wanted = Configuration(str(config), str(traffic), (8009,), files, Server.NGINX)
    script = f"{wanted.put()} && {{ {wanted.load('c1', force=False, lameduck=0)}\n}}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{bin_}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if taken else 1), done.stderr
    assert (config / "nginx.conf").read_text() == ("new" if taken else "old")
    there = {str(path.relative_to(config)) for path in config.rglob("*") if path.is_file()}
    assert there == {"nginx.conf", *(["apps/a.conf"] if taken else [])}
    assert list(traffic.iterdir()) == []
