"""Hosts whose sshd is set otherwise: what cyan needs of it, and what it says where that lacks."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from cyan.sections import HostSettings
from cyan.world.host import Host
from cyan.world.sessions import AT_ONCE
from tests.lab.servers import sshd

if TYPE_CHECKING:
    from typing import Any

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def at(lab: Lab, entry: dict[str, Any]) -> Host:
    paths = {key: lab.folder / entry[key] for key in ("identity", "known_hosts")}
    return Host(HostSettings.model_validate(entry | paths))


def test_more_commands_than_sshd_takes_sessions_wait_for_each_other(lab: Lab) -> None:
    with sshd(lab, f"MaxSessions {AT_ONCE}") as entry, at(lab, entry) as host:
        with host.channel("cat"), ThreadPoolExecutor(20) as pool:
            said = list(pool.map(lambda number: host.run(f"echo {number}").stdout, range(60)))
        assert [int(each) for each in said] == list(range(60))
        assert host.sessions.most == AT_ONCE
        assert host.sessions.allowed(host.transport) == AT_ONCE


@pytest.mark.nightly
def test_a_deploy_a_rollback_and_all_that_looks_need_no_more_than_eight_sessions(lab: Lab) -> None:
    lab.live("v1")
    with sshd(lab, f"MaxSessions {AT_ONCE}") as entry, lab.configured(hosts=[entry]):
        assert "refuse" not in lab.cyan("doctor").stdout
        with lab.load() as client:
            lab.cyan("deploy", "--version", "v2")
            lab.cyan("rollback")
        for words in (["status"], ["logs"], ["history"], ["cleanup"]):
            lab.cyan(*words)
    client.saw_no_drop()
    assert lab.answering()[1] == "v1"
    lab.is_clean()


@pytest.mark.parametrize("sessions", [pytest.param(2, marks=pytest.mark.nightly), 6])
def test_an_sshd_with_too_few_sessions_is_named_with_the_line_to_change(
    lab: Lab, sessions: int
) -> None:
    lab.live("v1")
    before = lab.journal()
    with sshd(lab, f"MaxSessions {sessions}") as entry, lab.configured(hosts=[entry]):
        told = [
            lab.cyan(*words, check=False, COLUMNS="300")
            for words in (["doctor"], ["deploy", "--version", "v2"])
        ]
    for each in told:
        assert each.returncode == 1
        assert "MaxSessions 10 in the host's /etc/ssh/sshd_config" in each.stdout + each.stderr
        assert re.search(rf"sshd.* gives .*{sessions} sessions at once", each.stdout + each.stderr)
    assert {line["step"] for line in lab.journal()[len(before) :]} <= {"", "preflight"}
    assert lab.answering()[1] == "v1"
    lab.is_clean()


@pytest.mark.parametrize(
    "line",
    ["AllowTcpForwarding no", pytest.param("PermitOpen 127.0.0.1:22", marks=pytest.mark.nightly)],
)
def test_an_sshd_that_forbids_connections_through_it_is_named_with_the_line_to_change(
    lab: Lab, line: str
) -> None:
    lab.live("v1")
    begun = len(lab.journal())
    with sshd(lab, line) as entry, lab.configured(hosts=[entry]):
        doctor = lab.cyan("doctor", check=False, COLUMNS="300")
        deploy = lab.cyan("deploy", "--version", "v2", check=False)
        forced = lab.cyan("deploy", "--version", "v2", "--force", "forwarding", check=False)
    assert doctor.returncode == deploy.returncode == forced.returncode == 1
    assert re.search("refuse +forwarding", doctor.stdout)
    for told in (doctor.stdout, deploy.stderr, forced.stderr):
        assert "sshd on the host forbids to connect to its 127.0.0.1:" in told
        assert "AllowTcpForwarding local in the host's /etc/ssh/sshd_config" in told
    assert "failed at preflight" in deploy.stderr
    assert "failed at healthy" in forced.stderr  # at once, and not when its time is over
    steps = {each["step"] for each in lab.journal()[begun:]}
    assert "switch" not in steps
    assert lab.answering()[1] == "v1"
    lab.is_clean()
