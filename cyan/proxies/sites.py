"""What users ask for by one address, from an application's routes: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.adopted import RouteSettings

if TYPE_CHECKING:
    from cyan.settings import Settings


@dataclass(frozen=True)
class Site:
    """What users ask for by one name, "" for any; `port` where it is plain HTTP, else None."""

    host: str
    port: int | None
    routes: tuple[RouteSettings, ...]

    @property
    def address(self) -> str:
        """The site's address, in Caddy's words."""
        return f"http://{self.host}:{self.port}" if self.port else self.host

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
        host = route.host or site.domain
        port = None if site.domain else route.published or site.port
        found.setdefault((host, port), []).append(route)
    return tuple(Site(host, port, tuple(routes)) for (host, port), routes in found.items())


def published(settings: Settings) -> tuple[str, ...]:
    """What the host's proxy is to publish for an application: PORT, or ADDRESS:PORT."""
    assert settings.adopted is not None  # noqa: S101 - for the type checker
    if settings.site.domain:
        bind = "127.0.0.1:" if settings.site.is_here else ""
        return tuple(f"{bind}{port}" for port in settings.site.ports)
    bound = {each.published or settings.site.port: each.bind for each in settings.adopted.routes}
    return tuple(f"{bind}:{port}" if bind else str(port) for port, bind in bound.items())


def addresses(settings: Settings) -> tuple[str, ...]:
    """The addresses of an application's sites, in Caddy's words."""
    return tuple(site.address for site in sites_of(settings))
