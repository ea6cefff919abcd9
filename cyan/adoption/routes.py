"""What users reach, as a Compose file and the labels of other proxies say: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.adoption import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.adoption.services import Judged

TLS_PORTS = frozenset({443, 8443})
_HOST_RULE = re.compile(r"Host\(([^)]*)\)")
_PATH_RULE = re.compile(r"Path(?:Prefix)?\(([^)]*)\)")
_RULE_LABEL = re.compile(r"traefik\.http\.routers\.([^.]+)\.rule")
_PORT_LABEL = re.compile(r"traefik\.http\.services\.([^.]+)\.loadbalancer\.server\.port")
_QUOTED = re.compile(r"[`'\"]([^`'\"]+)[`'\"]")


@dataclass(frozen=True)
class Route:
    """What users ask for, and the service and port that answer. "" is any host, or any path.

    `published` is the port of the host that leads there, 0 where none does, `bind` its address.
    """

    service: str
    port: int
    host: str = ""
    path: str = ""
    published: int = 0
    bind: str = ""


def routes_told(web: tuple[Judged, ...]) -> tuple[Route, ...]:
    """What is published, and what labels and variables of other proxies say."""
    found = [route for each in web for route in (*_of_traefik(each), *_of_nginx_proxy(each))]
    if found:
        return tuple(found)
    return tuple(
        Route(each.name, port.target, published=port.published, bind=port.bind)
        for each in web
        for port in each.service.ports
        if port.protocol == "tcp" and port.target not in known.DEBUG_PORTS
    )


def _of_traefik(each: Judged) -> Iterator[Route]:
    """What labels say, the service's own or, as Swarm reads them, those of its deploy.

    A router leads to the service that it names, else to the only one, or the one of its name:
    https://doc.traefik.io/traefik/routing/providers/docker/#routers.
    """
    raw = each.service.raw
    given = {**(raw.get("labels") or {}), **((raw.get("deploy") or {}).get("labels") or {})}
    labels = {str(name): str(value) for name, value in given.items()}
    ports = {
        found[1]: int(value)
        for name, value in labels.items()
        if (found := _PORT_LABEL.fullmatch(name)) and value.isdigit()
    }
    for name, rule in labels.items():
        router = _RULE_LABEL.fullmatch(name)
        if not router:
            continue
        led = labels.get(f"traefik.http.routers.{router[1]}.service", "").partition("@")[0]
        only = next(iter(ports.values())) if len(ports) == 1 else 80
        port = ports.get(led) or ports.get(router[1]) or only
        for part in rule.split("||"):
            hosts = [host for found in _HOST_RULE.findall(part) for host in _QUOTED.findall(found)]
            paths = [path for found in _PATH_RULE.findall(part) for path in _QUOTED.findall(found)]
            for host in hosts or [""]:
                for path in paths or [""]:
                    yield Route(each.name, port, host, path)


def _of_nginx_proxy(each: Judged) -> Iterator[Route]:
    given = each.service.environment
    ports = given.get("VIRTUAL_PORT", "") or "80"
    for host in filter(None, given.get("VIRTUAL_HOST", "").split(",")):
        port = int(ports) if ports.isdigit() else 80
        yield Route(each.name, port, host.strip(), given.get("VIRTUAL_PATH", ""))


def the_public_one(web: tuple[Judged, ...]) -> str:
    """Which one users reach, by its name or because it is alone; "" where that cannot be told."""
    if len(web) == 1:
        return web[0].name
    outer = [each for each in web if not each.service.needed_by & {one.name for one in web}]
    if len(outer) == 1:
        return outer[0].name
    for word in known.PUBLIC_WORDS:
        called = [each.name for each in web if word in each.service.words]
        if len(called) == 1:
            return called[0]
    return ""
