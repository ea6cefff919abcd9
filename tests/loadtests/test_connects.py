"""A connection that is not made is refused; one that is made and not answered times out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from cyan.proof.requestlog import Connection, Failure
from loadtests import client, journeys, secure
from loadtests.client import Answer, Call, Session
from loadtests.secure import SecureSession
from tests.loadtests.http2 import certificate
from tests.loadtests.servers import answers, serving

SOON = 0.3
ID = "a" * 16


def stream(port: int, deadline: float) -> Answer:
    call = Call("events", "GET", "/events", deadline=deadline)
    session = Session(f"http://127.0.0.1:{port}", 1)
    return journeys.perform(call, session, ID)


def talk(port: int, deadline: float) -> Answer:
    call = Call("socket", "GET", "/ws", 101, deadline=deadline)
    url = f"http://127.0.0.1:{port}"
    return journeys.perform(call, Session(url, 1), ID)


def talk_over_tls(port: int, deadline: float) -> Answer:
    call = Call("socket", "GET", "/ws", 101, deadline=deadline)
    return journeys.perform(call, Session(f"https://127.0.0.1:{port}", 1), ID)


def page_over_tls(port: int, deadline: float) -> Answer:
    session = SecureSession(f"https://127.0.0.1:{port}", 1, certificate()[0])
    return session.call(Call("secure", "GET", "/", deadline=deadline), ID)


PLAIN, OVER_TLS = (stream, talk), (talk_over_tls, page_over_tls)
Ask = Callable[[int, float], Answer]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, secure, journeys):
        monkeypatch.setattr(module, "CONNECT", SOON)


@contextmanager
def nobody() -> Iterator[int]:
    """A port that refuses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def silence() -> Iterator[int]:
    """A port at which connections are made, and nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def crowded() -> Iterator[int]:
    """A port whose queue is full: what else comes is not even refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def assert_refused(answer: Answer) -> None:
    assert answer.failure is Failure.REFUSED, answer.error
    assert (answer.connection, answer.age_ns, answer.status) == (Connection.NEW, 0, 0)


@pytest.mark.parametrize("where", [nobody, crowded])
@pytest.mark.parametrize("ask", [*PLAIN, *OVER_TLS])
def test_a_connection_that_cannot_be_made_is_refused(
    ask: Ask, where: Callable[[], AbstractContextManager[int]]
) -> None:
    with where() as port:
        assert_refused(ask(port, 20))


@pytest.mark.parametrize("ask", OVER_TLS)
def test_a_handshake_of_tls_that_does_not_end_is_a_connection_that_is_not_made(ask: Ask) -> None:
    with silence() as port:
        assert_refused(ask(port, 20))


def test_a_deadline_that_passes_before_the_connection_is_made_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "CONNECT", 20)
    with crowded() as port:
        assert_refused(stream(port, SOON))


@pytest.mark.parametrize("ask", PLAIN)
def test_a_connection_that_is_made_and_not_answered_times_out(ask: Ask) -> None:
    with silence() as port:
        answer = ask(port, SOON)
    assert answer.failure is Failure.TIMEOUT, answer.error
    assert answer.connection is Connection.NEW
    assert answer.age_ns > 0


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (b"", Failure.RESET),
        (b"HTTP/1.1 101 Swi", Failure.RESET),
        (b"HTTP/1.1 503 Nobody\r\nContent-Length: 0\r\n\r\n", Failure.STATUS),
        (b"HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", Failure.STATUS),
    ],
)
def test_a_websocket_that_is_not_agreed_to_is_reported_and_asked_for_once(
    said: bytes, failure: Failure
) -> None:
    with serving(answers(said)) as server:
        answer = talk(server.port, 20)
    assert answer.failure is failure, answer.error
    assert answer.connection is Connection.NEW
    assert server.delivered == [ID]
