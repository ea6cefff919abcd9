"""Who answers an application that does not say: the proxy's log does, or nobody believes it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from cyan.application.release import Release
from cyan.names import Color
from cyan.rollout import verifying
from cyan.rollout.health import State

if TYPE_CHECKING:
    from cyan.rollout.job import Job
    from cyan.rollout.logged import Log

JOB = cast("Job", SimpleNamespace(plan=SimpleNamespace(target=Release("r1", "v1", Color.BLUE))))


def log(*lines: str, doubt: str = "") -> Log:
    return cast("Log", SimpleNamespace(more=lambda: list(lines), doubt=doubt))


def line(told: str) -> str:
    return json.dumps({"user_id": told, "status": 200})


@pytest.mark.parametrize(
    ("lines", "state", "says"),
    [
        ([line("blue mine 3.1")], State.PASSING, ""),
        ([line("green other 1"), "{torn", line("blue mine 3.1")], State.PASSING, ""),
        ([line("green mine 3.1")], State.WAITING, "green answered"),
        ([line("- mine -")], State.WAITING, "nobody answered"),
        ([line("blue other 3.1")], State.WAITING, "does not have what it answered"),
        ([], State.WAITING, "does not have what it answered"),
    ],
)
def test_only_the_target_passes(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], state: State, says: str
) -> None:
    monkeypatch.setattr(verifying, "LOGGED", 0.0)
    found = verifying._logged(JOB, log(*lines), "mine")
    assert found.state is state
    assert says in found.reason


def test_a_log_that_cannot_be_read_is_a_doubt_and_no_fault() -> None:
    assert verifying._logged(JOB, log(doubt="denied"), "mine").state is State.PASSING
