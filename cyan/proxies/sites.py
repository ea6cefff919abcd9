"""What users ask for by one address, from an application's routes: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.adopted import RouteSettings

if TYPE_CHECKING:
    from cyan.settings import Settings


USUAL = (80, 443)
"""The ports of a site with a domain: the first redirects to the second."""


@dataclass(frozen=True)
class Site:
    """What users ask for by one name, "" for any; `port` where it is plain HTTP, else None.

    It is asked over HTTPS on the port `secure` then.
    """

    host: str
    port: int | None
    routes: tuple[RouteSettings, ...]
    secure: int

    @property
    def address(self) -> str:
        """The site's address, in Caddy's words."""
        if self.port:
            return f"http://{self.host}:{self.port}"
        return self.host if self.secure == USUAL[1] else f"{self.host}:{self.secure}"

    @property
    def ordered(self) -> tuple[RouteSettings, ...]:
        """Its routes, the longest path first: as they are tried."""
        return tuple(sorted(self.routes, key=lambda route: len(route.path), reverse=True))


def sites_of(settings: Settings) -> tuple[Site, ...]:
    """An application's sites; of one that is not adopted the one of its public service."""
    site, public = settings.site, settings.public
    routes = (
        settings.adopted.routes
        if settings.adopted
        else (RouteSettings(service=public.service, port=public.port),)
    )
    found: dict[tuple[str, int | None], list[RouteSettings]] = {}
    for route in routes:
        beside = site.domain and route.published  # users came by that port, and some still do
        host = "" if beside else route.host or site.domain
        port = route.published or (None if site.domain else site.port)
        found.setdefault((host, port), []).append(route)
    secure = site.tls_port
    return tuple(Site(host, port, tuple(routes), secure) for (host, port), routes in found.items())


def published(settings: Settings) -> tuple[str, ...]:
    """What the host's proxy is to publish for an application: PORT, or ADDRESS:PORT."""
    assert settings.adopted is not None  # noqa: S101 - for the type checker
    site, routes = settings.site, settings.adopted.routes
    if site.domain:
        bound = dict.fromkeys(site.ports, "127.0.0.1" if site.is_here else "")
        bound |= {each.published: each.bind for each in routes if each.published}
    else:
        bound = {each.published or site.port: each.bind for each in routes}
    return tuple(f"{bind}:{port}" if bind else str(port) for port, bind in bound.items())


def addresses(settings: Settings) -> tuple[str, ...]:
    """The addresses of an application's sites, in Caddy's words."""
    return tuple(site.address for site in sites_of(settings))
