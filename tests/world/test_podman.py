"""Podman in the engine's place: how a command finds it."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from cyan.names import EngineKind
from cyan.world.podman import SOCKET, speaking_to


@pytest.mark.parametrize(
    ("engine", "sent"),
    [
        (EngineKind.DOCKER, "docker ps"),
        (EngineKind.PODMAN, f"export DOCKER_HOST={SOCKET} DOCKER_BUILDKIT=0; docker ps"),
    ],
)
def test_a_command_is_told_where_the_engine_is(engine: EngineKind, sent: str) -> None:
    session = Mock()
    plain = session.exec_command
    speaking_to(engine, session).exec_command("docker ps")
    plain.assert_called_once_with(sent)
