"""How the host's clock is compared with ours, and what becomes of one that cannot be read."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
from paramiko import SSHException

from cyan.errors import HostError
from cyan.sections import HostSettings
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable


class Answers:
    """A channel whose other end answers each newline with what `says` returns."""

    def __init__(self, says: Callable[[], str]) -> None:
        self._says = says

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def makefile(self, _mode: str) -> Any:
        answers = io.StringIO()
        answers.readline = lambda *_: self._says()  # type: ignore[method-assign]
        return answers

    def sendall(self, data: bytes) -> None:
        assert data == b"\n"


@pytest.fixture
def host() -> Host:
    return Host(HostSettings(address="127.0.0.1", user="root"))


def test_the_reading_with_the_shortest_round_trip_counts(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([0.03, 0.0, 0.03])

    def says() -> str:
        time.sleep(next(waits))
        return f"{time.time() + 5:.9f}\n"

    monkeypatch.setattr(host, "channel", lambda _command: Answers(says))
    found = host.clock(readings=3)
    assert found.offset == pytest.approx(5, abs=0.02)
    assert found.uncertainty < 0.015


@pytest.mark.parametrize("answer", ["", "no date here\n"])
def test_a_clock_that_says_no_time_is_a_host_error(
    host: Host, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(host, "channel", lambda _command: Answers(lambda: answer))
    with pytest.raises(HostError, match="clock cannot be read"):
        host.clock()


def test_a_clock_behind_a_broken_connection_is_a_host_error(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_command: str) -> Any:
        raise SSHException("gone")

    monkeypatch.setattr(host, "channel", gone)
    with pytest.raises(HostError, match="gone"):
        host.clock()
