"""How long an application keeps an idle connection, by a real one, and what follows from it."""

from __future__ import annotations

import math
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, cast

import pytest

from cyan.engines.docker import Wiring
from cyan.names import Color
from cyan.rollout import idle
from cyan.rollout.idle import MOST, Seen, fits, judged, measured
from cyan.rollout.preflight import Level
from tests.proxies.test_front import adopted
from tests.rollout.worlds import container
from tests.shell import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyan.engines.docker import Engine

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(keeps: float) -> Iterator[int]:
    """Answers one request, and closes its connection after some seconds; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):  # to close on half a request resets it
                    asked += connection.recv(1000)
                connection.sendall(ANSWER)
                over.wait(keeps)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join()


def test_it_is_measured_from_the_answer_to_the_end_of_the_connection(tmp_path: Path) -> None:
    host = Machine(tmp_path).host
    with server(0) as port:
        at_once = measured(host, ("127.0.0.1", port), "/", "shop.example", 60)
    with server(60) as port:
        at_least = measured(host, ("127.0.0.1", port), "/", "shop.example", 0.5)
    assert at_once < 60
    assert at_least == 0.5


def test_who_does_not_answer_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert math.isnan(measured(Machine(tmp_path).host, ("127.0.0.1", port), "/", "x", 1))
    assert judged("web", math.nan, 0).level is Level.WARN


@pytest.mark.parametrize(
    ("kept", "safe"), [(0.0, 0), (0.9, 0), (2.0, 1.0), (5.0, 2.5), (6.0, 3.0), (75.0, 3.0)]
)
def test_the_proxy_keeps_a_connection_for_half_of_that_and_three_seconds_at_most(
    kept: float, safe: float
) -> None:
    assert fits(kept) == safe


@pytest.mark.parametrize(
    ("kept", "keeps", "level", "says"),
    [
        (2.0, 3.0, Level.WARN, "web keeps an idle connection for 2.0 s, the proxy for 3 s"),
        (2.0, 1.0, Level.OK, "the proxy for 1 s"),
        (MOST, 0, Level.OK, "for 8 s or more, the proxy for 0 s (none); 3 s are safe"),
        (0.1, 0, Level.OK, "for 0.1 s, the proxy for 0 s"),
        (0.1, 3.0, Level.WARN, "the proxy for 3 s"),
    ],
)
def test_a_proxy_that_keeps_a_connection_for_longer_than_is_safe_is_no_good(
    kept: float, keeps: float, level: Level, says: str
) -> None:
    check = judged("web", kept, keeps)
    assert check.level is level
    assert says in check.says
    assert (level is Level.OK) == (not check.todo)


class Wired:
    """An engine whose containers are where a server of the test listens."""

    def wiring(self, _container: str) -> Wiring:
        return Wiring("web", frozenset(), "127.0.0.1", ())


@contextmanager
def asked(base: Path, keepalive: object, *keeps: float) -> Iterator[Seen]:
    """What is seen of an application whose routes lead to servers that keep so long."""
    with ExitStack() as stack:
        ports = [stack.enter_context(server(each)) for each in keeps]
        services = ("web", "api")[: len(ports)]
        routes = [
            {"service": name, "port": port, "path": f"/{name}"}
            for name, port in zip(services, ports, strict=True)
        ]
        routes[0] |= {"published": 3000}
        wanted = adopted(base, *routes, site={"keepalive": keepalive})
        found = [container(name, Color.BLUE) for name in ("web", "api")]
        yield idle.seen(Machine(base).host, cast("Engine", Wired()), wanted, found)
        for port in ports:  # who was not asked is let go
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("keepalive", "keeps", "says"),
    [
        (0, 0, ""),  # the proxy keeps none
        (0.6, 60, ""),
        (3600, 60, ""),  # nobody watches it for two hours
        (0.6, 0.3, "a POST may meet it closing; cyan.site.keepalive: 0, inv proxy.reload"),
        ("auto", 0.3, ""),  # it is not kept, then
    ],
)
def test_a_release_that_keeps_connections_for_less_than_the_proxy_counts_on_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keepalive: object, keeps: float, says: str
) -> None:
    monkeypatch.setattr(idle, "MOST", 1.5)
    with asked(tmp_path, keepalive, keeps) as seen:
        assert says in seen.wrong
        assert bool(seen.wrong) is bool(says)
        assert not seen.long


@pytest.mark.parametrize(
    ("keeps", "long"), [((60,), True), ((0.5,), False), ((60, 60), True), ((60, 0.5), False)]
)
def test_all_that_users_reach_keeps_connections_long_enough_or_none_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: tuple[float, ...], long: bool
) -> None:
    monkeypatch.setattr(idle, "LEAST", 0.8)
    with asked(tmp_path, "auto", *keeps) as seen:
        assert seen == Seen(long=long)


def test_nothing_is_kept_where_a_service_could_not_be_asked(tmp_path: Path) -> None:
    wanted = adopted(tmp_path)
    host, engine = Machine(tmp_path).host, cast("Engine", Wired())
    assert idle.seen(host, engine, wanted, [container("api", Color.BLUE)]) == Seen()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    wanted = adopted(tmp_path, {"service": "web", "port": port, "published": 3000})
    assert idle.seen(host, engine, wanted, [container("web", Color.BLUE)]) == Seen()


def test_one_that_does_not_answer_has_none_kept_whatever_the_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "LEAST", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()[1]
    with server(60) as port:
        routes = (
            {"service": "web", "port": port, "published": 3000},
            {"service": "api", "port": gone, "path": "/api"},
        )
        found = [container(name, Color.BLUE) for name in ("web", "api")]
        host, engine = Machine(tmp_path).host, cast("Engine", Wired())
        assert idle.seen(host, engine, adopted(tmp_path, *routes), found) == Seen()
