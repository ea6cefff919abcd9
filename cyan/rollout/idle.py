"""How long an application keeps a connection that nobody uses, and what the proxy may keep.

A request that meets a connection as the application closes it is lost, and a POST is not repeated:
so the proxy must be the first to close, with room to spare.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.names import Server
from cyan.rollout.preflight import Check, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.engines.containers import Container
    from cyan.engines.docker import Engine
    from cyan.hosts.look import Observation
    from cyan.settings import Settings
    from cyan.world.host import Host

MOST = 8.0  # seconds that it is watched; who keeps it longer keeps it long enough
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
    if done.code != 0:
        return float("nan")
    began, ended, code = done.stdout.split()
    return most if code == "124" else min(float(ended) - float(began), most)


def judged(service: str, kept: float, keeps: float) -> Check:
    """Whether the proxy may keep its idle connections to `service` for `keeps` seconds."""
    if kept != kept:  # noqa: PLR0124 - NaN
        return Check("keepalive", Level.WARN, f"{service} did not say how long it keeps one", "")
    long = f"{kept:.1f} s" if kept < MOST else f"{MOST:g} s or more"
    wanted = fits(kept)
    says = f"{service} keeps an idle connection for {long}, the proxy for {keeps:g} s"
    if keeps > wanted:
        todo = f"a POST may meet it closing: cyan.site.keepalive: {wanted:.2g}, inv proxy.reload"
        return Check("keepalive", Level.WARN, says, todo)
    if wanted and not keeps:
        says += f" (none); {wanted:.2g} s are safe: cyan.site.keepalive"
    return Check("keepalive", Level.OK, says)


def of(host: Host, engine: Engine, settings: Settings, world: Observation) -> Check | None:
    """The check of the live color of an adopted application; None of another's, or of none."""
    kept = _kept(host, engine, settings, world.of(world.live) if world.live else (), MOST)
    return None if kept is None else judged(settings.public.service, kept, settings.site.keepalive)


def too_short(
    host: Host, engine: Engine, settings: Settings, containers: Iterable[Container]
) -> str:
    """That a color keeps a connection for less than the proxy's figure is safe with; "" if not.

    It takes twice as long as that, MOST at most. What cannot be measured is no fault.
    """
    keeps, name = settings.site.keepalive, settings.public.service
    safe = min(max(2 * keeps, USEFUL), MOST)
    try:
        kept = _kept(host, engine, settings, containers, safe) if keeps else None
    except HostError:
        kept = None
    if kept is None or kept != kept or kept >= safe:  # noqa: PLR0124 - NaN: it said nothing
        return ""
    return (
        f"{name} keeps an idle connection for {kept:.1f} s and the proxy for {keeps:g} s: a POST "
        f"may meet it closing; cyan.site.keepalive: {fits(kept):.2g}, inv proxy.reload, and again"
    )


def _kept(
    host: Host,
    engine: Engine,
    settings: Settings,
    containers: Iterable[Container],
    most: float,
) -> float | None:
    """For how many seconds a color's public service keeps a connection; None where none counts."""
    public = settings.public
    counts = settings.adopted is not None and settings.server is Server.CADDY
    mine = (each for each in containers if each.service == public.service)
    here = (each for each in mine if each.state == "running" and not each.node)
    running = next(here, None)
    address = engine.wiring(running.id).address if counts and running else ""
    if not address:
        return None
    return measured(host, (address, public.port), public.ready, settings.site.name, most)
