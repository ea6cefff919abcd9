"""The relay with real sockets: what it carries, and that a plant hits one request only."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cyan.proof.planting import PLANTS, SPACING, Plant, Planter
from loadtests.client import Answer, Call, Session, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

RTT = 0.2
BODY = b'{"items": ["lamp", "lens"]}'


@contextmanager
def relay(to: int, *flags: str) -> Iterator[int]:
    """The port of a relay process before 127.0.0.1:`to`."""
    command = [sys.executable, "-m", "cyan.proof.relay", "--to", f"127.0.0.1:{to}", *flags]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()
        assert process.wait(10) == 0


@contextmanager
def peers(*flags: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of one relayed connection."""
    server = socket.create_server(("127.0.0.1", 0))
    with server, relay(server.getsockname()[1], *flags) as port:
        near = socket.create_connection(("127.0.0.1", port), timeout=10)
        far, _ = server.accept()
        far.settimeout(10)
        with near, far:
            yield near, far


def read_all(end: socket.socket) -> bytes:
    data = b""
    while part := end.recv(65_536):
        data += part
    return data


def send_all(end: socket.socket, data: bytes) -> None:
    end.sendall(data)
    end.shutdown(socket.SHUT_WR)


def abort(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


@pytest.mark.parametrize("flags", [(), ("--rtt", str(RTT))])
def test_an_end_that_sends_no_more_still_hears(flags: tuple[str, ...]) -> None:
    with peers(*flags) as (near, far):
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        assert read_all(far) == b"question"
        far.sendall(b"answer")
        far.shutdown(socket.SHUT_WR)
        assert read_all(near) == b"answer"


@pytest.mark.parametrize("flags", [(), ("--rtt", str(RTT))])
@pytest.mark.parametrize("of_the_client", [True, False])
def test_a_reset_is_carried_as_a_reset(flags: tuple[str, ...], of_the_client: bool) -> None:
    with peers(*flags) as (near, far):
        resets, hears = (near, far) if of_the_client else (far, near)
        resets.sendall(b"some")
        assert hears.recv(4) == b"some"
        abort(resets)
        with pytest.raises(ConnectionResetError):
            hears.recv(1)


def test_a_question_and_its_answer_take_at_least_the_round_trip() -> None:
    with peers("--rtt", str(RTT)) as (near, far):
        begun = time.monotonic()
        near.sendall(b"?")
        far.sendall(far.recv(1))
        assert near.recv(1) == b"?"
        assert time.monotonic() - begun >= RTT


def test_many_bytes_arrive_whole_in_both_directions_at_once() -> None:
    sent = bytes(range(256)) * 20_000
    with peers("--rtt", "0.02") as ends:
        got: dict[int, bytes] = {}

        def talk(number: int) -> None:
            sender = threading.Thread(target=send_all, args=(ends[number], sent))
            sender.start()
            got[number] = read_all(ends[number])
            sender.join()

        threads = [threading.Thread(target=talk, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == {0: sent, 1: sent}


def test_a_proxy_that_refuses_is_a_reset_to_the_client() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        # the reset may be quicker than the connect, which then raises it
        with relay(nobody.getsockname()[1]) as port, pytest.raises(ConnectionResetError):
            socket.create_connection(("127.0.0.1", port), timeout=10).recv(1)


class Site(BaseHTTPRequestHandler):
    """Answers like the demo; `received` holds the X-Plant, Cookie and id of each request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    received: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        plant, cookie = self.headers.get("X-Plant", ""), self.headers.get("Cookie", "")
        self.received.append((self.headers["X-Request-ID"], plant, cookie))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        color = self.headers.get("X-Want", "blue")
        self.send_response(200)
        for name, value in {
            "X-Color": color,
            "X-Version": {"blue": "v1", "green": "v2"}[color],
            "X-Request-ID": self.headers["X-Request-ID"],
            "Content-Digest": digest(BODY),
            "Content-Length": str(len(BODY)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(BODY)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def site() -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    received: list[tuple[str, str, str]] = []
    handler = type("Handler", (Site,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, received
        server.shutdown()


def test_each_request_gets_one_plant_at_most_and_each_plant_one_request() -> None:
    planter = Planter(PLANTS, spacing=3)
    ways = [(plant.method, plant.path, plant.connection or "reused") for plant in PLANTS]
    chosen = [planter.choose(*way) for _ in range(6) for way in ways]
    assert sorted(plant.name for plant in chosen if plant) == sorted(plant.name for plant in PLANTS)
    places = [place for place, plant in enumerate(chosen) if plant]
    assert min(later - earlier for earlier, later in pairwise(places)) >= 3


def test_a_plant_waits_for_the_request_that_it_is_meant_for() -> None:
    planter = Planter((Plant("x", "reset", "reset", "POST", "/orders", "reused"),), spacing=2)
    ways = [
        ("POST", "/orders", "reused"),
        ("GET", "/orders", "reused"),
        ("POST", "/orders", "new"),
        ("POST", "/orders", "reused"),
        ("POST", "/orders", "reused"),
    ]
    assert [bool(planter.choose(*way)) for way in ways] == [False, False, False, True, False]


OUTCOMES = {
    "reset": "reset",
    "reset-answer": "reset",
    "hold": "timeout",
    "status": "status",
    "truncated": "truncated",
    "corrupted": "truncated",
}
"""What the witness says of each way; of the others it hears a good answer."""


@dataclass
class Planted:
    """A conversation in which everything was planted once."""

    answers: dict[str, Answer]
    ids: dict[str, str]
    received: list[tuple[str, str, str]]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    path = tmp_path_factory.mktemp("relay") / "planted.jsonl"
    path.touch()
    answers: dict[str, Answer] = {}
    with site() as (port, received), relay(port, "--planted", str(path)) as between:
        session = Session(f"http://127.0.0.1:{between}", 1)
        noted = 0
        for count in range(SPACING * (len(PLANTS) + 2)):
            todo = PLANTS[min(noted, len(PLANTS) - 1)]
            if todo.connection == "new":
                session.close()
            answers[f"{count:016x}"] = session.call(call(todo, count), f"{count:016x}")
            noted = path.read_text().count("\n")
        session.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return Planted(answers, {line["plant"]: line["id"] for line in lines}, received)


def call(todo: Plant, count: int) -> Call:
    """A request that the plant would take."""
    headers = {"X-Want": ("blue", "green")[count % 2], "Cookie": "session=1"}
    body = b"{}" if todo.method == "POST" else b""
    patience = 0.3 if todo.how == "hold" else 5.0
    return Call("", todo.method, f"{todo.path}?x=1", 200, body, headers, patience)


def of_the_site(number: str) -> tuple[str, str]:
    """What the site itself says to a request."""
    return ("blue", "v1") if int(number, 16) % 2 == 0 else ("green", "v2")


def test_everything_is_planted_once_and_nothing_else_is_touched(planted: Planted) -> None:
    assert sorted(planted.ids) == sorted(plant.name for plant in PLANTS)
    hit = set(planted.ids.values())
    assert len(hit) == len(PLANTS)
    for number, answer in planted.answers.items():
        if number not in hit:
            assert (answer.failure, answer.body) == ("", BODY)
            assert (answer.color, answer.version) == of_the_site(number)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_plant_does_what_it_says_to_its_request(plant: Plant, planted: Planted) -> None:
    number = planted.ids[plant.name]
    hit, seen = planted.answers[number], [r for r in planted.received if r[0] == number]
    forwarded = {"reset": 0, "hold": 0, "status": 0, "unexplained": 0, "twice": 2}
    assert hit.failure == OUTCOMES.get(plant.how, "")
    assert len(seen) == forwarded.get(plant.how, 1)
    assert [r[1] for r in seen] == [plant.value] * len(seen)
    assert [r[2] for r in seen] == ["" if plant.how == "session" else "session=1"] * len(seen)
    if plant.connection:
        assert hit.connection == plant.connection
    color, version = of_the_site(number)
    if plant.how == "stale":
        assert hit.color != color
        assert hit.version != version
    if plant.how == "unexplained":
        assert (hit.color, hit.version) == of_the_site(f"{int(number, 16) - 1:016x}")
    if plant.how == "backwards":
        assert hit.color == color
        assert hit.version != version
