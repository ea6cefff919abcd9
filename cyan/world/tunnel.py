"""httpx over an SSH channel: HTTP to a port that only the host itself can reach."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from paramiko import Channel

    from cyan.world.host import Host


class _Stream(httpcore.NetworkStream):
    """An SSH channel as httpcore wants its connections."""

    def __init__(self, channel: Channel, deadline: float) -> None:
        self._channel = channel
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer went on for too long")
        self._channel.settimeout(left if timeout is None else min(timeout, left))
        try:
            return self._channel.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error) or "no answer in time") from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._channel.settimeout(timeout)
        try:
            self._channel.sendall(buffer)
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._channel.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        raise NotImplementedError("the doors speak plain HTTP on the host's loopback")

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        return not self._channel.active if info == "is_readable" else None


class _Backend(httpcore.NetworkBackend):
    """Every connection is a channel to the host, whatever the URL says."""

    def __init__(self, host: Host, deadline: float) -> None:
        self._host = host
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - always the host's loopback
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the host has its own
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        try:
            return _Stream(self._host.tunnel(port), self._deadline)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


class _Transport(httpx.HTTPTransport):
    """httpx's own transport on a pool whose connections are SSH channels."""

    def __init__(self, host: Host, deadline: float) -> None:
        super().__init__(verify=False, trust_env=False)  # plain HTTP: loads no CAs
        self._pool = httpcore.ConnectionPool(network_backend=_Backend(host, deadline), retries=0)


def client(host: Host, port: int, timeout: float, within: float) -> httpx.Client:
    """A client of 127.0.0.1:`port` on the host.

    `timeout` in seconds for each phase, `within` for all that the client ever does.
    """
    return httpx.Client(
        transport=_Transport(host, time.monotonic() + within),
        base_url=f"http://127.0.0.1:{port}",
        timeout=timeout,
        trust_env=False,
    )
