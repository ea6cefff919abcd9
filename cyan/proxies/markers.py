"""The markers: files by whose names the proxy knows, at each request, where it goes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cyan.names import Color

if TYPE_CHECKING:
    from cyan.settings import Settings
    from cyan.world.host import Host


HOLD = "hold"

MAINTENANCE = "maintenance"

LAMEDUCK = "lameduck"

KEPT = "kept"

PIN = "pin"
"""Markers beside the colors': the Caddyfile says what each does."""


def held(color: Color | None) -> str:
    """The marker of a color whose requests wait; of None, of those that no color answers yet."""
    return f"{HOLD}-{color}" if color else HOLD


def kept(color: Color) -> str:
    """The marker of a color whose idle connections the proxy may keep: `cyan.rollout.idle`."""
    return f"{KEPT}-{color}"


def pin(run: str) -> str:
    """The marker of a run whose sessions stay with what answered them; their cookie's value."""
    return f"{PIN}-{run}"


def pinned(color: Color) -> str:
    """The marker of the color with which they stay on this host; it may be the other on another."""
    return f"{PIN}ned-{color}"


def pin_command(directory: str, run: str, color: Color) -> str:
    """The shell command by which the sessions of a run stay with a color, and no others."""
    raised = (shlex.quote(f"{directory}/traffic/{each}") for each in (pin(run), pinned(color)))
    return f"{unpin_command(directory)} && touch -- {' '.join(raised)}"


def unpin_command(directory: str) -> str:
    """The shell command by which no session stays with any color; safe to repeat."""
    return f"rm -f -- {shlex.quote(f'{directory}/traffic/{PIN}')}*-*"


def markers_of(settings: Settings) -> str:
    """Where the proxy's container has the application's markers."""
    return f"/traffic/{settings.app}" if settings.adopted else "/traffic"


def switch_command(directory: str, source: str | None, target: str) -> str:
    """The shell command of the switch: one rename(2), the host's wall time, then an fsync(2).

    From one marker to another, which may be `held` ones.

    Where no color is live yet, the marker is made instead. It is safe to repeat: a switch that has
    happened is left as it is. The folder is synced after the time was taken, so that a rename that
    users have seen is not forgotten with the power; where that fails, the traffic has moved all
    the same.
    """
    traffic = f"{directory}/traffic"
    new = shlex.quote(f"{traffic}/{target}")
    if not source:
        move = f"touch {new}"
    elif source == target:
        move = f"[ -e {new} ]"
    else:
        old = shlex.quote(f"{traffic}/{source}")
        move = f"if [ -e {old} ]; then mv -T {old} {new}; else [ -e {new} ]; fi"
    return f"{move} && date +%s.%N && {{ sync {shlex.quote(traffic)} || true; }}"


def switched_at(host: Host, directory: str, color: Color) -> float:
    """When a color's marker was renamed, wall seconds of the host: it changes the inode's ctime."""
    marker = shlex.quote(f"{directory}/traffic/{color}")
    return float(host.run(f"stat -c %.6Z {marker}").stdout)


def list_command(directory: str) -> str:
    """The shell command that lists the markers."""
    return f"ls -1 {shlex.quote(directory + '/traffic')}"


def mark_command(directory: str, name: str, *, up: bool) -> str:
    """The shell command that raises or lowers a marker; safe to repeat."""
    return f"{'touch' if up else 'rm -f'} -- {shlex.quote(f'{directory}/traffic/{name}')}"


def ducks(folders: str) -> str:
    """Defines `ducks` for a shell: with `touch --` clients are asked to connect anew.

    Until `rm -f --`. `folders` are the shell's words for the folders of markers.
    """
    return f'ducks() {{ for each in {folders}; do "$@" "$each/{LAMEDUCK}"; done; }}'


def live_color(markers: frozenset[str]) -> Color | None:
    """The color that the Caddyfile picks for these markers: green is asked first.

    Also one whose requests wait: it was the last that answered.
    """
    asked = (Color.GREEN, Color.BLUE, held(Color.GREEN), held(Color.BLUE))
    found = next((name for name in asked if name in markers), None)
    return Color(found.removeprefix(f"{HOLD}-")) if found else None
