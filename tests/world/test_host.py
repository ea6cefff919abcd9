"""Whose keys are checked on the way to a host."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import paramiko
import pytest

from cyan.errors import HostError
from cyan.sections import HostSettings
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Anybody(paramiko.ServerInterface):
    """Lets everybody in, and remembers that somebody asked."""

    def __init__(self) -> None:
        self.asked = False

    def check_auth_none(self, username: str) -> int:
        del username
        self.asked = True
        return paramiko.common.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        del username
        self.asked = True
        return "publickey,password"


@pytest.fixture
def jump() -> Iterator[tuple[int, Anybody]]:
    """A jump host whose key nobody knows: its port, and who came there."""
    somebody, over = Anybody(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            transport = paramiko.Transport(connection)
            transport.add_server_key(paramiko.ECDSAKey.generate())
            transport.start_server(server=somebody)
            over.wait(10)
            transport.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], somebody
        over.set()
        thread.join(10)


def test_the_key_of_a_jump_host_is_checked_as_strictly_as_the_hosts_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: tuple[int, Anybody]
) -> None:
    port, somebody = jump
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        f"Host 192.0.2.1\n  ProxyJump ann@127.0.0.1:{port}\n  StrictHostKeyChecking no\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    machine = HostSettings(address="192.0.2.1", user="deploy")
    with Host(machine) as host, pytest.raises(HostError) as caught:
        host.run("true")
    assert "not found in known_hosts" in caught.value.what
    assert f"ssh-keyscan -p {port} 127.0.0.1" in caught.value.todo
    assert not somebody.asked
