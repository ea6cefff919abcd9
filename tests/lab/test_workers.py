"""Workers of the swarm on other machines; here the lab, over its own sshd, stands for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cyan.configured import load, machine_of
from cyan.proof.client_log import read_client
from cyan.proof.load import Load, Swarm
from cyan.proof.remote_workers import RemoteWorkers
from tests.lab.harness import settings_section, until

if TYPE_CHECKING:
    from tests.lab.harness import Lab

pytestmark = [pytest.mark.lab, pytest.mark.alone]

PROJECT = Path(__file__).parents[2]


def test_two_workers_over_ssh_share_the_load_and_their_logs_come_back(
    lab: Lab, tmp_path: Path
) -> None:
    lab.live("v1")
    settings = load(settings_section(lab.folder), {}, lab.folder)
    machine = machine_of("127.0.0.1", settings)
    remote = RemoteWorkers((machine, machine), str(PROJECT), "loadtests/locustfile.py")
    wanted = Load(
        f"http://127.0.0.1:{lab.port}",
        PROJECT / "loadtests/locustfile.py",
        rate=60,
        sessions=10,
        limit=60,
        workers=2,
        remote=remote,
    )
    with Swarm(wanted, tmp_path) as swarm:
        swarm.wait_ready()
        until(lambda: swarm.pace().sent > 300, "three hundred requests are sent")
        swarm.finish()
    log = read_client(tmp_path)
    assert log.workers == (0, 1)
    assert sum(each.sent for each in log.signoffs) == len(log.requests)
    assert (log.requests["failure"] == "").all()
    assert 0 < log.uncertainty_ns < 1_000_000_000
