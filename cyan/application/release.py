"""Releases: one version in one color."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyan.names import Color


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
