"""Podman in the engine's place: the docker command and the SDK speak to its socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.names import EngineKind

if TYPE_CHECKING:
    from paramiko import Channel

SOCKET = "unix:///run/podman/podman.sock"
"""Of root's podman.socket: https://docs.podman.io/en/latest/markdown/podman-system-service.1.html."""

WATCHED = "[ -d /run/systemd/system ] || kill -0 $(cat /run/cyan-healthchecks.pid)"
"""A shell command that fails where nobody runs the health checks: timers do, or setup's loop."""


def speaking_to(engine: EngineKind, session: Channel) -> Channel:
    """The same session, whose command finds the host's engine.

    sshd lets no client set a variable unless it is told to, so the command sets it. And one by
    which Compose builds as Podman can: it would look for an image of BuildKit's otherwise.
    """
    if engine is EngineKind.PODMAN:
        plain = session.exec_command
        told = f"export DOCKER_HOST={SOCKET} DOCKER_BUILDKIT=0; "
        session.exec_command = lambda command: plain(told + str(command))  # type: ignore[method-assign]
    return session
