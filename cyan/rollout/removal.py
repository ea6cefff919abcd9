"""Removing: the standby color, or everything of the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.engines import colors, compose
from cyan.errors import DeployError
from cyan.hosts import joining, sharing
from cyan.hosts.session import proxy_lock, session
from cyan.journal.entries import Event
from cyan.journal.lock import take_away
from cyan.names import Color
from cyan.proxies import markers
from cyan.rollout import draining
from cyan.rollout.status import observe
from cyan.world.host import Host
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from cyan.hosts.look import Observation
    from cyan.journal.lock import Lock
    from cyan.rollout.job import Reporter
    from cyan.sections import HostSettings
    from cyan.settings import Settings

AFTER = 5.0  # seconds that the kernel may take to free the lock of a process that was ended


@dataclass(frozen=True)
class Removed:
    """What was removed, in words, and what still serves."""

    what: str
    serving: str


def cleanup(
    settings: Settings,
    machine: HostSettings,
    report: Reporter,
    lock_wait: float = 0,
    *,
    expired: bool = False,
) -> Removed:
    """Remove the standby color, after its last requests have ended. Raises CyanError.

    With `expired` only if it has been warm for longer than the settings want it.
    """
    with session(settings, machine, "cleanup", report.note, lock_wait) as mine:
        host, lock, world = mine.host, mine.lock, mine.world
        if world.live is None and expired:
            return Removed("nothing: no color is live", world.serving)
        if world.live is None:
            raise DeployError(
                "no color is live, so none is the standby",
                where=host.name,
                todo="inv reset removes both colors",
            )
        standby = world.standby
        found = world.of(standby)
        own: tuple[str, ...] = ()
        if settings.adopted and not expired:
            with proxy_lock(mine, "cleanup", report.note, lock_wait) as by:
                own = joining.forget(by, host, settings)
        if not found and own:
            return Removed(f"{', '.join(own)} of its own stack", world.serving)
        if not found:
            return Removed(f"nothing: {standby} has no containers", world.serving)
        if expired and world.warm_over(settings.warm.seconds) is None:
            return Removed(f"nothing: {standby} may stay warm", world.serving)
        if world.leads:
            _led_to_elsewhere(settings, machine, standby)
        _begin(lock, world, "cleanup", standby)
        if any(item.state == "running" for item in found):
            report.note(draining.drain(host, settings, world, standby).says)
        lock.run(markers.unpin_command(str(settings.directory)))  # nobody stays with it
        if not world.leads:
            _end(lock, world, "cleanup", standby)
            return Removed("nothing: the first host removes what all share", world.serving)
        lock.run(colors.down(settings, standby, compose.grace(found, settings.drain.timeout)))
        _end(lock, world, "cleanup", standby)
        more = f", and {', '.join(own)} of its own stack" if own else ""
        return Removed(f"{standby} {world.version(standby)}{more}", world.serving)


def _led_to_elsewhere(settings: Settings, machine: HostSettings, color: Color) -> None:
    """Raise CyanError where another host of a swarm leads its users to a color, or may."""
    others = settings.hosts if settings.shares_colors else ()
    for each in others:
        if each != machine and observe(settings, each).live is color:
            raise DeployError(
                f"{each.name} leads its users to {color}",
                where=machine.name,
                todo="the next deploy takes it along: inv deploy --version V",
            )


def reset(
    settings: Settings,
    machine: HostSettings,
    report: Reporter,
    *,
    volumes: bool,
    lock_wait: float = 0,
) -> Removed:
    """Remove every container and network of the application, and with `volumes` its data.

    The markers go first, so that the proxy says 503 and not 502 while it still answers.
    """
    with session(settings, machine, "reset", report.note, lock_wait) as mine:
        lock, world = mine.lock, mine.world
        _begin(lock, world, "reset", world.live)
        if settings.adopted:
            with proxy_lock(mine, "reset", report.note, lock_wait) as by:
                joined = sharing.look(mine.host, settings).joined.get(settings.app)
                says = joining.withdraw(mine.host, by, settings)
            _end(lock, world, "reset", world.live)
            own = world.own or (joined and joined.stopped)
            serving = "its own stack" if own else "nothing: this host had no stack of its own"
            return Removed(f"what cyan brought of {settings.app}; {says}", serving)
        traffic = quoted_path(settings.directory, "traffic")
        lock.run(f"cd {traffic} && rm -f -- blue green lameduck")
        for color in Color:
            grace = compose.grace(world.of(color), settings.drain.timeout)
            lock.run(colors.down(settings, color, grace))
        lock.run(compose.down(settings.app, compose.grace(world.of(None)), volumes=volumes))
        _end(lock, world, "reset", world.live)
        data = "and its volumes" if volumes else "but its volumes"
        return Removed(
            f"everything of {settings.app} {data}", "nothing: the application is removed"
        )


def unlock(settings: Settings, machine: HostSettings, report: Reporter) -> str:
    """Take the lock from whoever holds it, with a line in the journal; who that was, or "".

    Raises CyanError.
    """
    with Host(machine) as host:
        was = take_away(host, str(settings.directory))
        if not was:
            return ""
    with session(settings, machine, "unlock --force", report.note, AFTER) as mine:
        text = f"the lock was taken from {was}"
        mine.lock.record(mine.world.entry("unlock", Event.NOTE, mine.world.live, text=text))
    return was


def _begin(lock: Lock, world: Observation, what: str, color: Color | None) -> None:
    lock.record(world.entry(what, Event.BEGIN, color))


def _end(lock: Lock, world: Observation, what: str, color: Color | None) -> None:
    lock.record(world.entry(what, Event.END, color, ok=True))
