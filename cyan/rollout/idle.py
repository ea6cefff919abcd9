"""How long an application keeps a connection that nobody uses, and what the proxy may keep.

A request that meets a connection as the application closes it is lost, and a POST is not repeated:
so the proxy must be the first to close, with room to spare.
"""

from __future__ import annotations

import math
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.names import Server
from cyan.proxies import markers
from cyan.proxies.caddyfile import KEEPS
from cyan.rollout.preflight import Check, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.adopted import RouteSettings
    from cyan.engines.containers import Container
    from cyan.engines.docker import Engine
    from cyan.hosts.look import Observation
    from cyan.settings import Settings
    from cyan.world.host import Host

MOST = 8.0  # seconds that it is watched; who keeps it longer keeps it long enough
LEAST = 2 * KEEPS
"""Seconds for which a color keeps a connection that the proxy may keep by itself."""
USEFUL = 1.0  # seconds: who keeps a connection for less had better have none kept
KEEP = 3.0  # seconds that the proxy keeps one at most

WATCH = r"""
export LC_ALL=C
exec 3<>"/dev/tcp/$1/$2" || exit 3
printf 'GET %s HTTP/1.1\r\nHost: %s\r\n\r\n' "$3" "$4" >&3
IFS= read -r -t 10 -u 3 _ || exit 3 # the first line of its answer
began=$EPOCHREALTIME
timeout "$5" cat <&3 >/dev/null
code=$?
echo "$began $EPOCHREALTIME $code"
"""
"""For bash: address, port, path, host, and for how many seconds it is watched at most."""


def fits(kept: float) -> float:
    """The seconds that the proxy may keep an idle connection to who keeps it for `kept`; 0: none.

    Half of it, so that neither clock nor network makes the application the first.
    """
    return min(KEEP, kept / 2) if kept >= USEFUL else 0.0


def measured(host: Host, address: tuple[str, int], path: str, name: str, most: float) -> float:
    """For how many seconds who listens at `address` keeps a connection after its answer.

    `most` where it keeps it for longer; NaN where it did not answer. Raises HostError.
    """
    words = ("bash", "-c", WATCH, "cyan-idle", address[0], str(address[1]), path, name, str(most))
    done = host.run(shlex.join(words), check=False)
    if done.code != 0 or len(told := done.stdout.split()) < 3:  # noqa: PLR2004 - an old bash
        return math.nan
    began, ended, code = told
    return most if code == "124" else min(float(ended) - float(began), most)


def judged(service: str, kept: float, keeps: float, *, auto: bool = False) -> Check:
    """Whether the proxy may keep its idle connections to `service` for `keeps` seconds."""
    if math.isnan(kept):
        return Check("keepalive", Level.WARN, f"{service} did not say how long it keeps one", "")
    long = f"{kept:.1f} s" if kept < MOST else f"{MOST:g} s or more"
    wanted = fits(kept)
    says = f"{service} keeps an idle connection for {long}, the proxy for {keeps:g} s"
    if keeps > wanted:
        todo = f"a POST may meet it closing: cyan.site.keepalive: {wanted:.2g}, inv proxy.reload"
        return Check("keepalive", Level.WARN, says, todo)
    if auto:
        says += f"; auto: {KEEPS:g} s, once a color that keeps it for {LEAST:g} s has baked"
    elif wanted and not keeps:
        says += f" (none); {wanted:.2g} s are safe: cyan.site.keepalive"
    return Check("keepalive", Level.OK, says)


def of(host: Host, engine: Engine, settings: Settings, world: Observation) -> Check | None:
    """The check of the live color of an adopted application; None of another's, or of none."""
    keeps, auto, live = settings.site.keepalive, settings.site.keepalive == "auto", world.live
    found = _kept(host, engine, settings, world.of(live), MOST) if live else None
    if found is None or live is None:
        return None
    if keeps == "auto":
        keeps = KEEPS if markers.kept(live) in world.markers else 0
    service, kept = found
    return judged(service, kept, keeps, auto=auto)


@dataclass(frozen=True)
class Seen:
    """What a color that bakes was seen to do: `wrong` "" where the proxy may go on as it does.

    `long` is that it keeps an idle connection for as long as `auto` wants.
    """

    wrong: str = ""
    long: bool = False


def seen(host: Host, engine: Engine, settings: Settings, containers: Iterable[Container]) -> Seen:
    """How a color's idle connections fare beside the proxy's figure, or beside what `auto` wants.

    It takes twice as long as that, MOST at most. What cannot be measured is no fault, and nothing
    is kept by it.
    """
    keeps = settings.site.keepalive
    if keeps == 0:
        return Seen()
    safe = LEAST if keeps == "auto" else min(max(2 * keeps, USEFUL), MOST)
    try:
        found = _kept(host, engine, settings, containers, safe)
    except HostError:
        found = None
    service, kept = found or ("", math.nan)
    if keeps == "auto":
        return Seen(long=kept >= safe)
    if not kept < safe:  # nor where it said nothing: NaN
        return Seen()
    return Seen(
        f"{service} keeps an idle connection for {kept:.1f} s and the proxy for {keeps:g} s: a "
        f"POST may meet it closing; cyan.site.keepalive: {fits(kept):.2g}, inv proxy.reload, and "
        "again"
    )


def _kept(
    host: Host,
    engine: Engine,
    settings: Settings,
    containers: Iterable[Container],
    most: float,
) -> tuple[str, float] | None:
    """Who of those that users reach keeps a connection least long, and for how many seconds.

    NaN where one of them did not say; None where none counts.
    """
    if settings.adopted is None or settings.server is not Server.CADDY:
        return None
    here = {each.service: each for each in containers if each.state == "running" and not each.node}
    asked = {(route.service, route.port): route for route in reversed(settings.adopted.routes)}
    if any(service not in here for service, _ in asked):
        return None
    where = {service: engine.wiring(here[service].id).address for service, _ in asked}
    if not all(where.values()):
        return None

    def ask(route: RouteSettings) -> tuple[str, float]:
        address, path, name = (where[route.service], route.port), *_request(settings, route)
        return route.service, measured(host, address, path, name, most)

    with ThreadPoolExecutor(len(asked)) as pool:
        return min(pool.map(ask, asked.values()), key=lambda each: _order(each[1]))


def _request(settings: Settings, route: RouteSettings) -> tuple[str, str]:
    """The path that is asked for, and the host."""
    public = settings.public
    if (route.service, route.port) == (public.service, public.port):
        return public.ready, settings.site.name
    return route.path.rstrip("*") or "/", route.host or settings.site.name


def _order(kept: float) -> float:
    """The least first; who did not say, NaN, before all."""
    return -1.0 if math.isnan(kept) else kept
