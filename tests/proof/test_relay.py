"""The relay with real sockets: what it carries, and that a plant hits one request only."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.proof.relays import abort, peers, read, read_all, relay, send_all

RTT = 0.2
BODY = b'{"items": ["lamp", "lens"]}'


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


def test_with_jitter_bytes_take_another_time_each_and_keep_their_order() -> None:
    with peers("--rtt", "0.1", "--jitter", "0.08") as (near, far):
        took = []
        for _ in range(12):
            begun = time.monotonic()
            near.sendall(b"?")
            far.sendall(far.recv(1))
            assert near.recv(1) == b"?"
            took.append(time.monotonic() - begun)
        assert min(took) >= 0.02
        assert max(took) - min(took) > 0.03
        for number in range(200):
            near.sendall(bytes([number]))
        assert read(far, 200) == bytes(range(200))


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
