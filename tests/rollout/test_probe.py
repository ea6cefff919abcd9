"""The probe asks as users do, and takes the deployer's own lost connection for nobody's failure."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest

from cyan.hosts import site
from cyan.rollout.probe import probing

if TYPE_CHECKING:
    from collections.abc import Iterator


class Site:
    """A site that answers what it is told to, until its host is lost."""

    def __init__(self) -> None:
        self.status: int | Exception = 200
        self.active = True
        self.clients = 0

    def client(self, *_: object) -> Any:
        self.clients += 1
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...

    def get(self, _path: str, *, headers: dict[str, str]) -> Any:
        assert headers["X-Request-ID"].startswith("cyan-")
        if isinstance(self.status, Exception):
            raise self.status
        return SimpleNamespace(status_code=self.status)

    def is_active(self) -> bool:
        return self.active


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site()
    monkeypatch.setattr(site, "site", made.client)
    monkeypatch.setattr(site, "trusted", lambda *_: None)
    monkeypatch.setattr(site, "headers", lambda *_: {})
    return made  # type: ignore[return-value]


def session(made: Site, live: str = "blue", own: tuple[str, ...] = ()) -> Any:
    public = SimpleNamespace(ready="/ready", send={})
    return SimpleNamespace(
        host=SimpleNamespace(transport=made),
        settings=SimpleNamespace(public=public),
        world=SimpleNamespace(live=live, own=own),
    )


def wait(true: Any) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_every_second_request_is_on_a_new_connection(asked: Site) -> None:
    with probing(session(asked), 100) as told:
        wait(lambda: len(told.asked) >= 6)
    assert told.failures == []
    assert len(told.asked) // 2 <= asked.clients - 2 <= len(told.asked) // 2 + 1


def test_where_ports_are_taken_over_each_is_on_a_new_one(asked: Site) -> None:
    with probing(session(asked, live="", own=("web",)), 100) as told:
        wait(lambda: len(told.asked) >= 6)
    assert asked.clients == len(told.asked) + 1


@pytest.mark.parametrize(
    ("answer", "said"), [(503, "answered 503"), (ConnectionRefusedError("refused"), "refused")]
)
def test_what_is_not_answered_well_is_told(asked: Site, answer: Any, said: str) -> None:
    with probing(session(asked), 100) as told:
        wait(lambda: len(told.asked) >= 2)
        asked.status = answer
        wait(lambda: told.failures)
    assert {wrong for _, wrong in told.failures} == {said}


def test_a_lost_connection_to_the_host_is_no_user_s(asked: Site) -> None:
    with probing(session(asked), 100) as told:
        wait(lambda: len(told.asked) >= 2)
        asked.active, asked.status = False, OSError("Socket is closed")
        wait(lambda: told.lost)
    assert told.failures == []


@pytest.mark.parametrize(
    ("rate", "live", "status", "why"),
    [
        (0, "blue", 200, "cyan.prove.rate is 0"),
        (10, "", 200, "nothing was live"),
        (10, "blue", 500, "the site did not answer well before: answered 500"),
    ],
)
def test_nobody_is_asked_where_that_would_say_nothing(
    asked: Site, rate: float, live: str, status: int, why: str
) -> None:
    asked.status = status
    with probing(session(asked, live), rate) as told:
        time.sleep(0.05)
    assert (told.asked, told.why_not) == ([], why)
