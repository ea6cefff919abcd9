"""Byte for byte: what the relay carries, whether it may plant or not, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from tests.proof.relays import abort, is_reset, peers, read, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = (
    b"POST /orders?a=%20b HTTP/1.1\r\nhOsT: x\r\nX-Twice: 1\r\nx-twice:   2 \r\nX-Empty:\r\n"
    b"X-Latin: \xe9\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;extended=1\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n"
)
PLAIN = b"GET /items HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nX-color: blue\r\nX-Color:  blue\r\n\r\nok"
ANSWERS = {
    "length": OK,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;x\r\nok\r\n0\r\nT: 1\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
    "processing": b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK,
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
}
WAYS = ("plain", "far", "planted", "planted far")


@pytest.fixture(params=WAYS)
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A relayed connection, by a relay of each sort; a planting one has begun to plant."""
    with peers(*flags(request.param, tmp_path)) as both:
        yield both


Pair = tuple[socket.socket, socket.socket]


def flags(way: str, folder: Path) -> list[str]:
    """The relay's flags; in a planting one nothing falls due before the sixtieth request."""
    notes = folder / "planted.jsonl"
    notes.touch()
    planted = ["--planted", str(notes)] if "planted" in way else []
    return planted + (["--rtt", "0.02"] if "far" in way else [])


def carried(sender: socket.socket, hearer: socket.socket, data: bytes) -> None:
    """Assert that exactly these bytes arrive."""
    sender.sendall(data)
    assert read(hearer, len(data)) == data


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_requests_and_answers_arrive_byte_for_byte(ends: Pair, answer: bytes) -> None:
    near, far = ends
    for request in (REQUEST, PLAIN, REQUEST):
        carried(near, far, request)
        carried(far, near, answer)


def test_an_answer_to_head_has_no_body(ends: Pair) -> None:
    near, far = ends
    for _ in range(2):
        carried(near, far, b"HEAD /items HTTP/1.1\r\nHost: x\r\n\r\n")
        carried(far, near, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")


def test_an_answer_without_a_length_ends_with_its_connection(ends: Pair) -> None:
    near, far = ends
    carried(near, far, PLAIN)
    far.sendall(b"HTTP/1.0 200 OK\r\n\r\nall that comes")
    far.shutdown(socket.SHUT_WR)
    assert read_all(near) == b"HTTP/1.0 200 OK\r\n\r\nall that comes"


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(ends: Pair) -> None:
    near, far = ends
    head = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    for _ in range(2):
        carried(near, far, head)
        carried(far, near, b"HTTP/1.1 100 Continue\r\n\r\n")
        carried(near, far, b"body")
        carried(far, near, OK)


def test_a_stream_arrives_piece_by_piece(ends: Pair) -> None:
    near, far = ends
    carried(near, far, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    carried(far, near, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b"4\r\none\n\r\n", b"4\r\ntwo\n\r\n", b"0\r\n\r\n"):
        carried(far, near, piece)
    carried(near, far, PLAIN)


def test_after_an_upgrade_both_may_say_anything(ends: Pair) -> None:
    near, far = ends
    ask = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    carried(near, far, ask)
    carried(far, near, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    for words in (b"\x81\x05hello", b"GET /no HTTP/9\r\n\r\n", bytes(range(256))):
        carried(near, far, words)
        carried(far, near, words)


@pytest.mark.parametrize("words", [b"\x16\x03\x01\x00", b"NO HTTP\r\n\r\n", b"GET / HTTP/1.1\n\n"])
def test_what_is_no_http_is_carried_too(ends: Pair, words: bytes) -> None:
    near, far = ends
    carried(near, far, words + b"\r\n\r\n")
    carried(far, near, words)
    carried(near, far, words)


def test_half_a_request_is_carried_before_the_end_of_it(ends: Pair) -> None:
    near, far = ends
    near.sendall(PLAIN[:10])
    near.shutdown(socket.SHUT_WR)
    assert read_all(far) == PLAIN[:10]


@pytest.mark.parametrize("of_the_client", [True, False])
def test_a_reset_after_the_end_is_carried_at_once(ends: Pair, of_the_client: bool) -> None:
    resets, hears = ends if of_the_client else ends[::-1]
    resets.shutdown(socket.SHUT_WR)
    assert read_all(hears) == b""
    abort(resets)
    assert is_reset(hears)


@pytest.mark.parametrize("of_the_client", [True, False])
def test_a_reset_while_an_answer_is_awaited_is_carried_as_one(
    ends: Pair, of_the_client: bool
) -> None:
    near, far = ends
    carried(near, far, PLAIN)
    resets, hears = (near, far) if of_the_client else (far, near)
    abort(resets)
    assert is_reset(hears)


def test_a_reset_between_two_requests_is_carried_as_one(ends: Pair) -> None:
    near, far = ends
    carried(near, far, PLAIN)
    carried(far, near, OK)
    abort(near)
    assert is_reset(far)


@contextmanager
def started(way: str, folder: Path, to: int, stdin: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "cyan.proof.relay", "--to", f"127.0.0.1:{to}"]
    command += flags(way, folder)
    with subprocess.Popen(command, stdin=stdin, stdout=PIPE, stderr=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, PIPE], ids=["no stdin", "stdin"])
@pytest.mark.parametrize("way", WAYS)
def test_a_signal_ends_it_in_order_and_in_silence_with_connections_open(
    way: str, stdin: int, how: signal.Signals, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        started(way, tmp_path, server.getsockname()[1], stdin) as process,
    ):
        assert process.stdout
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
            far, _ = server.accept()
            with far:
                carried(near, far, PLAIN)
                process.send_signal(how)
                assert process.communicate(timeout=10) == ("", "")
                assert process.returncode == 0
