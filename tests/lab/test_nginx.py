"""What is nginx's own: a certificate of the user's, and a reload of its configuration."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from cyan.proxies import nginx
from tests.conftest import APP
from tests.lab import certificates
from tests.lab.harness import until
from tests.lab.test_upgrade import nothing_is_left, proxy
from tests.proxies.test_nginx import WEB, adopted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def shown(lab: Lab) -> str:
    """The certificate that the site shows, PEM."""
    return ssl.get_server_certificate(("127.0.0.1", lab.settings.site.tls_port))


def test_a_renewed_certificate_is_loaded_and_a_broken_one_is_not(nginx_lab: Lab) -> None:
    lab = nginx_lab
    lab.live("v1")
    given = lab.settings.site.certificate
    assert given is not None
    before = given.read_text()
    assert shown(lab).split() == before.split()
    with lab.load() as client:
        certificates.made(lab.folder, "localhost")
        assert "another configuration" not in lab.cyan("doctor").stdout  # of its text only
        said = lab.cyan("proxy.reload").stdout
        assert "the nginx.conf is loaded" in said
        new = given.read_text()
        assert shown(lab).split() == new.split() != before.split()
        given.write_text("no certificate")
        refused = lab.cyan("proxy.reload", check=False)
        assert refused.returncode == 1
        assert "the nginx.conf is not valid" in refused.stderr
        assert "goes on with the nginx.conf that it has" in refused.stderr
        given.unlink()
        gone = lab.cyan("proxy.reload", check=False)
        assert (gone.returncode, str(given) in gone.stderr) == (1, True)
        assert shown(lab).split() == new.split()
        certificates.made(lab.folder, "localhost")
        lab.cyan("proxy.reload")
    client.saw_no_drop()
    config = lab.folder / ".lab/host/shared/proxy"
    assert not [path for path in config.rglob("*") if path.suffix in {".old", ".new"}]
    assert lab.markers() == {lab.answering()[0]}


@pytest.mark.nightly
def test_an_upgrade_of_nginx_is_noticed_by_nobody_and_one_that_cannot_start_is_refused(
    nginx_lab: Lab,
) -> None:
    lab = nginx_lab
    lab.live("v1")
    before = proxy(lab)
    with lab.load() as client:
        lab.cyan("proxy.upgrade")
        now = proxy(lab)
        assert now != before
        given = lab.settings.site.certificate
        assert given is not None
        good = shutil.copy(given, lab.folder / "good.pem")
        given.write_text("no certificate")
        refused = lab.cyan("proxy.upgrade", check=False)
        shutil.copy(good, given)
        assert refused.returncode == 1
        assert "untouched" in refused.stderr
        assert proxy(lab) == now
    client.saw_no_drop()
    nothing_is_left(lab)
    lab.is_clean()


def test_the_sites_of_several_applications_are_kept_apart(tmp_path: Path) -> None:
    """Names over HTTPS, one of any name on a port of its own, assets, and what a user adds."""
    name, config, traffic = f"{APP}-sites", tmp_path / "config", tmp_path / "traffic"
    snippet = tmp_path / "more.conf"
    snippet.write_text("add_header X-More yes always;\n")
    given = certificates.made(tmp_path, "shop.example", "api.shop.example")
    api = {"service": "api", "port": 9000, "host": "api.shop.example", "path": "/v1"}
    more = {"assets": ["/_next/static/*"], "snippet": str(snippet)}
    web = {"service": "web", "port": 8000}
    shop = adopted(tmp_path, web, api, site={"domain": "shop.example", **given}, adopted=more)
    blog = adopted(tmp_path, WEB, app="blog")
    for each in (shop, blog):
        for path, text in nginx.files(each):
            (config / path).parent.mkdir(parents=True, exist_ok=True)
            (config / path).write_text(text)
        (traffic / each.app).mkdir(parents=True)
        (tmp_path / "logs" / each.app).mkdir(parents=True)
    (config / "certificates").mkdir()
    for source, path in nginx.certificates(shop):
        shutil.copy(source, config / path)
    mounts = [f"{config}:/etc/nginx:ro", f"{traffic}:/traffic:ro", f"{tmp_path}/logs:/logs"]
    words = ["docker", "run", "-d", "--name", name, "--network", "none", "--tmpfs", "/tmp"]
    words += [word for each in mounts for word in ("-v", each)]
    subprocess.run([*words, "cyan-demo/nginx:1"], check=True, capture_output=True)

    def asked(url: str, *more: str) -> str:
        resolved = ("shop.example", "api.shop.example", "nobody.example")
        places = [f"{host}:{port}:127.0.0.1" for host in resolved for port in (80, 443)]
        where = [word for place in places for word in ("--resolve", place)]
        curl = ("curl", "-sk", "-m", "9", "-w", " %{http_code} %{redirect_url}", *where, *more, url)
        done = subprocess.run(["docker", "exec", name, *curl], capture_output=True, check=False)
        return done.stdout.decode().strip()

    try:
        until(lambda: "no color of blog" in asked("http://127.0.0.1:3000/"), "it answers")
        assert asked("http://shop.example/a?b=1").endswith(" 308 https://shop.example/a?b=1")
        assert asked("http://nobody.example/") == "404: no such site 404"
        assert asked("https://nobody.example/") == "000"  # no handshake
        assert "no color of my-shop is live 503" in asked("https://shop.example/")
        assert "no color of my-shop is live 503" in asked("https://api.shop.example/v1/x")
        told = asked("https://shop.example/", "-i")
        assert told.startswith("HTTP/2 503")
        assert "x-more: yes" in told
        assert "more" not in asked("http://127.0.0.1:3000/", "-i").lower()
        (traffic / "my-shop/maintenance").touch()
        for path in ("/", "/_next/static/a.js"):
            assert "the site is in maintenance 503" in asked(f"https://shop.example{path}")
        assert "no color of blog" in asked("http://127.0.0.1:3000/")
        assert asked("http://127.0.0.1:8009/", "-H", "X-Cyan-Door: nobody-blue").endswith("404")
        color = asked("http://127.0.0.1:8009/", "-H", "X-Cyan-Door: blog-blue")
        assert "502" in color  # nobody is there
    finally:
        said = subprocess.run(["docker", "logs", name], capture_output=True, check=False).stderr
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
    assert b"[emerg]" not in said
