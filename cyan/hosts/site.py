"""Asking the site as its users do, and a color through its private door."""

from __future__ import annotations

import math
import shlex
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.proxies import front
from cyan.proxies.configuration import authority_command
from cyan.proxies.container import running
from cyan.world import tunnel

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from cyan.hosts.look import Observation
    from cyan.names import Color
    from cyan.sections import PublicSettings
    from cyan.settings import Settings
    from cyan.world.host import Host


OURS = "cyan-"
"""How the ids of requests begin that cyan itself sends."""


@dataclass(frozen=True)
class Certificate:
    """What the site shows: until when it is good, in wall seconds, and who signed it.

    `fault` is why nobody should trust it; "" where nothing is wrong.
    """

    expires: float = 0.0
    issuer: str = ""
    fault: str = ""


def door(
    host: Host, settings: Settings, color: Color, *, timeout: float = 10, within: float = math.inf
) -> httpx.Client:
    """A client of a color's private door, on the host's loopback."""
    made = tunnel.client(host, settings.door_of(color), timeout=timeout, within=within)
    if settings.adopted:
        made.headers[front.DOOR] = settings.project(color)
    return made


def trusted(host: Host, settings: Settings, world: Observation) -> tunnel.Tls | None:
    """Whom the site's users expect there; None where it speaks plain HTTP. Raises HostError.

    A local name is certified by the proxy's own authority: no public one would.
    """
    site = settings.site
    if not site.domain:
        return None
    proxy = proxy_of(host, settings, world) if site.is_local else ""
    if not proxy:
        return tunnel.Tls(site.domain)
    return tunnel.Tls(site.domain, host.run(authority_command(settings, proxy), check=False).stdout)


def proxy_of(host: Host, settings: Settings, world: Observation) -> str:
    """The id of the proxy's container; "" where there is none. Raises HostError.

    It is asked for anew where ports are taken over: another has them then.
    """
    if world.own:
        return host.run(f"echo {running(settings.proxy_project, settings.proxy)}").stdout.strip()
    found = world.service(settings.proxy)
    return found.id if found else ""


def site(host: Host, settings: Settings, tls: tunnel.Tls | None) -> httpx.Client:
    """A client of the site; `tls` as `trusted` has it."""
    port = settings.site.tls_port if tls else settings.site.port
    return tunnel.client(host, port, tls=tls)


def headers(settings: Settings, more: Mapping[str, str]) -> dict[str, str]:
    """What a request to a door or the site is sent with: its name, and how its users come.

    An application that redirects plain HTTP would never be ready else: a door is no TLS.
    """
    scheme = "https" if settings.site.domain else settings.site.behind
    secure = {"X-Forwarded-Proto": scheme} if scheme else {}
    return {"Host": settings.site.authority, **secure, **more}


ASKS = r"""
exec 2>/dev/null 9<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf %s "$2" >&9
IFS=" " read -r -t 5 -u 9 _ code _ || exit 1
[ "$code" = 200 ] || [ "$code" -lt "$3" ]
"""
"""For bash: a door's port, a request, and below which status else it is well answered."""


def ready_command(settings: Settings, color: Color, public: PublicSettings) -> str:
    """The shell command that ends well where a color's door answers that it is ready.

    For the host itself, which may have no program that asks.
    """
    told = {front.DOOR: settings.project(color)} if settings.adopted else {}
    sent = {**headers(settings, public.send), **told, "Connection": "close"}
    lines = (f"GET {public.ready} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()))
    request = "".join(f"{line}\r\n" for line in (*lines, ""))
    port, below = str(settings.door_of(color)), str(public.below or 0)
    return shlex.join(("bash", "-c", ASKS, "cyan-asks", port, request, below))


def certificate(host: Host, settings: Settings, tls: tunnel.Tls) -> Certificate:
    """The certificate that the site shows its users."""
    try:
        found = tunnel.certificate(host, settings.site.tls_port, tls)
    except ssl.SSLCertVerificationError as error:
        return Certificate(fault=error.verify_message)
    except Exception as error:  # noqa: BLE001 - httpcore's, paramiko's or TLS's own
        return Certificate(fault=str(error) or type(error).__name__)
    names = {key: value for part in found.get("issuer", ()) for key, value in part}
    issuer = names.get("organizationName") or names.get("commonName", "somebody")
    return Certificate(float(ssl.cert_time_to_seconds(found["notAfter"])), issuer)
