"""Releases: one version in one color, and which one a rollback goes back to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.names import Color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.journal import Entry


@dataclass(frozen=True)
class Release:
    """One version running, or about to run, in one color."""

    id: str
    version: str
    color: Color

    def __str__(self) -> str:
        return f"{self.version} ({self.color})"


def release_id(version: str, now: float) -> str:
    """A name that sorts by time, for `now` in wall seconds: 20261121T013000.250Z-v1."""
    whole, part = divmod(now, 1)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(whole))
    return f"{stamp}.{int(part * 1000):03d}Z-{version}"


def previous(switches: Sequence[Entry], live_release: str) -> Release | None:
    """The release that was live before the live one, from the journal's switches, oldest first.

    Switching back and forth between two releases makes each the other's previous one, so a
    rollback of a rollback returns to where it began.
    """
    for entry in reversed(switches):
        if entry.release and entry.release != live_release:
            return Release(entry.release, entry.version, Color(entry.color))
    return None
