"""The users of any site: shapes of load.yaml, and journeys that somebody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.errors import UsageError
from cyan.proof.loadfile import LoadFile, Shape
from cyan.proof.requestlog import Failure, Framing
from loadtests.client import Answer, Call, Session
from loadtests.own import FRESH, Own
from tests.loadtests.servers import OK, answers, serving

if TYPE_CHECKING:
    import socket
    from pathlib import Path

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
SHOP = """
from loadtests.own import Call, journey

@journey(weight=3)
def shop(user):
    answer = yield Call("", "POST", "/login", 200, f"name={user}".encode())
    while True:
        yield Call("", "GET", "/cart", headers={"Cookie": answer.cookie})
"""


def test_paths_are_made_of_the_values_that_they_have() -> None:
    shape = Shape(
        path="/items/{id}?page={p}", values={"id": ("1", "2"), "p": ("7",)}, expects=(200, 404)
    )
    own = Own(LoadFile(requests=(shape,)), 1)
    calls = [own.call_of(shape.title, Session("http://x", 1), "") for _ in range(40)]
    assert {call.path for call in calls} == {"/items/1?page=7", "/items/2?page=7"}
    assert own.weights == {"GET /items/{id}?page={p}": 1}
    with serving(answers(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as server:
        answer = own.perform(calls[0], Session(server.url, 1), "a" * 16)
    assert (answer.status, answer.failure) == (404, Failure.NONE)


def test_the_same_seed_asks_for_the_same() -> None:
    shape = Shape(path="/{n}", values={"n": tuple("abcdefgh")})
    first, again, other = (
        [own.call_of(shape.title, Session("http://x", 1), "").path for _ in range(30)]
        for own in (Own(LoadFile(requests=(shape,)), seed) for seed in (1, 1, 2))
    )
    assert first == again != other


def test_some_requests_have_a_connection_of_their_own() -> None:
    own = Own(LoadFile(requests=(Shape(path="/"),)), 1)
    alone = sum(own.alone("GET /") for _ in range(1000))
    assert FRESH * 700 < alone < FRESH * 1300


def test_a_body_may_hold_its_request_s_id() -> None:
    bodies: list[bytes] = []

    class Kept(Session):
        def call(self, call: Call, request_id: str) -> Answer:
            bodies.append(call.body)
            return super().call(call, request_id)

    own = Own(LoadFile(requests=(Shape(path="/", method="POST", body="id={request_id}"),)), 1)
    with serving(answers(OK)) as server:
        session = Kept(server.url, 1)
        own.perform(own.call_of("POST /", session, ""), session, "a" * 16)
    assert bodies == [b"id=" + b"a" * 16]


def test_a_journey_is_sent_each_answer_and_begins_anew_where_it_failed(tmp_path: Path) -> None:
    path = tmp_path / "journeys.py"
    path.write_text(SHOP)
    own = Own(LoadFile(journeys=path), 1)
    assert (own.weights, own.pools, own.alone("shop")) == ({"shop": 3}, ("shop",), False)
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=4; Path=/\r\nContent-Length: 0\r\n\r\n"

    def logged_in(connection: socket.socket, _number: int) -> bool:
        connection.sendall(cookie)
        return True

    with serving(logged_in) as server:
        session = Session(server.url, 9)
        calls = []
        for number in range(3):
            call = own.call_of("shop", session, "")
            calls.append((call.journey, call.method, call.path, dict(call.headers), call.body))
            own.perform(call, session, f"{number:016x}")
    assert calls == [
        ("shop", "POST", "/login", {}, b"name=9"),
        ("shop", "GET", "/cart", {"Cookie": "sid=4"}, b""),
        ("shop", "GET", "/cart", {"Cookie": "sid=4"}, b""),
    ]
    session.close()
    failed = own.perform(own.call_of("shop", session, ""), session, "f" * 16)  # nobody listens
    assert failed.failure
    assert own.call_of("shop", session, "").path == "/login"


@pytest.mark.parametrize(
    "text", ["x = 1", "raise RuntimeError('no')", "def", "import nothing_like"]
)
def test_a_file_without_a_journey_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journeys.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"journeys\.py"):
        Own(LoadFile(journeys=path), 1)


@pytest.mark.parametrize(
    ("sent", "method", "framing", "failure"),
    [
        (OK, "GET", Framing.LENGTH, Failure.NONE),
        (CHUNKED + b"0\r\n\r\n", "GET", Framing.CHUNKED, Failure.NONE),
        (CHUNKED, "GET", Framing.CHUNKED, Failure.TRUNCATED),
        (CHUNKED + b"5\r\nhe", "GET", Framing.CHUNKED, Failure.TRUNCATED),
        (b"HTTP/1.0 200 OK\r\n\r\nok", "GET", Framing.CLOSE, Failure.NONE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", Framing.NONE, Failure.NONE),
    ],
)
def test_it_is_told_what_says_that_an_answer_is_whole(
    sent: bytes, method: str, framing: Framing, failure: Failure
) -> None:
    with serving(answers(sent)) as server:
        answer = Session(server.url, 1).call(Call("x", method, "/"), "a" * 16)
    assert (answer.framing, answer.failure) == (framing, failure)
