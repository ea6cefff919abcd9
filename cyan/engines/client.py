"""The docker SDK's client over an SSH connection that is already open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.api.client import APIClient
from docker.transport import SSHHTTPAdapter
from docker.transport.sshconn import SSHConnectionPool

if TYPE_CHECKING:
    from paramiko import Channel

    from cyan.world.host import Host

IDLE = 4  # connections to the engine that are kept: each is a session, of which a host has few


class _Connected:
    """The part of paramiko's SSHClient and Transport that the SDK uses: a host's own sessions."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def get_transport(self) -> _Connected:
        return self

    def open_session(self) -> Channel:
        return self._host.session()

    def close(self) -> None:
        """The connection is the host's to close."""


class _Adapter(SSHHTTPAdapter):
    """The SDK's SSH adapter, which would otherwise open a connection with a policy of its own."""

    def __init__(self, host: Host, timeout: int) -> None:
        self._host = host
        super().__init__("ssh://host", timeout=timeout)
        self._pool = SSHConnectionPool(
            ssh_client=self.ssh_client, timeout=timeout, maxsize=IDLE, host="host"
        )

    def _create_paramiko_client(self, base_url: str) -> None:  # noqa: ARG002
        self.ssh_client = _Connected(self._host)  # type: ignore[assignment]

    def get_connection(
        self,
        url: str | bytes,  # noqa: ARG002
        proxies: object = None,  # noqa: ARG002
    ) -> SSHConnectionPool:
        """One pool for every URL: the SDK's own adapter opens a connection for each."""
        return self._pool

    def _connect(self) -> None:
        """Nothing to do: the host opens its connection when it is first needed."""


def client(host: Host, version: str, timeout: int) -> APIClient:
    """A client of the host's engine. `version` is the API's, `timeout` in seconds."""
    api = APIClient(base_url="http://engine:80", version=version, timeout=timeout)
    api.base_url = "http+docker://ssh"
    api.mount("http+docker://ssh", _Adapter(host, timeout))
    return api
