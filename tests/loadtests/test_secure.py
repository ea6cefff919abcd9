"""Over HTTP/2 each lost stream is reported once, by its kind, and never asked for again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from h2.connection import H2Connection
from h2.errors import ErrorCodes

from cyan.proof.requestlog import Connection, Failure
from loadtests.client import Call
from loadtests.secure import SecureSession
from tests.lab.harness import until
from tests.loadtests.http2 import answered, half, serving

if TYPE_CHECKING:
    from pathlib import Path

Ending = Callable[[H2Connection, int], bool]
"""What the server does to a stream; False closes the connection then."""


def refused(protocol: H2Connection, stream: int) -> bool:
    protocol.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
    return True


def reset(protocol: H2Connection, stream: int) -> bool:
    protocol.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
    return True


def reset_in_the_middle(protocol: H2Connection, stream: int) -> bool:
    half(protocol, stream)
    return reset(protocol, stream)


def going_away(protocol: H2Connection, stream: int) -> bool:
    protocol.close_connection(last_stream_id=stream)
    return True


def going_away_without_it(protocol: H2Connection, stream: int) -> bool:
    protocol.close_connection(last_stream_id=max(stream - 2, 0))
    return True


def going_away_and_closing(protocol: H2Connection, stream: int) -> bool:
    protocol.close_connection(last_stream_id=max(stream - 2, 0))
    return False


def going_away_in_the_middle(protocol: H2Connection, stream: int) -> bool:
    half(protocol, stream)
    protocol.close_connection(last_stream_id=stream)
    return False


def closing(_protocol: H2Connection, _stream: int) -> bool:
    return False


def closing_in_the_middle(protocol: H2Connection, stream: int) -> bool:
    half(protocol, stream)
    return False


def too_short(protocol: H2Connection, stream: int) -> bool:
    half(protocol, stream)
    protocol.end_stream(stream)
    return True


ENDINGS = {
    refused: Failure.RESET,
    reset: Failure.RESET,
    reset_in_the_middle: Failure.RESET,
    going_away: Failure.RESET,
    going_away_without_it: Failure.RESET,
    going_away_and_closing: Failure.RESET,
    going_away_in_the_middle: Failure.RESET,
    closing: Failure.RESET,
    closing_in_the_middle: Failure.RESET,
    too_short: Failure.TRUNCATED,
}


def call(method: str = "GET") -> Call:
    return Call("test", method, "/", body=b"{}" if method == "POST" else b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize(
    ("ending", "failure"), ENDINGS.items(), ids=[ending.__name__ for ending in ENDINGS]
)
def test_a_lost_stream_is_reported_once_and_delivered_once(
    ending: Ending, failure: Failure, before: int, method: str, tmp_path: Path
) -> None:
    def behave(protocol: H2Connection, stream: int, number: int) -> bool:
        return ending(protocol, stream) if number == before else answered(protocol, stream)

    with serving(behave, tmp_path) as server:
        session = SecureSession(server.url, 1, server.authority)
        for number in range(before):
            assert session.call(call(method), f"{number:016x}").failure is Failure.NONE
        lost = session.call(call(method), "f" * 16)
        assert server.connections == 1  # nothing was asked for again
        after = session.call(call(method), "a" * 16)
        session.close()
    assert (lost.failure, after.failure) == (failure, Failure.NONE)
    assert lost.connection is (Connection.REUSED if before else Connection.NEW)
    assert lost.age_ns > 0
    assert after.connection is Connection.NEW
    assert server.delivered == [*(f"{n:016x}" for n in range(before)), "f" * 16, "a" * 16]


def test_a_site_that_is_reached_through_another_address_is_called_by_its_own(
    tmp_path: Path,
) -> None:
    with serving(lambda protocol, stream, _: answered(protocol, stream), tmp_path) as server:
        site = "https://localhost:8443"  # what a proxy knows it by, also in its log
        session = SecureSession(site, 1, server.authority, through=server.url)
        assert session.call(call(), "a" * 16).failure is Failure.NONE
        session.close()
    assert server.named == {"localhost:8443"}


def test_an_idle_connection_that_the_server_closed_is_replaced_and_counted(tmp_path: Path) -> None:
    def behave(protocol: H2Connection, stream: int, _number: int) -> bool:
        answered(protocol, stream)
        return False

    with serving(behave, tmp_path) as server:
        session = SecureSession(server.url, 1, server.authority)
        assert session.call(call(), "a" * 16).failure is Failure.NONE
        until(session._closed_by_server, "the server's close arrives")
        answer = session.call(call(), "b" * 16)
        session.close()
    assert answer.failure is Failure.NONE
    assert answer.connection is Connection.NEW
    assert session.replaced == 1
    assert server.delivered == ["a" * 16, "b" * 16]
