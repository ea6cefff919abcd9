"""What the users do. Each arrival is one request; a session's first one logs in."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import time
from typing import TYPE_CHECKING

import gevent
import websocket

from cyan.proof.requestlog import STREAMS, Failure
from loadtests.client import (
    CONNECT,
    Answer,
    Call,
    Session,
    about_connection,
    late,
    network_failure,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtests.place import Place

STREAM = 4.0  # seconds that a stream or a WebSocket lasts
DOWNLOAD = 1_000_000  # bytes
PAUSE = 0.4  # seconds between two messages on a WebSocket

pools: tuple[str, ...] = ("me", "secure")

dice = random.Random(1)  # noqa: S311 - a choice of paths; seeded anew by the swarm


def alone(journey: str) -> bool:
    """Whether a journey opens a connection of its own."""
    return journey in {"fresh", *STREAMS}


def call_of(journey: str, session: Session, path: str) -> Call:
    """The call that a journey makes next in this session. `path` is for the journey `get`."""
    return _CALLS[journey](session, path)


def perform(call: Call, session: Session, request_id: str) -> Answer:
    """Make a call as its journey wants it, and check the answer beyond what every answer needs."""
    if call.journey == "socket":
        return _socket(session.place, call, request_id)
    answer = session.call(call, request_id)
    if answer.failure is Failure.NONE:
        _CHECKS.get(call.journey, _nothing)(answer, session)
    return answer


def _page(_session: Session, _path: str) -> Call:
    return Call("page", "GET", "/")


def _items(_session: Session, _path: str) -> Call:
    number = dice.randrange(50)
    return Call("items", "GET", "/items" if number >= 40 else f"/items/{number}")  # noqa: PLR2004


def _order(_session: Session, _path: str, journey: str = "order") -> Call:
    body = json.dumps({"item": f"item {dice.randrange(40)}", "quantity": dice.randrange(1, 9)})
    headers = {"Content-Type": "application/json"}
    return Call(journey, "POST", "/orders", 201, body.encode(), headers)


def _fresh(session: Session, path: str) -> Call:
    if dice.random() < 0.5:  # noqa: PLR2004 - half of them write
        return _order(session, path, "fresh")
    return Call("fresh", "GET", "/items")


def _secure(session: Session, path: str) -> Call:
    if dice.random() < 0.3:  # noqa: PLR2004 - as many write as over plain HTTP
        return _order(session, path, "secure")
    return Call("secure", "GET", "/items")


def _me(session: Session, _path: str) -> Call:
    cookie = session.state.get("cookie")
    if cookie:
        return Call("me", "GET", "/me", headers={"Cookie": cookie})
    body = json.dumps({"name": f"user {session.user}"}).encode()
    return Call("login", "POST", "/login", 200, body, {"Content-Type": "application/json"})


def _ask(_session: Session, _path: str) -> Call:
    return Call("ask", "GET", "/ask?q=who")


def _slow(_session: Session, _path: str) -> Call:
    return Call("slow", "GET", f"/slow?s={dice.uniform(1, 3):.1f}")


def _download(_session: Session, _path: str) -> Call:
    return Call("download", "GET", f"/download?bytes={DOWNLOAD}")


def _events(_session: Session, _path: str) -> Call:
    return Call("events", "GET", f"/events?seconds={STREAM:g}")


def _websocket(_session: Session, _path: str) -> Call:
    return Call("socket", "GET", "/ws", 101)


def _get(_session: Session, path: str) -> Call:
    return Call("get", "GET", path)


_CALLS: dict[str, Callable[[Session, str], Call]] = {
    "page": _page,
    "items": _items,
    "order": _order,
    "fresh": _fresh,
    "secure": _secure,
    "me": _me,
    "ask": _ask,
    "slow": _slow,
    "download": _download,
    "events": _events,
    "socket": _websocket,
    "get": _get,
}


def _nothing(_answer: Answer, _session: Session) -> None:
    """Status, length and digest say all."""


def _logged_in(answer: Answer, session: Session) -> None:
    session.state["cookie"] = answer.cookie
    if not answer.cookie:
        answer.fail(Failure.STATUS, "the log-in set no cookie")


def _known(answer: Answer, session: Session) -> None:
    name = json.loads(answer.body).get("name")
    if name != f"user {session.user}":
        answer.fail(Failure.STATUS, f"logged in as user {session.user}, answered as {name!r}")


def _of_one_color(answer: Answer, _session: Session) -> None:
    said = json.loads(answer.body)
    own = {"color": answer.color, "version": answer.version}
    if not said["rag"] == said["platform"] == own:
        answer.fail(Failure.STATUS, f"mixed colors: {said}")


def _whole_stream(answer: Answer, _session: Session) -> None:
    data, end, last = answer.body.partition(b"event: end\ndata: ")
    answer.digest = int(hashlib.sha256(data).hexdigest() == last.decode().strip())
    if not end or not answer.digest:
        answer.fail(Failure.TRUNCATED, "the stream ended before its end")


_CHECKS: dict[str, Callable[[Answer, Session], None]] = {
    "login": _logged_in,
    "me": _known,
    "ask": _of_one_color,
    "events": _whole_stream,
}


def _socket(place: Place, call: Call, request_id: str) -> Answer:
    """Talk on a WebSocket for a while; each message must come back, and from one release."""
    answer, begun, connected = Answer(), time.monotonic_ns(), 0
    try:
        with gevent.Timeout(call.deadline), _dialled(place) as raw:
            connected = time.monotonic_ns()
            raw.settimeout(call.deadline)
            _talk(_opened(raw, place, call, request_id, answer), answer)
    except (gevent.Timeout, websocket.WebSocketTimeoutException):
        answer.fail(network_failure(TimeoutError(), connected), late(call))
    except websocket.WebSocketBadStatusException as error:
        answer.status = error.status_code
        answer.fail(Failure.STATUS, str(error))
    except websocket.WebSocketConnectionClosedException as error:
        answer.fail(Failure.RESET, repr(error))
    except websocket.WebSocketException as error:  # also a redirect, which is not followed
        answer.fail(Failure.RESET if answer.status else Failure.STATUS, repr(error))
    except OSError as error:
        answer.fail(network_failure(error, connected), repr(error))
    answer.end_ns = time.monotonic_ns()
    about_connection(answer, connected, begun)
    return answer


def _dialled(place: Place) -> socket.socket:
    """A connection to the site; as quick to give up as that of the other journeys."""
    raw = socket.create_connection(place.address, CONNECT)
    return place.context.wrap_socket(raw, server_hostname=place.host) if place.secure else raw


def _opened(
    raw: socket.socket, place: Place, call: Call, request_id: str, answer: Answer
) -> websocket.WebSocket:
    """The WebSocket on a connection, once the site has agreed to it."""
    address = place.url.replace("http", "ws", 1).rstrip("/") + call.path
    headers = {"X-Request-ID": request_id}
    opened = websocket.create_connection(address, header=headers, socket=raw, redirect_limit=0)
    answer.first_ns = time.monotonic_ns()
    answer.status = 101
    said = opened.headers or {}
    answer.color, answer.version = said.get("x-color", ""), said.get("x-version", "")
    return opened


def _talk(opened: websocket.WebSocket, answer: Answer) -> None:
    for number in range(1, round(STREAM / PAUSE) + 1):
        opened.send(f"message {number}")
        text = str(opened.recv())
        if not text:  # the server closed in order, but in the middle of our talk
            raise websocket.WebSocketConnectionClosedException(f"closed before message {number}")
        answer.received += len(text)
        said = json.loads(text)
        expected = (f"message {number}", number, answer.color, answer.version)
        if (said["echo"], said["n"], said["color"], said["version"]) != expected:
            answer.fail(Failure.STATUS, f"message {number} was answered with {text[:100]}")
        gevent.sleep(PAUSE)
