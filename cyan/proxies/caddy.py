"""Caddy as the proxy: its admin API, its own authority, and where requests wait in it."""

from __future__ import annotations

import zlib

ADMIN = "http://127.0.0.1:2019"
"""Caddy's admin API listens inside the proxy's container only."""

_URL = f"{ADMIN}/reverse_proxy/upstreams"

UPSTREAMS = f"curl -fsS -m 2 {_URL} || wget -T 2 -qO- {_URL}"
"""Run inside the proxy's container; the official image has only wget."""

AUTHORITY = "/data/caddy/pki/authorities/local/root.crt"
"""Where Caddy keeps the certificate of its own authority, in its container."""

GATE, WAITING = 2020, 2021
"""Ports inside the proxy's container: the gate, which says whether requests wait, and where."""


def loopback(app: str) -> str:
    """The proxy's own address for an application's requests that wait, in its container.

    Each has one, so that those of one application are not counted as another's.
    """
    one, two, three = zlib.crc32(app.encode()).to_bytes(4, "big")[1:]
    return f"127.{one}.{two}.{three % 254 + 1}"


def waiting(app: str) -> str:
    """Where an application's requests wait, in the proxy's container."""
    return f"{loopback(app)}:{WAITING}"


def indented(text: str, by: int) -> str:
    """The lines of a Caddyfile within so many more braces."""
    return "".join(f"{chr(9) * by}{line}\n" if line else "\n" for line in text.splitlines())
