"""The client reports each thing that can happen to a request, once, and never sends it twice."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from cyan.proof.requestlog import Connection, Failure
from loadtests.client import Call, Session, digest
from loadtests.secure import SecureSession
from tests.loadtests.servers import OK, answers, closes_after, serving, stalls_once

METHODS = ("GET", "POST")


def call(method: str = "GET", deadline: float = 5.0) -> Call:
    return Call("test", method, "/", body=b"{}" if method == "POST" else b"", deadline=deadline)


def plain(url: str, user: int) -> SecureSession:
    """The client of HTTP/2, which speaks HTTP/1.1 where there is no TLS."""
    return SecureSession(url, user, "")


@pytest.mark.parametrize("sort", [Session, plain])
@pytest.mark.parametrize("method", METHODS)
def test_a_reused_connection_that_is_closed_is_reported_once_and_delivered_once(
    method: str, sort: Any
) -> None:
    with serving(closes_after(1)) as server:
        session = sort(server.url, 1)
        assert session.call(call(method), "a" * 16).failure is Failure.NONE
        answer = session.call(call(method), "b" * 16)
        time.sleep(0.1)
    assert answer.failure is Failure.RESET
    assert answer.connection is Connection.REUSED
    assert server.delivered == ["a" * 16, "b" * 16]


@pytest.mark.parametrize("sort", [Session, plain])
@pytest.mark.parametrize("method", METHODS)
def test_a_new_connection_that_is_closed_is_reported_once_and_delivered_once(
    method: str, sort: Any
) -> None:
    with serving(closes_after(0)) as server:
        answer = sort(server.url, 1).call(call(method), "a" * 16)
        time.sleep(0.1)
    assert answer.failure is Failure.RESET
    assert answer.connection is Connection.NEW
    assert server.delivered == ["a" * 16]


@pytest.mark.parametrize("sort", [Session, plain])
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
    data: bytes, failure: Failure, sort: Any
) -> None:
    with serving(answers(data)) as server:
        assert sort(server.url, 1).call(call(), "a" * 16).failure is failure
    assert len(server.delivered) == 1


def test_a_complete_answer_is_no_failure_and_its_connection_is_reused() -> None:
    with serving(closes_after(2)) as server:
        session = Session(server.url, 1)
        first, second = (session.call(call(), letter * 16) for letter in "ab")
    assert (first.failure, second.failure) == (Failure.NONE, Failure.NONE)
    assert (first.connection, second.connection) == (Connection.NEW, Connection.REUSED)
    assert 0 < first.first_ns <= first.end_ns


@pytest.mark.parametrize("sort", [Session, plain])
def test_no_answer_before_the_deadline_is_a_timeout(sort: Any) -> None:
    with serving(stalls_once(0, 3)) as server:
        answer = sort(server.url, 1).call(call(deadline=0.2), "a" * 16)
    assert answer.failure is Failure.TIMEOUT


@pytest.mark.parametrize("sort", [Session, plain])
def test_nobody_listening_is_refused(sort: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = sort(f"http://127.0.0.1:{port}", 1).call(call(), "a" * 16)
    assert answer.failure is Failure.REFUSED
    assert answer.connection is Connection.NEW


@pytest.mark.parametrize("sort", [Session, plain])
def test_an_idle_connection_that_the_server_closed_is_replaced_and_counted(
    sort: Any,
) -> None:
    with serving(answers(OK)) as server:
        session = sort(server.url, 1)
        session.call(call(), "a" * 16)
        time.sleep(0.1)  # the server's close arrives while the connection is idle
        answer = session.call(call(), "b" * 16)
    assert answer.failure is Failure.NONE
    assert answer.connection is Connection.NEW
    assert session.replaced == 1
    assert server.delivered == ["a" * 16, "b" * 16]


def self_test(change: str = "") -> list[str]:
    """What the self-test finds in a process that is patched as Locust's is, after a `change`."""
    code = f"""
from gevent import monkey; monkey.patch_all()
import json
import httpx
from loadtests import selftest
from loadtests.client import Session
from loadtests.secure import SecureSession
{change}
print(json.dumps(selftest.faults()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_the_self_test_believes_the_witness() -> None:
    assert self_test() == []


SENDS_AGAIN = """
made = Session._made
def with_retries(session):
    client = made(session)
    client._connection_pool.size = 1
    return client
Session._made = with_retries
"""
SECURE_SENDS_AGAIN = """
send = httpx.Client.send
def twice(client, request, **options):
    try:
        return send(client, request, **options)
    except httpx.TransportError:
        request.extensions.pop("trace")  # which forbids it
        return send(client, request, **options)
httpx.Client.send = twice
"""
ASKS_AGAIN = """
def unforbidden(session, event, info):
    try:
        traced(session, event, info)
    except httpx.RemoteProtocolError:
        pass
traced = SecureSession._traced
SecureSession._traced = unforbidden
"""
"""httpcore itself asks again for a stream that a server going away has not begun."""


@pytest.mark.parametrize("change", [SENDS_AGAIN, SECURE_SENDS_AGAIN, ASKS_AGAIN])
def test_the_self_test_finds_a_client_that_sends_again(change: str) -> None:
    assert any("delivered" in fault for fault in self_test(change))


@pytest.mark.parametrize("sort", [Session, plain])
def test_a_connect_that_is_refused_in_the_place_of_an_idle_connection_is_no_reset(
    sort: Any,
) -> None:
    with serving(answers(OK)) as server:
        session = sort(server.url, 1)
        assert session.call(call(), "a" * 16).failure is Failure.NONE
        time.sleep(0.1)  # the server's close arrives while the connection is idle
    answer = session.call(call(), "b" * 16)
    assert answer.failure is Failure.REFUSED
    assert (answer.connection, answer.age_ns) == (Connection.NEW, 0)
    assert session.replaced == 1
