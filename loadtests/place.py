"""Where the site is asked for, where that is connected to, and whom its certificate must name."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Place:
    """A site by its URL.

    `connect` is host and port in the place of those of the URL, "" for none: a relay's, or the
    loopback's, where a name such as app.localhost is nobody's. `authority` is a certificate (PEM)
    to trust beside the machine's own.
    """

    url: str
    connect: str = ""
    authority: str = ""

    @property
    def host(self) -> str:
        """The name of the site."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.url).port or (443 if self.secure else 80)

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def address(self) -> tuple[str, int]:
        """What is connected to."""
        host, _, port = self.connect.rpartition(":")
        return (host, int(port)) if host else (self.host, self.port)

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What checks its certificate; made once, since reading the authorities takes long."""
        context = ssl.create_default_context()
        if self.authority:
            context.load_verify_locations(cadata=self.authority)
        return context
