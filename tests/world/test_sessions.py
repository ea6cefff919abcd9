"""How many commands at once a host's sshd takes, tried for real."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from cyan.world import sessions
from cyan.world.sessions import AT_ONCE, Sessions

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("refused", "allowed"),
    [
        ((0,), AT_ONCE),
        ((1, 1, 0), AT_ONCE),  # sshd counted one that we had just closed
        ((2, 3, 2, 2), AT_ONCE - 2),
    ],
)
def test_sshd_is_asked_again_before_it_is_said_to_take_too_few(
    monkeypatch: pytest.MonkeyPatch, refused: tuple[int, ...], allowed: int
) -> None:
    answers: Iterator[int] = iter((*refused, *[refused[-1]] * 99))
    monkeypatch.setattr(sessions, "_refusing", lambda _transport, _count: next(answers))
    monkeypatch.setattr(sessions, "AGAIN", 0.01)
    monkeypatch.setattr(sessions, "FREEING", 0.2)
    asked = Sessions("host")
    assert asked.allowed(Mock()) == allowed
    assert asked.allowed(Mock()) == allowed  # and nothing stays reserved
