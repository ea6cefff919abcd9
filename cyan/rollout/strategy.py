"""Two colors at a time, or one that takes the other's place: which, and why."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cyan.engines.docker import Engine
from cyan.errors import UsageError
from cyan.names import Strategy
from cyan.rollout.preflight import ROOM, size

if TYPE_CHECKING:
    from cyan.hosts.look import Observation
    from cyan.rollout.planned import Request
    from cyan.settings import Settings
    from cyan.world.host import Host


@dataclass(frozen=True)
class Room:
    """What two colors would share: bytes that are free and that one takes, and what it writes.

    `written` are volumes and folders of the host that a color may write, by their names there.
    """

    free: int
    takes: int
    written: tuple[str, ...]


def holds(room: Room) -> str:
    """Why both colors cannot be up at once; "" where they can."""
    if room.written:
        return f"both colors would write {', '.join(room.written)}"
    if room.free < room.takes * ROOM:
        return f"a second color may need {size(room.takes)}, and {size(room.free)} are free"
    return ""


def decided(host: Host, settings: Settings, world: Observation, request: Request) -> Request:
    """The request as this host can do it. Raises HostError, and UsageError where it cannot.

    Where nothing serves, nothing has to make way; what is replaced in its place always does.
    """
    if request.only:
        return replace(_waiting(host, world, request), why=f"only {', '.join(request.only)}")
    wanted = request.strategy or settings.strategy
    serves = world.live is not None or bool(world.own)
    if wanted is Strategy.COLORS or not serves:
        return request
    why = holds(_room(host, settings, world)) if wanted is Strategy.AUTO else "asked for"
    if not why:
        return replace(request, why="two colors: memory and volumes allow it")
    return replace(_waiting(host, world, request), why=f"one color at a time: {why}")


def _waiting(host: Host, world: Observation, request: Request) -> Request:
    """The request as a hold. Raises UsageError where no request could wait."""
    if world.in_flight is not None and world.in_flight.waiting is None:
        raise UsageError(
            "the proxy has no place where requests could wait",
            where=host.name,
            serving=world.serving,
            todo="its configuration is older, or your own: inv proxy.reload loads this project's",
        )
    return replace(request, hold=True)


def _room(host: Host, settings: Settings, world: Observation) -> Room:
    """What is free, and what who serves takes and may write. Raises HostError."""
    engine = Engine(host)
    serving = world.of(world.live) if world.live else world.own
    ids = [item.id for item in serving if item.state == "running"]
    free = "sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo"
    form = ("docker", "inspect", "--format", "{{json .Mounts}}", *ids)
    lines = host.run(f"{free}; {shlex.join(form) if ids else ':'}").stdout.splitlines()
    mounts = [each for line in lines[1:] for each in json.loads(line)]
    own = (f"{settings.directory}/", f"{settings.host_proxy.directory}/")
    written = {
        each.get("Name") or each["Source"]
        for each in mounts
        if each["RW"] and each["Type"] in ("volume", "bind") and not each["Source"].startswith(own)
    }
    takes = sum(engine.memory(each) for each in ids)
    return Room(1024 * int(lines[0]), takes, tuple(sorted(written)))
