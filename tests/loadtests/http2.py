"""An HTTP/2 server over TLS that misbehaves on purpose, in a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = [(":status", "200"), ("content-length", "4")]

Behaviour = Callable[[H2Connection, int, int], bool]
"""Answers request number n (from 0) on a stream; False closes the connection, without a word."""


@dataclass
class Server:
    """Where a server listens, what was delivered to it, its connections, what it was called."""

    url: str
    authority: str
    delivered: list[str] = field(default_factory=list)
    connections: int = 0
    named: set[str] = field(default_factory=set)


@cache
def certificate() -> tuple[str, bytes]:
    """A throwaway certificate for 127.0.0.1 and localhost, and with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    alternative = x509.SubjectAlternativeName([address, x509.DNSName("localhost")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return signed.decode(), signed + private


@contextmanager
def serving(behave: Behaviour, folder: Path) -> Iterator[Server]:
    """A server whose every request is answered by `behave`."""
    authority, chain = certificate()
    (folder / "chain.pem").write_bytes(chain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "chain.pem")
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(f"https://127.0.0.1:{listener.getsockname()[1]}", authority)
    threading.Thread(target=_accept, args=(listener, context, server, behave), daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(
    listener: socket.socket, context: ssl.SSLContext, server: Server, behave: Behaviour
) -> None:
    with suppress(OSError):
        while True:
            plain, _ = listener.accept()
            server.connections += 1
            args = (plain, context, server, behave)
            threading.Thread(target=_serve, args=args, daemon=True).start()


def _serve(
    plain: socket.socket, context: ssl.SSLContext, server: Server, behave: Behaviour
) -> None:
    with suppress(OSError, ProtocolError), context.wrap_socket(plain, server_side=True) as secure:
        protocol = H2Connection(H2Configuration(client_side=False))
        protocol.initiate_connection()
        going = True
        while going:
            secure.sendall(protocol.data_to_send())
            data = secure.recv(65_536)
            if not data:
                return
            for event in protocol.receive_data(data):
                if isinstance(event, RequestReceived) and event.headers:
                    server.named |= {v.decode() for k, v in event.headers if k == b":authority"}
                    server.delivered += [
                        v.decode() for k, v in event.headers if k == b"x-request-id"
                    ]
                elif isinstance(event, StreamEnded):
                    going = behave(protocol, event.stream_id, len(server.delivered) - 1)
        secure.sendall(protocol.data_to_send())
        # A close with something unread is a reset, which may overtake what was just sent.
        secure.shutdown(socket.SHUT_WR)
        while secure.recv(65_536):
            pass


def answered(protocol: H2Connection, stream: int) -> bool:
    """Answer well."""
    protocol.send_headers(stream, HEADERS)
    protocol.send_data(stream, b"body", end_stream=True)
    return True


def half(protocol: H2Connection, stream: int) -> None:
    """Answer half."""
    protocol.send_headers(stream, HEADERS)
    protocol.send_data(stream, b"bo")
