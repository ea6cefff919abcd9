"""Removing: the standby color, or everything of the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan.errors import DeployError
from cyan.journal import Entry, Event
from cyan.names import Color
from cyan.rollout import draining
from cyan.rollout.lock import Lock, take_away
from cyan.rollout.observation import look
from cyan.rollout.release import release_id
from cyan.rollout.run import owner
from cyan.world import compose
from cyan.world.engine import Engine
from cyan.world.host import Host

if TYPE_CHECKING:
    from cyan.rollout.observation import Observation
    from cyan.rollout.run import Reporter
    from cyan.settings import HostSettings, Settings

AFTER = 5.0  # seconds that the kernel may take to free the lock of a process that was ended


@dataclass(frozen=True)
class Removed:
    """What was removed, in words, and what still serves."""

    what: str
    serving: str


def cleanup(
    settings: Settings, machine: HostSettings, report: Reporter, lock_wait: float = 0
) -> Removed:
    """Remove the standby color, after its last requests have ended. Raises CyanError."""
    with Host(machine) as host, _lock(host, settings, "cleanup", lock_wait) as lock:
        engine = Engine(host)
        world = look(host, engine, settings)
        if world.live is None:
            raise DeployError(
                "no color is live, so none is the standby",
                where=host.name,
                todo="inv reset removes both colors",
            )
        standby = world.standby
        found = world.of(standby)
        if not found:
            return Removed(f"nothing: {standby} has no containers", world.serving)
        _begin(lock, world, "cleanup", standby)
        if any(item.state == "running" for item in found):
            report.note(draining.drain(host, settings, world, standby).says)
        host.run(compose.down(settings.project(standby), int(settings.drain.timeout)))
        _end(lock, world, "cleanup", standby)
        return Removed(f"{standby} {world.version(standby)}", world.serving)


def reset(
    settings: Settings, machine: HostSettings, *, volumes: bool, lock_wait: float = 0
) -> Removed:
    """Remove every container and network of the application, and with `volumes` its data.

    The markers go first, so that the proxy says 503 and not 502 while it still answers.
    """
    with Host(machine) as host, _lock(host, settings, "reset", lock_wait) as lock:
        world = look(host, Engine(host), settings)
        _begin(lock, world, "reset", world.live)
        traffic = compose.quoted_path(settings.directory, "traffic")
        grace = int(settings.drain.timeout)
        host.run(f"cd {traffic} && rm -f -- blue green lameduck")
        for color in Color:
            host.run(compose.down(settings.project(color), grace))
        host.run(compose.down(settings.app, grace, volumes=volumes))
        _end(lock, world, "reset", world.live)
        data = "and its volumes" if volumes else "but its volumes"
        return Removed(
            f"everything of {settings.app} {data}", "nothing: the application is removed"
        )


def unlock(settings: Settings, machine: HostSettings) -> str:
    """Take the lock from whoever holds it, with a line in the journal; who that was, or "".

    Raises CyanError.
    """
    with Host(machine) as host:
        was = take_away(host, str(settings.directory))
        if was is None:
            return ""
        with _lock(host, settings, "unlock --force", AFTER) as lock:
            world = look(host, Engine(host), settings)
            text = f"the lock was taken from {was.described}"
            lock.record(_entry(world, "unlock", Event.NOTE, world.live, text=text))
        return was.described


def _lock(host: Host, settings: Settings, doing: str, wait: float) -> Lock:
    return Lock(host, str(settings.directory), owner(doing), wait=wait)


def _begin(lock: Lock, world: Observation, what: str, color: Color | None) -> None:
    lock.record(_entry(world, what, Event.BEGIN, color))


def _end(lock: Lock, world: Observation, what: str, color: Color | None) -> None:
    lock.record(_entry(world, what, Event.END, color, ok=True))


def _entry(
    world: Observation,
    what: str,
    event: Event,
    color: Color | None,
    **detail: Any,  # noqa: ANN401
) -> Entry:
    return Entry(
        at=0.0,
        run=release_id(what, world.now),
        what=what,
        event=event,
        color=color or "",
        version=world.version(color),
        release=world.release(color),
        detail=detail,
    )
