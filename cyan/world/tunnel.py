"""httpx over an SSH channel: HTTP and HTTPS to a port that only the host itself can reach."""

from __future__ import annotations

import math
import ssl
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import httpcore

_CLICK = sys.modules.setdefault("click", None)  # type: ignore[arg-type]
import httpx  # noqa: E402 - without the command line that it has: 3 MB of every deployer

if _CLICK is None:
    del sys.modules["click"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paramiko import Channel

    from cyan.world.host import Host

T = TypeVar("T")
PIECE = 1 << 14  # bytes of TLS that are read at once: a record


@dataclass(frozen=True)
class Tls:
    """Whom to expect at the other end: a name, certified by a public authority or by `authority`.

    `authority` is a certificate (PEM) to trust beside the machine's own; "" for none. Where it is
    not `checked`, anybody will do: only who answers is asked then.
    """

    name: str
    authority: str = ""
    checked: bool = True

    def context(self) -> ssl.SSLContext:
        """What checks the certificate: its name, its dates, who signed it."""
        context = ssl.create_default_context()
        if self.authority:
            context.load_verify_locations(cadata=self.authority)
        if not self.checked:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def client(
    host: Host, port: int, *, timeout: float = 10, within: float = math.inf, tls: Tls | None = None
) -> httpx.Client:
    """A client of 127.0.0.1:`port` on the host, over TLS where `tls` is given.

    `timeout` in seconds for each phase of a request, `within` for all that the client ever does.
    """
    pool = httpcore.ConnectionPool(
        ssl_context=tls.context() if tls else None,
        network_backend=_Backend(host, port, time.monotonic() + within),
        retries=0,
    )
    return httpx.Client(
        transport=_Transport(pool),
        base_url=f"https://{tls.name}:{port}" if tls else f"http://127.0.0.1:{port}",
        timeout=timeout,
        trust_env=False,
    )


def certificate(host: Host, port: int, tls: Tls, timeout: float = 10) -> dict[str, Any]:
    """The certificate at 127.0.0.1:`port` of the host, as SSLSocket.getpeercert() has it.

    Raises ssl.SSLError where it is not to be trusted, OSError or httpcore's errors where there is
    none.
    """
    stream = _Stream(host.tunnel(port), time.monotonic() + timeout)
    try:
        secure = _Secure(stream, tls.context(), tls.name, timeout)
        found: dict[str, Any] = secure.get_extra_info("ssl_object").getpeercert()
        return found
    finally:
        stream.close()


class _Transport(httpx.BaseTransport):
    """httpx on a pool of httpcore's own whose connections are SSH channels; reads each answer."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = self._pool.handle_request(asked)
            content = answer.read()
            answer.close()
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise httpx.TimeoutException(_said(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise httpx.NetworkError(_said(error)) from error
        return httpx.Response(answer.status, headers=answer.headers, content=content)

    def close(self) -> None:
        self._pool.close()


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    return str(error) or type(error).__name__


class _Backend(httpcore.NetworkBackend):
    """Every connection is a channel to one port of the host's loopback, whatever the URL says."""

    def __init__(self, host: Host, port: int, deadline: float) -> None:
        self._host = host
        self._port = port
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - always the host's loopback
        port: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002 - the host has its own
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        try:
            return _Stream(self._host.tunnel(self._port), self._deadline)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


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
        return _Secure(self, ssl_context, server_hostname or "", timeout)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        return not self._channel.active if info == "is_readable" else None


class _Secure(httpcore.NetworkStream):
    """TLS over a stream that is no socket: https://docs.python.org/3/library/ssl.html#ssl-sans-io.

    Raises ssl.SSLError where the other end is not whom it should be.
    """

    def __init__(
        self,
        stream: httpcore.NetworkStream,
        context: ssl.SSLContext,
        name: str,
        timeout: float | None,
    ) -> None:
        self._stream = stream
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._come, self._go, server_hostname=name)
        self._until_done(self._tls.do_handshake, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._until_done(lambda: self._tls.read(max_bytes), timeout)
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        while left:
            sent = self._until_done(partial(self._tls.write, left), timeout)
            left = left[sent:]

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        return self._tls if info == "ssl_object" else self._stream.get_extra_info(info)

    def _until_done(self, act: Callable[[], T], timeout: float | None) -> T:
        """Do it once what it needs has come; what it has to say is sent meanwhile."""
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                self._send(timeout)
                came = self._stream.read(PIECE, timeout)
                if came:
                    self._come.write(came)
                else:
                    self._come.write_eof()
                continue
            self._send(timeout)
            return done

    def _send(self, timeout: float | None) -> None:
        if waiting := self._go.read():
            self._stream.write(waiting, timeout)
