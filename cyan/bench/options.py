"""How the ways are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyan.bench.ways import Way


@dataclass(frozen=True)
class Options:
    """How the ways are compared: how many deploys of each, and the load. `rtt` in seconds."""

    ways: tuple[Way, ...]
    rotations: int = 3
    rate: float = 50
    sessions: int = 60
    steady: float = 10
    rtt: float = 0.0
    fresh: bool = False
    http2: bool = False
    seed: int = 1
