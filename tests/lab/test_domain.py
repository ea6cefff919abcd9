"""A site with a domain: HTTPS by its name, plain HTTP redirects, and who answers is asked so."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.conftest import APP, BARE, PORTS, project_at
from tests.lab.harness import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab

DOMAIN = "app.localhost"
REDIRECTS = """
import uvicorn, platform_app
async def app(scope, receive, send):
    by = dict(scope.get("headers", ())).get(b"x-forwarded-proto")
    if scope["type"] != "http" or by == b"https":
        return await platform_app.app(scope, receive, send)
    headers = [(b"location", b"https://app.localhost/"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
uvicorn.run(app, host="0.0.0.0", port=8000, access_log=False, server_header=False)
"""


def served(folder: Path, ports: dict[str, int], **site: Any) -> Lab:
    """A lab of its own whose site has a domain."""
    project_at(folder, f"{APP}-domain", ports)
    path = folder / "invoke.yaml"
    section = yaml.safe_load(path.read_text())
    section["cyan"]["site"] |= {"domain": DOMAIN, **site}
    path.write_text(yaml.safe_dump(section))
    made = Lab(folder, f"{APP}-domain", section["cyan"]["site"]["port"])
    made.cyan("lab.up")
    return made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Lab]:
    made = served(tmp_path, BARE)
    yield made
    made.cyan("lab.down", "--volumes", check=False)


def authority(lab: Lab) -> str:
    """The certificate of the lab's Caddy, from its container."""
    words = ["docker", "exec", f"{lab.app}-proxy-1", "cat"]
    path = "/data/caddy/pki/authorities/local/root.crt"
    return subprocess.run([*words, path], capture_output=True, text=True, check=True).stdout


def over_tls(lab: Lab, path: str = "/ready") -> http.client.HTTPResponse:
    """The site's answer to who trusts its authority, and nobody else."""
    context = ssl.create_default_context(cadata=authority(lab))
    raw = socket.create_connection(("127.0.0.1", lab.settings.site.tls_port), 10)
    wire = context.wrap_socket(raw, server_hostname=DOMAIN)
    connection = http.client.HTTPConnection(DOMAIN)
    connection.sock = wire
    connection.request("GET", path, headers={"Host": DOMAIN})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_a_site_with_a_domain_is_deployed_and_rolled_back_over_https(site: Lab) -> None:
    site.cyan("deploy", "--version", "v1")
    said = site.cyan("deploy", "--version", "v2").stdout
    assert "3 of 3 answers are v2" in said
    assert over_tls(site).headers["X-Version"] == "v2"
    site.cyan("rollback")
    assert over_tls(site).headers["X-Version"] == "v1"
    plain = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    plain.request("GET", "/", headers={"Host": DOMAIN})
    redirect = plain.getresponse()
    assert redirect.status == 308
    assert redirect.headers["Location"].startswith(f"https://{DOMAIN}")
    doctor = site.cyan("doctor").stdout
    assert "certificate of Caddy Local Authority" in doctor
    site.is_clean()


def test_an_application_that_redirects_plain_http_gets_healthy_and_passes_smoke(site: Lab) -> None:
    text = yaml.safe_load((site.folder / "compose/stateless.yml").read_text())
    text["services"]["platform"]["command"] = ["python3", "-c", REDIRECTS]
    (site.folder / "redirects.yml").write_text(yaml.safe_dump(text))
    files = {"stateful": "compose/stateful.yml", "stateless": "redirects.yml"}
    with site.configured(compose=files):
        site.cyan("deploy", "--version", "v1")
    assert over_tls(site, "/items").status == 200


def test_a_certificate_that_is_not_the_sites_is_named_before_anything_is_touched(site: Lab) -> None:
    """The settings name another domain than the proxy serves."""
    site.cyan("deploy", "--version", "v1")
    before = site.states()
    with site.configured(site=vars(site.settings.site) | {"domain": "shop.localhost"}):
        done = site.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "shows no certificate that its users can trust" in done.stderr
    assert site.states() == before
    assert over_tls(site).headers["X-Version"] == "v1"


THIRD = {name: port + 3000 for name, port in PORTS.items()}
"""The ports of a lab beside that of the other tests."""

ENOUGH = 2000  # of some 4,000 requests


@pytest.mark.nightly
@pytest.mark.alone
def test_nothing_is_dropped_over_https_on_the_real_ports(tmp_path: Path) -> None:
    """On 80 and 443, so only one lab of a machine at a time."""
    lab = served(tmp_path, THIRD, port=80, tls_port=443)
    try:
        lab.cyan("verify-zero-downtime", "--quick")
        found = json.loads(next((tmp_path / "reports").glob("*-verify/verdict.json")).read_text())
        assert (found["verdict"], found["drops"]) == ("pass", 0)
        assert found["requests"] > ENOUGH
    finally:
        lab.cyan("lab.down", "--volumes", check=False)
