"""An application that knows nothing of cyan, on two hosts that switch together."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cyan.lab.nodes import SSHD
from tests.conftest import PROJECT
from tests.lab.foreign_apps import PORT, Foreign, foreign, taken_over
from tests.lab.visitors import visitors

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["foreign"]

pytestmark = [pytest.mark.lab, pytest.mark.nightly]


class Both:
    """The hosts' addresses, and the application that is deployed to all of them."""

    def __init__(self, app: Foreign) -> None:
        self.app = app
        listed = json.loads((app.folder / ".lab/hosts.json").read_text())
        self.addresses = ("127.0.0.1", *(each["address"] for each in listed))

    def versions(self) -> list[str]:
        """What new users of each host get."""
        return [self.asked(each, "")[0] for each in self.addresses]

    def asked(self, address: str, cookie: str) -> tuple[str, str]:
        """The version that answers who has a cookie, and the cookie that it gives."""
        connection = http.client.HTTPConnection(address, PORT, timeout=10)
        try:
            connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            assert answer.status == 200
            given = answer.headers.get("Set-Cookie", "").partition(";")[0]
            return answer.read().decode().split()[-1], given
        finally:
            connection.close()

    def roams(self, order: Iterable[str], *, keeps: bool) -> list[str]:
        """The versions that a user sees who comes to one host after the other."""
        cookie, seen = "", []
        for address in order:
            version, given = self.asked(address, cookie)
            cookie = (given or cookie) if keeps else ""
            seen.append(version)
        return seen

    def pinned(self) -> list[str]:
        """The markers of the first host by which sessions stay with a color."""
        found = (self.app.folder / ".lab/host/traffic").glob("pin*")
        return sorted(path.name for path in found)

    def interrupted(self, point: str, *words: str) -> None:
        """A deploy whose deployer dies, or loses the second host, at a point of the commit."""
        script = str(Path(__file__).parent / "fleet_killed.py")
        node = f"cyan-foreign-{self.app.name}-node2"
        cut = f"docker exec {node} pkill sshd" if point == "lost" else ""
        done = subprocess.run(
            [sys.executable, script, point, cut, *words],
            cwd=self.app.folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        wanted = 1 if point == "lost" else -signal.SIGKILL
        assert done.returncode == wanted, done.stdout + done.stderr


@pytest.fixture
def both(foreign: Foreign) -> Both:
    foreign.adopt()
    path = foreign.folder / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    made["cyan"]["site"] = {"sticky": True}
    path.write_text(yaml.safe_dump(made))
    foreign.cyan("lab.up", "--hosts", "2")
    taken_over(foreign, orders=False)
    return Both(foreign)


def went_back(seen: list[str]) -> bool:
    """Whether somebody saw the old version after the new one."""
    return ("v2", "v1") in pairwise(seen)


@pytest.mark.parametrize("foreign", ["chunked"], indirect=True)
def test_it_is_switched_on_all_hosts_and_no_session_goes_back_while_one_is_behind(
    both: Both,
) -> None:
    assert both.versions() == ["v1"] * 2
    second = both.addresses[1]
    both.app.cyan("deploy", "--version", "v1", "--host", second)  # in its other color
    with (
        visitors(PORT, orders=False) as here,
        visitors(PORT, orders=False, address=second) as there,
    ):
        both.interrupted("between", "deploy", "--version", "v2")
        assert sorted(both.versions()) == ["v1", "v2"]
        behind, switched = sorted(both.addresses, key=lambda each: both.asked(each, "")[0])
        order = (behind, switched, behind, switched)
        assert both.roams(order, keeps=True) == ["v1", "v2", "v2", "v2"]
        assert went_back(both.roams(order, keeps=False)), "who keeps no cookie does"
        both.app.cyan("deploy", "--resume")
        assert both.versions() == ["v2"] * 2
        assert both.pinned() == []
    assert (here.failures, there.failures) == ([], [])
    told = both.app.cyan("init", "--undo").stdout
    assert told.count("serving: its own stack") == 1
    assert told.count("serving: nothing: this host had no stack of its own") == 1


@pytest.mark.parametrize("foreign", ["chunked"], indirect=True)
@pytest.mark.parametrize("then", ["resume", "abort", "rollback"])
def test_of_a_host_that_is_left_behind_sessions_get_the_new_version_until_it_is_taken_along(
    both: Both, then: str
) -> None:
    both.interrupted("lost", "deploy", "--version", "v2")
    assert both.versions() == ["v2", "v1"]
    order = (*both.addresses, *both.addresses)
    assert both.roams(order, keeps=True) == ["v2"] * 4
    node = f"cyan-foreign-{both.app.name}-node2"
    both.app.run("docker", "exec", node, "sh", "-c", f"/usr/sbin/{SSHD}")
    both.app.cyan(*(["rollback"] if then == "rollback" else ["deploy", f"--{then}"]))
    assert both.versions() == ["v2" if then == "resume" else "v1"] * 2
    assert both.pinned() == []
    both.app.cyan("deploy", "--version", "v1" if then == "resume" else "v2")
    assert len({*both.versions()}) == 1


@pytest.mark.alone
@pytest.mark.parametrize("foreign", ["chunked"], indirect=True)
def test_its_verification_has_users_that_change_hosts_and_tells_who_was_left_out_of_it(
    both: Both,
) -> None:
    told = both.app.cyan("verify-zero-downtime", "--versions", "v1,v2", "--quick").stdout
    assert "requests to 2 hosts" in told
    assert "and were answered never backwards" in told
    (whole,) = (both.app.folder / "reports").glob("*-fleet/verdict.json")
    kept = json.loads(whole.read_text())
    assert (kept["verdict"], kept["drops"]) == ("pass", 0)
    assert kept["roaming"]["judged"]
    assert kept["roaming"]["requests"] > 500
    assert "(Judged on client and proxy;" in kept["sentence"]
