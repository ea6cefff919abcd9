"""Workers of the swarm on other machines: the lab over its own sshd, and two containers."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cyan.configured import load, machine_of
from cyan.lab import nodes
from cyan.proof.client_log import ClientLog, read_client
from cyan.proof.evidence import hex_ids
from cyan.proof.load import Load, Swarm
from cyan.proof.remote_workers import RemoteWorkers
from cyan.sections import HostSettings
from tests.conftest import APP
from tests.lab.engines import docker
from tests.lab.harness import settings_section, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.harness import Lab

pytestmark = [pytest.mark.lab, pytest.mark.alone]

PROJECT = Path(__file__).parents[2]


def test_two_workers_over_ssh_share_the_load_and_their_logs_come_back(
    lab: Lab, tmp_path: Path
) -> None:
    lab.live("v1")
    settings = load(settings_section(lab.folder), {}, lab.folder)
    machine = machine_of("127.0.0.1", settings)
    log = loaded((machine, machine), f"http://127.0.0.1:{lab.port}", tmp_path)
    assert 0 < log.uncertainty_ns < 1_000_000_000


@pytest.mark.nightly
def test_two_machines_share_the_load_and_what_they_sent_is_what_the_proxy_served(
    lab: Lab, tmp_path: Path
) -> None:
    lab.live("v1")
    here = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    with workers(lab, tmp_path) as machines, led_to(lab.port, here) as port:
        log = loaded(machines, f"http://{here}:{port}", tmp_path / "client")
    lines = (lab.folder / ".lab/host/logs/access.json").read_text().splitlines()
    served = Counter(
        told["request"]["headers"]["X-Request-Id"][0]
        for told in map(json.loads, lines)
        if "X-Request-Id" in told["request"]["headers"]
    )
    sent = hex_ids(log.requests["id"])
    assert {served[each] for each in sent} == {1}
    by_worker = Counter(log.requests["worker"])
    assert min(by_worker.values()) > 100


def loaded(machines: tuple[HostSettings, ...], url: str, folder: Path) -> ClientLog:
    """Some hundred requests by workers on two machines, and what they logged."""
    folder.mkdir(exist_ok=True)
    wanted = Load(
        url,
        PROJECT / "loadtests/locustfile.py",
        rate=60,
        sessions=10,
        limit=60,
        workers=2,
        remote=RemoteWorkers(machines, str(PROJECT), "loadtests/locustfile.py"),
    )
    with Swarm(wanted, folder) as swarm:
        swarm.wait_ready()
        until(lambda: swarm.pace().sent > 300, "three hundred requests are sent")
        swarm.finish()
    log = read_client(folder)
    assert log.workers == (0, 1)
    assert sum(each.sent for each in log.signoffs) == len(log.requests)
    assert (log.requests["failure"] == "").all()
    return log


@contextmanager
def workers(lab: Lab, folder: Path) -> Iterator[tuple[HostSettings, ...]]:
    """Two containers with an sshd, an address and a clock's reading of their own.

    They have this machine's programs and this project, as machines that were set up would.
    """
    image, keys = nodes.built("node", nodes.DOCKER), folder / "keys"
    keys.mkdir(mode=0o700)
    for name in ("host_key", "authorized_keys"):
        shutil.copy(lab.folder / ".lab" / name, keys / name)
    shared = {"/usr", str(PROJECT), sys.base_prefix} - {"/usr/local"}
    mounts = [word for each in sorted(shared) for word in ("-v", f"{each}:{each}:ro")]
    names = [f"{APP}-worker{number}" for number in (1, 2)]
    begin = f"mkdir -p /run/sshd && exec /usr/sbin/{nodes.SSHD} -D"
    try:
        for name in names:
            docker("run", "-d", "--name", name, *mounts, "-v", f"{keys}:/keys:ro", image,
                   "sh", "-c", begin)  # fmt: skip
        form = "{{.NetworkSettings.Networks.bridge.IPAddress}}"
        addresses = [docker("inspect", "--format", form, name) for name in names]
        key = " ".join((lab.folder / ".lab/host_key.pub").read_text().split()[:2])
        known = folder / "known_hosts"
        known.write_text("".join(f"{each} {key}\n" for each in addresses))
        identity = lab.folder / ".lab/client_key"
        yield tuple(
            HostSettings(address=each, user="root", identity=identity, known_hosts=known)
            for each in addresses
        )
    finally:
        docker("rm", "-f", *names)


@contextmanager
def led_to(port: int, address: str) -> Iterator[int]:
    """A free port of an address that leads to one of the loopback, where the lab's site is."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    servers: list[asyncio.Server] = []

    async def copied(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(2**16):
            target.write(data)
            await target.drain()
        target.close()

    async def led(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copied(reader, back), copied(there, writer), return_exceptions=True)

    async def begin() -> None:
        servers.append(await asyncio.start_server(led, address, 0))
        ready.set()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(begin(), loop)
    assert ready.wait(10)
    try:
        yield int(servers[0].sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
