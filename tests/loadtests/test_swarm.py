"""The swarm as its own process: its schedule is kept, its rows balance, and a loss is visible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cyan.errors import HostError, ProofError
from cyan.proof import statistics
from cyan.proof.client_log import read_client
from cyan.proof.load import Load, Swarm
from cyan.proof.remote_workers import RemoteWorkers
from cyan.proof.requestlog import INTENT_COLUMNS, OVERWHELMED, RESULT_COLUMNS, Failure
from cyan.sections import HostSettings
from loadtests.log import Log
from loadtests.place import Place
from loadtests.schedule import Due
from loadtests.swarm import Swarm as Crowd
from loadtests.swarm import SwarmOptions
from tests.lab.harness import until
from tests.loadtests.servers import closes_after, serving, stalls_once

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

PROJECT = Path(__file__).parent.parent.parent
NEVER = 10**9
SECOND = 1_000_000_000


def words(url: str, folder: Path) -> list[str]:
    """A swarm that loads one path at 100 requests a second, for at most half a minute."""
    program = [sys.executable, "-m", "locust", "-f", str(PROJECT / "loadtests/locustfile.py")]
    program += ["--headless", "--only-summary", "--host", url, "--log-dir", str(folder)]
    return [*program, "--rate", "100", "--sessions", "10", "--run-limit", "30", "--journeys", "get"]


def every_tenth(connection: socket.socket, number: int) -> bool:
    """Answer, but read every tenth request and close."""
    return closes_after(number if number % 10 == 9 else NEVER)(connection, number)


@contextmanager
def swarm(url: str, folder: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running swarm; it is killed where the test leaves it running."""
    command = [*words(url, folder), *flags]
    with (folder.parent / "swarm.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=PROJECT)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def rows(folder: Path, kind: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    lines = (folder / f"{kind}-0.tsv").read_text().splitlines()
    return [dict(zip(columns, line.split("\t"), strict=True)) for line in lines]


def sent(folder: Path) -> int:
    path = folder / "progress.json"
    return int(json.loads(path.read_text())["sent"]) if path.exists() else 0


def of_one(folder: Path, url: str, *journeys: str) -> list[dict[str, str]]:
    """The intents of a swarm in this process, which makes these journeys one after another."""
    with Log(folder, 0) as log:
        alone = Crowd(SwarmOptions(Place(url), folder, sessions=1), log, lambda *_: None)
        for journey in journeys:
            alone._arrival(Due(time.monotonic_ns(), journey))
        assert alone.broken == []
        assert alone.counts.scheduled + len(journeys) == alone.counts.sent
    return rows(folder, "intents", INTENT_COLUMNS)


def test_a_users_number_is_never_given_again(tmp_path: Path) -> None:
    with serving(closes_after(NEVER)) as server:
        intents = of_one(tmp_path, server.url, "fresh", "fresh", "fresh", "items")
    users = [row["user"] for row in intents]
    assert len(set(users)) == len(users)


@pytest.mark.parametrize("journey", ["events", "socket"])
def test_a_stream_that_fails_is_opened_again_once_by_its_user(tmp_path: Path, journey: str) -> None:
    with serving(closes_after(0)) as server:
        first, second = of_one(tmp_path, server.url, journey)
    results = rows(tmp_path, "results", RESULT_COLUMNS)
    assert [row["failure"] for row in results] == [Failure.RESET, Failure.RESET]
    assert server.delivered == [f"{int(row['id']):016x}" for row in (first, second)]
    assert second["user"] == first["user"]
    assert second["journey"] == journey
    assert int(results[0]["end_ns"]) <= int(second["due_ns"]) <= int(second["sent_ns"])


def test_every_request_has_an_intent_and_a_result_and_the_swarm_signs_off(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    with serving(closes_after(NEVER)) as server, swarm(server.url, folder) as process:
        until(lambda: sent(folder) > 100, "a hundred requests are sent")
        (folder / "stop").touch()
        assert process.wait(20) == 0
    signed = json.loads((folder / "signoff-0.json").read_text())
    intents = rows(folder, "intents", INTENT_COLUMNS)
    results = rows(folder, "results", RESULT_COLUMNS)
    assert signed["scheduled"] == signed["sent"] == signed["answered"] == len(intents)
    assert {row["id"] for row in intents} == {row["id"] for row in results}
    assert len(server.delivered) == len(intents)


def test_requests_in_flight_at_the_stop_are_finished_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    with serving(stalls_once(50, 2)) as server, swarm(server.url, folder) as process:
        until(lambda: len(server.delivered) > 60, "the server stalls")
        (folder / "stop").touch()
        assert process.wait(20) == 0
    signed = json.loads((folder / "signoff-0.json").read_text())
    assert signed["sent"] == signed["answered"] == len(server.delivered)


def test_a_stall_shows_in_every_request_that_was_due_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    with serving(stalls_once(100, 2)) as server, swarm(server.url, folder) as process:
        until(lambda: sent(folder) > 400, "the stall is over")
        (folder / "stop").touch()
        process.wait(20)
    due, end = (read_client(folder).requests[name].to_numpy() for name in ("due_ns", "end_ns"))
    slow = end - due > SECOND // 2
    waiting = np.flatnonzero(slow)[1:]  # what a client that waits for its answers had not sent
    assert statistics.quantiles(end - due)["p99"] > 1500
    assert statistics.quantiles(np.delete(end - due, waiting))["p99"] < 500


def test_a_stall_of_the_swarm_itself_shows_in_the_corrected_latency_and_not_in_the_raw(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "client"
    slowly = ("--rate", "20")  # what is sent at once afterwards must not stall the server
    with serving(closes_after(NEVER)) as server, swarm(server.url, folder, *slowly) as process:
        until(lambda: sent(folder) > 10, "ten requests are sent")
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: sent(folder) > 60, "the schedule is caught up with")
        (folder / "stop").touch()
        process.wait(20)
    log = read_client(folder).requests
    due, begun, end = (log[name].to_numpy() for name in ("due_ns", "sent_ns", "end_ns"))
    found = statistics.latency(due, begun, end)
    assert found.corrected["p99"] > 1500
    assert found.raw["p99"] < 750


def test_connections_that_are_closed_on_requests_are_each_reported(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    with serving(every_tenth) as server, swarm(server.url, folder) as process:
        until(lambda: sent(folder) > 200, "two hundred requests are sent")
        (folder / "stop").touch()
        process.wait(20)
    results = rows(folder, "results", RESULT_COLUMNS)
    failed = [row for row in results if row["failure"] == Failure.RESET]
    assert len(results) == len(server.delivered)
    assert len(failed) == len([n for n in range(len(server.delivered)) if n % 10 == 9])


def test_a_killed_swarm_leaves_intents_without_results_and_no_sign_off(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    with serving(stalls_once(100, 20)) as server, swarm(server.url, folder) as process:
        until(lambda: sent(folder) > 150, "requests hang in the stall")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    intents = rows(folder, "intents", INTENT_COLUMNS)
    results = rows(folder, "results", RESULT_COLUMNS)
    assert len(intents) > len(results)
    assert not (folder / "signoff-0.json").exists()


def test_a_swarm_whose_parent_died_ends_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    with serving(closes_after(NEVER)) as server:
        parent = (
            f"import subprocess, time, pathlib; subprocess.Popen({words(server.url, folder)!r})\n"
            f"while not pathlib.Path({str(folder / 'ready.json')!r}).exists(): time.sleep(0.1)"
        )
        subprocess.run([sys.executable, "-c", parent], check=True, cwd=PROJECT, timeout=30)
        until((folder / "signoff-0.json").exists, "the orphan signs off")


def ended(folder: Path, *flags: str) -> tuple[int, str]:
    """The exit code and the output of a swarm that ends by itself."""
    done = subprocess.run(
        [*words("http://127.0.0.1:9", folder), *flags],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_journey_that_nobody_knows_ends_the_swarm_before_it_writes(tmp_path: Path) -> None:
    code, output = ended(tmp_path / "client", "--journeys", "nosuch")
    assert code == 3
    assert "no such journey: nosuch" in output
    assert not (tmp_path / "client").exists()


def test_a_log_that_is_already_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "intents-0.tsv").write_text("evidence\n")
    code, output = ended(tmp_path)
    assert code == 3
    assert "FileExistsError" in output
    assert (tmp_path / "intents-0.tsv").read_text() == "evidence\n"


def test_one_request_can_be_sent_where_nobody_listens(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    flags = ("--refuse", "50=http://127.0.0.1:9")
    with serving(closes_after(NEVER)) as server, swarm(server.url, folder, *flags) as process:
        until(lambda: sent(folder) > 100, "a hundred requests are sent")
        (folder / "stop").touch()
        assert process.wait(20) == 0
    results = rows(folder, "results", RESULT_COLUMNS)
    failed = [(row["id"], row["failure"], row["connection"]) for row in results if row["failure"]]
    ids = sorted((row["id"] for row in rows(folder, "intents", INTENT_COLUMNS)), key=int)
    assert failed == [(ids[49], Failure.REFUSED, "new")]


WITHOUT = """
from gevent import monkey; monkey.patch_all()
from geventhttpclient.connectionpool import ConnectionPool
def keep(pool, name, value):
    if name != {lacking!r} or name not in pool.__dict__ and name == "size":
        pool.__dict__[name] = value
ConnectionPool.__setattr__ = keep
"""
"""What Python runs at its start: a library in which setting that attribute has no effect."""


@pytest.mark.parametrize("lacking", ["_create_socket", "size"])
def test_a_library_without_what_the_witness_relies_on_is_refused(
    tmp_path: Path, lacking: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(lacking=lacking))
    done = subprocess.run(
        words("http://127.0.0.1:9", tmp_path / "client"),
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the witness must not be believed" in done.stdout


@pytest.mark.alone  # Locust's master has one port
def test_two_processes_share_the_load_and_both_sign_off(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    load = Load("", PROJECT / "loadtests/locustfile.py", rate=100, sessions=10, limit=30, workers=2)
    with serving(closes_after(NEVER)) as server:
        load = replace(load, url=server.url, extra=("--journeys", "get"))
        with Swarm(load, folder) as together:
            together.wait_ready()
            until(lambda: together.pace().sent > 300, "three hundred requests are sent")
            together.finish()
    log = read_client(folder)
    assert log.workers == (0, 1)
    assert sorted(each.worker for each in log.signoffs) == [0, 1]
    assert sum(each.sent for each in log.signoffs) == len(log.requests) == len(server.delivered)
    shares = [each.sent for each in log.signoffs]
    assert max(shares) < 2 * min(shares)
    assert log.requests["id"].is_unique


@pytest.mark.alone  # as above
def test_a_worker_that_is_killed_has_not_signed_off_and_the_swarm_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    load = Load("", PROJECT / "loadtests/locustfile.py", rate=100, sessions=10, limit=30, workers=2)
    with serving(closes_after(NEVER)) as server:
        load = replace(load, url=server.url, extra=("--journeys", "get"))
        with Swarm(load, folder) as together:
            together.wait_ready()
            os.kill(worker_of(together), signal.SIGKILL)
            with pytest.raises(ProofError):
                together.finish(120)
    assert len(read_client(folder).signoffs) == 1


def worker_of(swarm: Swarm) -> int:
    """The process id of one of the swarm's workers."""
    assert swarm._process is not None
    children = Path(f"/proc/{swarm._process.pid}/task/{swarm._process.pid}/children")
    return int(children.read_text().split()[0])


def test_a_machine_that_cannot_be_reached_leaves_no_swarm_behind(tmp_path: Path) -> None:
    remote = RemoteWorkers(
        (HostSettings(address="127.0.0.1", port=9),), str(PROJECT), "loadtests/x.py"
    )
    load = Load("http://127.0.0.1:9", PROJECT / "loadtests/locustfile.py", remote=remote)
    together = Swarm(load, tmp_path / "client")
    with pytest.raises(HostError), together:
        pass
    assert not together.alive


def test_a_swarm_stops_by_itself_where_too_much_is_in_flight(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    stalls = stalls_once(50, 3)  # for longer than thirty requests take to come
    with (
        serving(stalls) as server,
        swarm(server.url, folder, "--in-flight", "30", "--sessions", "60") as process,
    ):
        assert process.wait(30) == OVERWHELMED
    assert "stopped: 30 requests were in flight" in (tmp_path / "swarm.log").read_text()
    assert sent(folder) < 120  # and not the three thousand of the half minute
    assert (folder / "signoff-0.json").exists()  # what it sent is told all the same
