"""One color at a time: requests wait at the proxy while it is replaced, and none is dropped."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lab.harness import EITHER_PROXY, EVERYWHERE_AT_NIGHT, MATRIX_AT_NIGHT, until
from tests.lab.test_killed import (
    HELD,
    NEXT,
    Doing,
    kill,
    points,
    then_all_is_well,
    two_that_are_not_live,
)
from tests.lab.test_operator import stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab

SHORT = {"timeout": 6, "drain": 3}


@pytest.fixture
def held(lab: Lab) -> Iterator[Lab]:
    """The lab, where an application cannot run twice; v1 is live."""
    lab.live("v1")
    with lab.configured(strategy="hold", hold=SHORT):
        yield lab
    lab.cyan("cleanup")


@contextmanager
def colors_that_run(lab: Lab) -> Iterator[set[frozenset[str]]]:
    """Which colors had running containers at the same time, look by look."""
    seen: set[frozenset[str]] = set()
    stop = threading.Event()
    form = '{{.Label "cyan.color"}}'
    words = ("docker", "ps", "--filter", f"label=cyan.app={lab.app}", "--format", form)

    def watch() -> None:
        while not stop.is_set():
            shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            seen.add(frozenset(shown.split()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@EITHER_PROXY
def test_one_color_takes_the_others_place_and_who_comes_meanwhile_waits(held: Lab) -> None:
    with held.load() as client, colors_that_run(held) as seen:
        done = held.cyan("deploy", "--version", "v2")
        assert held.answering()[1] == "v2"
        held.cyan("rollback")
        assert held.answering()[1] == "v1"
    client.saw_no_drop()
    assert {version for _, _, version in client.answers} == {"v1", "v2"}
    assert frozenset(("blue", "green")) not in seen, "both ran at once"
    assert "one color at a time: asked for" in done.stdout
    assert "is stopped, and kept for a rollback" in done.stdout
    held.is_clean()


async def asks(port: int, number: int) -> str:
    """A request of its own connection, every second one an order: its status."""
    order = json.dumps({"item": "x" * 1000, "quantity": number}).encode()
    first, body = (b"POST /orders", order) if number % 2 else (b"GET /items", b"")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = b"%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (first, len(body)) + body)
        answer = await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
    return answer[9:12].decode()


async def crowd(port: int, size: int) -> list[str]:
    """As many at once."""
    return await asyncio.gather(*(asks(port, number) for number in range(size)))


@pytest.mark.nightly
@EITHER_PROXY
def test_a_thousand_who_wait_are_all_answered(held: Lab) -> None:
    orders = int(held.sql("select count(*) from orders"))
    with held.begun("deploy", "--version", "v2", reaching="stop") as deploy:
        answers = asyncio.run(crowd(held.port, 1000))
        assert deploy.wait(60) == 0
    assert {*answers} == {"200", "201"}
    assert int(held.sql("select count(*) from orders")) == orders + 500
    assert held.answering()[1] == "v2"
    held.is_clean()


@EVERYWHERE_AT_NIGHT
def test_the_old_color_is_put_back_for_those_who_wait_where_the_new_one_never_gets_healthy(
    held: Lab,
) -> None:
    color = held.answering()[0]
    before = held.containers(color)
    with held.load() as client, colors_that_run(held) as seen:
        done = held.cyan("deploy", "--version", "v2", "--env", "FAULT=never-healthy", check=False)
    assert done.returncode == 1
    assert "did not become healthy after" in done.stderr
    assert f"v1 ({color}) again: what waited went to it" in " ".join(done.stderr.split())
    assert held.containers(color).keys() == before.keys()
    assert held.answering() == (color, "v1")
    assert frozenset(("blue", "green")) not in seen, "both ran at once"
    client.saw_no_drop()
    held.is_clean()


@EVERYWHERE_AT_NIGHT
def test_a_release_that_errs_while_it_bakes_makes_way_again(held: Lab) -> None:
    color = held.answering()[0]
    words = ("deploy", "--version", "v2")
    with held.begun(*words, reaching="bake", INVOKE_CYAN_BAKE_SECONDS="60") as process:
        held.kills({"blue": "green", "green": "blue"}[color], "rag")
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "went bad after the switch: rag exited" in output
    assert held.answering() == (color, "v1")
    held.is_clean()


@EVERYWHERE_AT_NIGHT
@pytest.mark.parametrize(
    "at", ["start", *(pytest.param(each, marks=pytest.mark.nightly) for each in ("hold", "smoke"))]
)
def test_the_host_itself_puts_the_old_color_back_where_its_deployer_is_gone(
    held: Lab, at: str
) -> None:
    color = held.answering()[0]
    with held.load() as client:
        kill(held, at, "after", "deploy", "--version", "v2")
        until(lambda: held.markers() == {color}, "the host has put it back")
        assert held.answering() == (color, "v1")
        notes = [each for each in held.journal() if each["step"] == "put-back"]
        assert "its deployer was gone" in notes[-1]["detail"]["text"]
    held.cyan("deploy", "--abort")
    client.saw_no_drop()
    held.is_clean()


@pytest.mark.nightly
def test_the_host_puts_the_old_color_back_where_the_lock_is_taken_from_who_hangs(
    held: Lab,
) -> None:
    color = held.answering()[0]
    with held.load() as client:
        process = stopped(held, "healthy", "deploy", "--version", "v2")
        try:
            assert held.markers() == {f"hold-{color}"}
            held.cyan("unlock", "--force")
            until(lambda: held.markers() == {color}, "the host has put it back")
            process.send_signal(signal.SIGCONT)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "the deploy lock was lost" in output
    assert held.answering() == (color, "v1")
    held.cyan("deploy", "--abort")
    client.saw_no_drop()
    held.is_clean()


@MATRIX_AT_NIGHT
@pytest.mark.parametrize(("step", "when", "then"), points(HELD, NEXT, often=()))
def test_a_hold_that_is_killed_drops_nothing_and_any_next_command_ends_clean(
    held: Lab, step: str, when: str, then: str
) -> None:
    makes, other = two_that_are_not_live(held)
    doing = Doing(("deploy", "--version", makes), makes, other)
    then_all_is_well(held, step, when, then, doing)


@EVERYWHERE_AT_NIGHT
def test_a_websocket_begins_although_the_lame_duck_asks_clients_to_reconnect(lab: Lab) -> None:
    lab.live("v1")
    marker = lab.folder / ".lab/host/traffic/lameduck"
    marker.touch()
    try:
        connection = http.client.HTTPConnection(lab.address, lab.port, timeout=10)
        key = base64.b64encode(b"0123456789abcdef").decode()
        asks = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        connection.request("GET", "/ws", headers={**asks, "Sec-WebSocket-Key": key})
        answer = connection.getresponse()
        assert answer.status == 101
        told = answer.headers.get_all("Connection") or []
        assert [each.lower() for each in told] == ["upgrade"]
        connection.close()
        plain = http.client.HTTPConnection(lab.address, lab.port, timeout=10)
        plain.request("GET", "/ready")
        assert plain.getresponse().headers["Connection"] == "close", "others are asked"
    finally:
        marker.unlink()
        time.sleep(0.1)
