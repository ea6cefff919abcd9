"""The docker SDK's client over an SSH connection that is already open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.api.client import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.transport import SSHHTTPAdapter
from docker.transport.sshconn import SSHConnectionPool

if TYPE_CHECKING:
    from paramiko import Channel
    from urllib3._base_connection import BaseHTTPConnection

    from cyan.world.host import Host

IDLE = 4  # connections to the engine that are kept: each is a session, of which a host has few


OLDEST = "1.24"  # asked without a version: https://docs.docker.com/reference/api/engine/


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


class _Pool(SSHConnectionPool):
    """The SDK's pool, without the connections that the other side has closed meanwhile.

    Podman's service ends five seconds after its last request, and its socket starts it again.
    """

    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        while True:
            found: BaseHTTPConnection = super()._get_conn(timeout)
            channel: Channel | None = getattr(found, "sock", None)
            if channel is None or not (channel.closed or channel.eof_received):
                return found
            found.close()


class _Adapter(SSHHTTPAdapter):
    """The SDK's SSH adapter, which would otherwise open a connection with a policy of its own."""

    def __init__(self, host: Host, timeout: int) -> None:
        self._host = host
        super().__init__("ssh://host", timeout=timeout)
        self._pool = _Pool(ssh_client=self.ssh_client, timeout=timeout, maxsize=IDLE, host="host")

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


def client(host: Host, timeout: int) -> APIClient:
    """A client of the host's engine, in the newest API that both know. `timeout` in seconds.

    What the engine speaks is asked first, through the same connection: engine 29 refuses what is
    older than 1.44, and engine 24 what is newer than 1.43.
    """
    adapter = _Adapter(host, timeout)
    asked = _made(adapter, OLDEST, timeout).version(api_version=False)
    return _made(adapter, spoken(asked["ApiVersion"], asked.get("MinAPIVersion", "")), timeout)


def spoken(newest: str, oldest: str) -> str:
    """The API's version to speak with an engine that knows `oldest` to `newest`: pure."""
    ours = DEFAULT_DOCKER_API_VERSION
    known = min(ours, newest, key=_numbers)
    return max(known, oldest, key=_numbers) if oldest else known


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _made(adapter: _Adapter, version: str, timeout: int) -> APIClient:
    api = APIClient(base_url="http://engine:80", version=version, timeout=timeout)
    api.base_url = "http+docker://ssh"
    api.mount("http+docker://ssh", adapter)
    return api
