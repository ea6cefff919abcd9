"""What a smoke check wants of an answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, cast

import pytest
from pydantic import ValidationError

from cyan.names import Color
from cyan.rollout.smoking import Answer, ask, fault
from cyan.sections import SmokeCheck
from tests.rollout.worlds import settings

if TYPE_CHECKING:
    from cyan.world.host import Host

JSON = '{"order": {"items": [{"name": "tea", "n": 2}]}, "paid": true}'
ANSWER = Answer(200, JSON, {"content-type": "application/json"})


def check(**changes: object) -> SmokeCheck:
    return SmokeCheck.model_validate({"path": "/x", **changes})


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"contains": "tea"},
        {"headers": {"Content-Type": "application/json"}},
        {"fields": {"order.items.0.name": "tea", "order.items.0.n": 2, "paid": True}},
    ],
)
def test_an_answer_that_is_as_wanted_has_no_fault(wanted: dict[str, object]) -> None:
    assert fault(check(**wanted), ANSWER) == ""


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"status": 201}, "answered 200, wanted 201"),
        ({"contains": "coffee"}, "does not contain 'coffee'"),
        ({"headers": {"X-Color": "blue"}}, "header X-Color is None, wanted 'blue'"),
        ({"fields": {"order.items.0.n": 3}}, "field order.items.0.n is 2, wanted 3"),
        ({"fields": {"order.items.1.n": 3}}, "has no field order.items.1.n"),
    ],
)
def test_a_fault_is_told_with_what_was_found_and_what_was_wanted(
    wanted: dict[str, object], said: str
) -> None:
    assert said in fault(check(**wanted), ANSWER)


def test_an_answer_that_is_no_json_has_no_fields() -> None:
    assert "is not JSON" in fault(check(fields={"a": 1}), Answer(200, "<html>"))


class Wire(socket.socket):
    """A socket with the part of a channel's surface that httpx asks for."""

    active = True


class Near:
    """This machine in the place of a host, with a server that says what it says bit by bit."""

    def __init__(self, *parts: bytes) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._parts = parts
        threading.Thread(target=self._serve, daemon=True).start()

    def tunnel(self, port: int) -> socket.socket:
        del port
        wire = Wire()
        wire.connect(self._server.getsockname())
        return wire

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection, self._server, contextlib.suppress(OSError):
            connection.recv(4096)
            for part in self._parts:
                connection.sendall(part)
                time.sleep(0.03)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n"


def asked(within: float, *parts: bytes) -> Answer:
    return ask(cast("Host", Near(*parts)), settings(), Color.BLUE, check(within=within))


@pytest.mark.parametrize("parts", [(HEAD + b"\r\n", *[b"x"] * 50), (HEAD, *[b"X-A: 1\r\n"] * 60)])
def test_an_answer_that_trickles_is_given_up_when_its_time_is_over(parts: tuple[bytes]) -> None:
    began = time.monotonic()
    assert "no answer within 0.2 s" in asked(0.2, *parts).error
    assert time.monotonic() - began < 1


def test_an_answer_in_time_is_read_to_its_end() -> None:
    answer = asked(5, HEAD + b"\r\n", b"x" * 20, b"y" * 30)
    assert (answer.status, answer.body, answer.error) == (200, "x" * 20 + "y" * 30, "")


def test_no_answer_is_a_fault_in_its_own_words() -> None:
    assert fault(check(), Answer(error="no answer within 10 s")) == "no answer within 10 s"


@pytest.mark.parametrize(
    "wrong", [{"path": ""}, {"command": ["true"]}, {"path": "", "command": ["true"]}]
)
def test_a_check_is_a_path_or_a_command_in_a_service(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="a service and a command"):
        check(**wrong)
