"""The client reports each thing that can happen to a request, once, and never sends it twice."""

from __future__ import annotations

import socket
import time

import pytest

from cyan.proof.requestlog import Connection, Failure
from loadtests import selftest
from loadtests.client import Call, Session, digest
from tests.loadtests.servers import OK, answers, closes_after, serving, stalls_once

METHODS = ("GET", "POST")


def call(method: str = "GET", deadline: float = 5.0) -> Call:
    return Call("test", method, "/", body=b"{}" if method == "POST" else b"", deadline=deadline)


@pytest.mark.parametrize("method", METHODS)
def test_a_reused_connection_that_is_closed_is_reported_once_and_delivered_once(
    method: str,
) -> None:
    with serving(closes_after(1)) as server:
        session = Session(server.url, 1)
        assert session.call(call(method), "a" * 16).failure is Failure.NONE
        answer = session.call(call(method), "b" * 16)
        time.sleep(0.1)
    assert answer.failure is Failure.RESET
    assert answer.connection is Connection.REUSED
    assert server.delivered == ["a" * 16, "b" * 16]


@pytest.mark.parametrize("method", METHODS)
def test_a_new_connection_that_is_closed_is_reported_once_and_delivered_once(method: str) -> None:
    with serving(closes_after(0)) as server:
        answer = Session(server.url, 1).call(call(method), "a" * 16)
        time.sleep(0.1)
    assert answer.failure is Failure.RESET
    assert answer.connection is Connection.NEW
    assert server.delivered == ["a" * 16]


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", Failure.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Failure.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Failure.RESET),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", Failure.STATUS),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", Failure.STATUS),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Digest: "
            + digest(b"no").encode()
            + b"\r\n\r\nok",
            Failure.TRUNCATED,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Digest: " + digest(b"whole").encode() + b"\r\n\r\nwho",
            Failure.TRUNCATED,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-ID: other\r\n\r\nok",
            Failure.STATUS,
        ),
    ],
)
def test_an_answer_that_is_not_complete_and_correct_is_a_failure(
    data: bytes, failure: Failure
) -> None:
    with serving(answers(data)) as server:
        assert Session(server.url, 1).call(call(), "a" * 16).failure is failure
    assert len(server.delivered) == 1


def test_a_complete_answer_is_no_failure_and_its_connection_is_reused() -> None:
    with serving(closes_after(2)) as server:
        session = Session(server.url, 1)
        first, second = (session.call(call(), letter * 16) for letter in "ab")
    assert (first.failure, second.failure) == (Failure.NONE, Failure.NONE)
    assert (first.connection, second.connection) == (Connection.NEW, Connection.REUSED)
    assert 0 < first.first_ns <= first.end_ns


def test_no_answer_before_the_deadline_is_a_timeout() -> None:
    with serving(stalls_once(0, 3)) as server:
        answer = Session(server.url, 1).call(call(deadline=0.2), "a" * 16)
    assert answer.failure is Failure.TIMEOUT


def test_nobody_listening_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = Session(f"http://127.0.0.1:{port}", 1).call(call(), "a" * 16)
    assert answer.failure is Failure.REFUSED
    assert answer.connection is Connection.NEW


def test_an_idle_connection_that_the_server_closed_is_replaced_and_counted() -> None:
    with serving(answers(OK)) as server:
        session = Session(server.url, 1)
        session.call(call(), "a" * 16)
        time.sleep(0.1)  # the server's close arrives while the connection is idle
        answer = session.call(call(), "b" * 16)
    assert answer.failure is Failure.NONE
    assert answer.connection is Connection.NEW
    assert session.replaced == 1
    assert server.delivered == ["a" * 16, "b" * 16]


def test_the_self_test_believes_the_witness() -> None:
    assert selftest.faults() == []


def test_the_self_test_finds_a_client_that_sends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Session._made

    def with_retries(self: Session) -> object:
        client = made(self)
        client._connection_pool.size = 1
        return client

    monkeypatch.setattr(Session, "_made", with_retries)
    assert any("delivered" in fault for fault in selftest.faults())


def test_a_connect_that_is_refused_in_the_place_of_an_idle_connection_is_no_reset() -> None:
    with serving(answers(OK)) as server:
        session = Session(server.url, 1)
        assert session.call(call(), "a" * 16).failure is Failure.NONE
        time.sleep(0.1)  # the server's close arrives while the connection is idle
    answer = session.call(call(), "b" * 16)
    assert answer.failure is Failure.REFUSED
    assert (answer.connection, answer.age_ns) == (Connection.NEW, 0)
    assert session.replaced == 1
