"""What is nginx's own: a certificate of the user's, and a reload of its configuration."""

from __future__ import annotations

import shutil
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.lab import certificates
from tests.lab.test_upgrade import nothing_is_left, proxy

if TYPE_CHECKING:
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
