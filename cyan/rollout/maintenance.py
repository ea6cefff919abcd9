"""`inv maintenance on|off`: the marker that makes the proxy answer every user with 503."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.hosts.session import session
from cyan.journal.entries import Event
from cyan.proxies import markers

if TYPE_CHECKING:
    from cyan.hosts.session import Tell
    from cyan.sections import HostSettings
    from cyan.settings import Settings


def maintenance(
    settings: Settings, machine: HostSettings, tell: Tell, *, on: bool, lock_wait: float = 0
) -> str:
    """Raise or lower the marker; what serves then, in words. Safe to repeat. Raises CyanError."""
    with session(
        settings, machine, f"maintenance {'on' if on else 'off'}", tell, lock_wait
    ) as mine:
        mine.run(markers.mark_command(str(settings.directory), markers.MAINTENANCE, up=on))
        world = mine.world
        text = "the site went into maintenance" if on else "the maintenance ended"
        mine.lock.record(world.entry("maintenance", Event.NOTE, world.live, text=text))
        return "users get 503 with Retry-After" if on else world.serving
