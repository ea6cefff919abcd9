"""Another proxy takes the place of the one that runs, while users keep coming, or it does not."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from tests.conftest import PORTS, PROJECT
from tests.lab.engines import docker
from tests.lab.harness import COMMAND, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab
TAKEN = PORTS["site"] + 7000


def proxy(lab: Lab) -> str:
    """The container that is the proxy."""
    return docker("ps", "-q", "--no-trunc", "--filter", f"name=^{lab.app}-proxy-1$")


def header(lab: Lab) -> str:
    """What the configuration of these tests says to users, where it is loaded."""
    url = f"http://127.0.0.1:{lab.port}/ready"
    return str(httpx.get(url, trust_env=False).headers.get("X-Upgraded", ""))


def nothing_is_left(lab: Lab) -> None:
    """Assert that no stand-in runs, nothing is redirected, and no file lies about."""
    assert docker("ps", "-aq", "--filter", f"name={lab.app}-second") == ""
    rules = subprocess.run(
        ["iptables", "-t", "nat", "-S"], capture_output=True, text=True, check=True
    )
    assert "cyan-handover" not in rules.stdout
    shared = lab.folder / ".lab/host/shared"
    left = [path.name for path in shared.rglob("*") if path.suffix in (".old", ".new")]
    assert left == []
    assert not (shared / "second.json").exists()


@contextmanager
def caddyfile(lab: Lab) -> Iterator[Path]:
    """The lab's own, to be changed; in the end the proxy has the project's again."""
    path, original = lab.folder / "Caddyfile", PROJECT / "Caddyfile"
    text = original.read_text()
    path.unlink()  # a link to the project's own, or what another test has left
    path.write_text(text.replace("\t# The proxy's own witness.", "\theader X-Upgraded yes\n\t#"))
    try:
        yield path
    finally:
        path.unlink()
        path.symlink_to(original)
        lab.cyan("proxy.upgrade")


@pytest.mark.nightly
def test_a_new_proxy_takes_over_without_a_drop_and_one_that_cannot_start_is_refused(
    lab: Lab,
) -> None:
    lab.live("v1")
    before = proxy(lab)
    with caddyfile(lab) as path, lab.load() as client:
        lab.cyan("proxy.upgrade")
        now = proxy(lab)
        assert now != before
        assert header(lab) == "yes"
        path.write_text(path.read_text().replace("header X-Upgraded", "haeder X-Upgraded"))
        refused = lab.cyan("proxy.upgrade", check=False)
        assert refused.returncode == 1
        assert "the new proxy does not start" in refused.stderr
        assert "haeder" in refused.stderr
        assert "untouched" in refused.stderr
        assert (proxy(lab), header(lab)) == (now, "yes")
    client.saw_no_drop()
    assert header(lab) == ""
    nothing_is_left(lab)
    lab.is_clean()


@pytest.mark.nightly
def test_one_that_starts_and_does_not_serve_the_site_is_refused(lab: Lab) -> None:
    lab.live("v1")
    with caddyfile(lab) as path, lab.load() as client:
        before = proxy(lab)
        path.write_text(path.read_text().replace("reverse_proxy blue:", "reverse_proxy nobody:"))
        path.write_text(path.read_text().replace("reverse_proxy green:", "reverse_proxy nobody:"))
        refused = lab.cyan("proxy.upgrade", check=False)
        assert refused.returncode == 1
        assert "the new proxy does not serve the site: /ready answered 502" in refused.stderr
        assert proxy(lab) == before
        nothing_is_left(lab)
    client.saw_no_drop()


@pytest.mark.nightly
def test_where_the_new_one_does_not_come_up_in_its_place_the_old_one_does_unnoticed(
    lab: Lab,
) -> None:
    lab.live("v1")
    compose = yaml.safe_load((lab.folder / "compose/stateful.yml").read_text())
    compose["services"]["proxy"]["ports"].append(f"127.0.0.1:{TAKEN}:{TAKEN}")
    (lab.folder / "stateful.yml").write_text(yaml.safe_dump(compose))
    holder = subprocess.Popen([sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(TAKEN)])
    files = {"stateful": "stateful.yml", "stateless": "compose/stateless.yml"}
    try:
        with lab.configured(compose=files), lab.load() as client:
            refused = lab.cyan("proxy.upgrade", check=False)
    finally:
        holder.terminate()
        holder.wait()
    assert refused.returncode == 1
    assert "the new proxy did not take over" in refused.stderr
    assert "the old proxy is up again" in refused.stderr
    client.saw_no_drop()
    nothing_is_left(lab)
    lab.cyan("deploy", "--version", "v2")
    lab.is_clean()


@pytest.mark.nightly
@pytest.mark.parametrize("at", ["the stand-in", "the redirection"])
def test_a_deployer_that_is_killed_meanwhile_leaves_a_host_that_ends_what_it_began(
    lab: Lab, at: str
) -> None:
    lab.live("v1")
    rules = ["iptables", "-t", "nat", "-S"]

    def come() -> bool:
        if at == "the stand-in":
            return docker("ps", "-q", "--filter", f"name={lab.app}-second") != ""
        return b"cyan-handover" in subprocess.run(rules, capture_output=True, check=True).stdout

    with lab.load() as client:
        process = subprocess.Popen([*COMMAND, "proxy.upgrade"], cwd=lab.folder)
        until(come, at, 60)
        process.kill()
        process.wait()
        lab.cyan("proxy.upgrade", "--lock-wait", "2m")
    client.saw_no_drop()
    nothing_is_left(lab)
    lab.is_clean()


@contextmanager
def port_taken_as_soon_as_it_is_free(port: int) -> Iterator[None]:
    """Somebody else has a port from the moment on that its owner lets go of it."""
    stop, held = threading.Event(), socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def take() -> None:
        while not stop.is_set():
            try:
                held.bind(("127.0.0.1", port))
                held.listen()
            except OSError:
                time.sleep(0.001)
            else:
                return

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        held.close()


@pytest.mark.nightly
def test_where_neither_comes_up_the_one_that_stands_in_goes_on_serving(lab: Lab) -> None:
    lab.live("v1")
    with lab.load() as client:
        with port_taken_as_soon_as_it_is_free(lab.port):
            failed = lab.cyan("proxy.upgrade", check=False)
            assert failed.returncode == 1
            assert "neither the new proxy nor the old one came up" in failed.stderr
            assert "by the proxy that stood in" in failed.stderr
            time.sleep(1)
        lab.cyan("lab.up")  # which provisions
        lab.cyan("proxy.upgrade")
    client.saw_no_drop()
    nothing_is_left(lab)
    lab.is_clean()


@pytest.mark.nightly
def test_what_a_script_that_was_killed_on_the_host_has_left_is_tidied_and_nobody_notices(
    lab: Lab,
) -> None:
    lab.live("v1")
    rules = ["iptables", "-t", "nat", "-S"]
    with lab.load() as client:
        process = subprocess.Popen([*COMMAND, "proxy.upgrade"], cwd=lab.folder)
        until(
            lambda: b"cyan-handover" in subprocess.run(rules, capture_output=True).stdout,  # noqa: PLW1510
            "the redirection",
            60,
        )
        subprocess.run(["pkill", "-KILL", "-f", "^bash -c .*cyan-handover"], check=True)
        process.wait(60)
        assert b"cyan-handover" in subprocess.run(rules, capture_output=True, check=True).stdout
        if proxy(lab) == "":  # it had been stopped by then
            lab.cyan("lab.up")
        lab.cyan("proxy.upgrade", "--lock-wait", "1m")
    client.saw_no_drop()
    nothing_is_left(lab)
    lab.is_clean()
