"""One plant, on the first request of a raw connection: where it does not fit all is carried."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cyan.proof.relay.__main__ import HERE
from cyan.proof.relay.planting import Asking, Planting
from cyan.proof.relay.plants import Plant, Planter
from tests.lab.harness import until
from tests.proof.relays import abort, is_reset, read, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = b"GET /items HTTP/1.1\r\nHost: x\r\nX-Request-ID: a1\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
BLUE = b"HTTP/1.1 200 OK\r\nX-Color: blue\r\nX-Version: v1\r\n"
OK = BLUE + b"Content-Length: 4\r\n\r\nbody"
CHUNKED = BLUE + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


class Planted:
    """The two ends of a connection whose first request to /items gets the plant."""

    def __init__(self, near: socket.socket, far: socket.socket, notes: Path) -> None:
        self.near, self.far = near, far
        self._notes = notes

    def asked(self) -> None:
        """The request goes all the way."""
        self.near.sendall(REQUEST)
        assert read(self.far, len(REQUEST)) == REQUEST

    @property
    def note(self) -> tuple[str, str]:
        """The id that was noted, and the reason why none was; waits for them."""
        until(lambda: bool(self._notes.read_text()), "something is noted")
        (line,) = [json.loads(line) for line in self._notes.read_text().splitlines()]
        return line["id"], line["why_not"]


@contextmanager
def planted(how: str, folder: Path, green: str = "") -> Iterator[Planted]:
    """A relay in a thread of its own; `green` is the version that green answered with before."""
    notes = folder / "planted.jsonl"
    notes.touch()
    planting = Planting(notes, Planter((Plant("x", how, "reset"),), spacing=1))
    planting.versions |= {"green": green} if green else {}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    far_side = socket.create_server(HERE)
    made = loop.create_server(lambda: Asking(far_side.getsockname(), planting), *HERE)
    server = asyncio.run_coroutine_threadsafe(made, loop).result(10)
    near = socket.create_connection(server.sockets[0].getsockname(), timeout=10)
    far, _ = far_side.accept()
    far.settimeout(10)
    try:
        with near, far, far_side:
            yield Planted(near, far, notes)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()


@pytest.mark.parametrize("how", ["truncated", "corrupted"])
def test_a_body_whose_length_nobody_promised_is_left_whole(how: str, tmp_path: Path) -> None:
    with planted(how, tmp_path) as ends:
        ends.asked()
        ends.far.sendall(CHUNKED)
        assert read(ends.near, len(CHUNKED)) == CHUNKED
        assert ends.note == ("", "the answer has no body of a known length")


@pytest.mark.parametrize("how", ["stale", "backwards"])
@pytest.mark.parametrize(
    ("answer", "why_not"),
    [
        (OK, "no color but blue has answered yet"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "the answer names no color"),
    ],
)
def test_an_answer_that_cannot_be_another_colors_is_left_whole(
    how: str, answer: bytes, why_not: str, tmp_path: Path
) -> None:
    with planted(how, tmp_path) as ends:
        ends.asked()
        ends.far.sendall(answer)
        assert read(ends.near, len(answer)) == answer
        assert ends.note == ("", why_not)


@pytest.mark.parametrize("answer", [OK, HINTS + OK, CHUNKED])
def test_a_stale_answer_differs_in_its_head_only(answer: bytes, tmp_path: Path) -> None:
    with planted("stale", tmp_path, green="v0") as ends:
        ends.asked()
        ends.far.sendall(answer)
        heard = read_all(ends.near)
        assert heard.startswith(HINTS) == answer.startswith(HINTS)
        assert heard.endswith(answer.rpartition(b"v1\r\n")[2].partition(b"\r\n\r\n")[2])
        assert b"X-Color: green\r\nX-Version: v0\r\nConnection: close\r\n\r\n" in heard
        assert ends.note == ("a1", "")


def test_an_answer_that_comes_in_pieces_is_cut_in_half(tmp_path: Path) -> None:
    with planted("truncated", tmp_path) as ends:
        ends.asked()
        for at in range(len(OK)):
            ends.far.sendall(OK[at : at + 1])
        assert read_all(ends.near) == OK[:-2]
        assert ends.note == ("a1", "")


def test_a_client_that_does_not_wait_leaves_nothing_planted(tmp_path: Path) -> None:
    with planted("reset-answer", tmp_path) as ends:
        ends.asked()
        abort(ends.near)
        assert is_reset(ends.far)
        assert ends.note == ("", "the client did not wait")


def test_a_proxy_that_resets_leaves_nothing_planted(tmp_path: Path) -> None:
    with planted("corrupted", tmp_path) as ends:
        ends.asked()
        ends.far.sendall(OK[:-2])
        abort(ends.far)
        assert is_reset(ends.near)
        assert ends.note == ("", "the proxy went before the answer")


def test_an_answer_that_ends_too_soon_is_carried_as_it_is(tmp_path: Path) -> None:
    with planted("corrupted", tmp_path) as ends:
        ends.asked()
        ends.far.sendall(OK[:-2])
        ends.far.shutdown(socket.SHUT_WR)
        assert read_all(ends.near) == OK[:-2]
        assert ends.note[0] == ""


def test_a_request_that_ends_too_soon_is_carried_as_it_is(tmp_path: Path) -> None:
    half = REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nhalf")
    with planted("header", tmp_path) as ends:
        ends.near.sendall(half)
        ends.near.shutdown(socket.SHUT_WR)
        assert read_all(ends.far) == half
        assert ends.note == ("", "the request did not end")


def test_what_a_client_sends_meanwhile_comes_after_the_answer(tmp_path: Path) -> None:
    with planted("corrupted", tmp_path) as ends:
        ends.near.sendall(REQUEST + NEXT)
        ends.near.shutdown(socket.SHUT_WR)
        assert read(ends.far, len(REQUEST)) == REQUEST
        ends.far.sendall(OK)
        assert read_all(ends.far) == NEXT
        ends.far.sendall(OK)
        assert read(ends.near, 2 * len(OK)) == OK[:-2] + b"ey" + OK


def test_an_answer_that_is_no_http_is_carried_and_so_is_what_follows(tmp_path: Path) -> None:
    with planted("corrupted", tmp_path) as ends:
        ends.asked()
        ends.far.sendall(b"WHAT?\r\n\r\n")
        assert read(ends.near, 9) == b"WHAT?\r\n\r\n"
        assert ends.note[0] == ""
        ends.near.sendall(NEXT)
        assert read(ends.far, len(NEXT)) == NEXT


def test_a_client_that_ends_and_then_resets_is_reset_although_a_plant_is_at_work(
    tmp_path: Path,
) -> None:
    with planted("reset-answer", tmp_path) as ends:
        ends.asked()
        ends.near.shutdown(socket.SHUT_WR)
        abort(ends.near)
        assert is_reset(ends.far)
        assert ends.note == ("", "the client did not wait")
