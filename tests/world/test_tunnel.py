"""HTTPS through a channel that is no socket: whom it trusts, and that it reads to the end."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from cyan.world import tunnel
from cyan.world.tunnel import Tls
from tests.loadtests.http2 import certificate
from tests.rollout.test_smoking import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyan.world.host import Host

BODY = b"x" * 100_000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Near:
    """This machine in the place of a host: its channels are sockets, which cyan takes for none."""

    def tunnel(self, port: int) -> Any:
        wire = Wire()
        wire.connect(("127.0.0.1", port))
        return wire


NEAR = cast("Host", Near())


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, str]]:
    """A TLS server with a certificate of localhost; its port, and whom to trust."""
    trusted, own = certificate()
    (folder / "own.pem").write_bytes(own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem")
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                raw, _ = server.accept()
                with suppress(OSError), context.wrap_socket(raw, server_side=True) as wire:
                    wire.recv(4096)
                    wire.sendall(ANSWER)

    threading.Thread(target=serve, daemon=True).start()
    with server:
        yield server.getsockname()[1], trusted


def test_a_site_is_read_to_its_end_by_who_trusts_its_authority(tmp_path: Path) -> None:
    with serving(tmp_path) as (port, trusted):
        with tunnel.client(NEAR, port, tls=Tls("localhost", trusted)) as client:
            assert client.get("/").content == BODY
        assert tunnel.certificate(NEAR, port, Tls("localhost", trusted))["notAfter"]


@pytest.mark.parametrize(("name", "trusts"), [("shop.example", True), ("localhost", False)])
def test_another_name_and_an_unknown_authority_are_refused_in_words(
    tmp_path: Path, name: str, trusts: bool
) -> None:
    with serving(tmp_path) as (port, trusted):
        tls = Tls(name, trusted if trusts else "")
        with (
            tunnel.client(NEAR, port, tls=tls) as client,
            pytest.raises(httpx.HTTPError, match="its certificate is not good"),
        ):
            client.get("/")
        with pytest.raises(ssl.SSLCertVerificationError):
            tunnel.certificate(NEAR, port, tls)
