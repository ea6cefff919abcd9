"""One look at the world, as plain data that a record keeps."""

from __future__ import annotations

from dataclasses import dataclass

COLORS = ("blue", "green")


@dataclass(frozen=True)
class Piece:
    """One container; `color` is "" for what both colors share."""

    color: str
    service: str
    version: str
    release: str
    id: str
    started_at: str
    state: str
    health: str

    @property
    def up(self) -> bool:
        """Whether it runs and, where it has a health check, passes it."""
        return self.state == "running" and self.health in ("", "healthy")


@dataclass(frozen=True)
class World:
    """Markers, who answers (color, version), containers, the lock's owner ("" where free), drift.

    `drift` is what `inv status` would complain of.
    """

    markers: tuple[str, ...]
    answering: tuple[str, str]
    pieces: tuple[Piece, ...]
    owner: str = ""
    drift: tuple[str, ...] = ()

    @property
    def colors(self) -> tuple[str, ...]:
        """The colors that have a marker."""
        return tuple(name for name in self.markers if name in COLORS)

    @property
    def live(self) -> str:
        """The color with the only marker; "" where it is not the only one."""
        return self.colors[0] if len(self.colors) == 1 else ""

    def of(self, color: str) -> tuple[Piece, ...]:
        """The containers of one color."""
        return tuple(piece for piece in self.pieces if piece.color == color)

    @property
    def live_identity(self) -> frozenset[tuple[str, str]]:
        """Identity and start of each of the live color's containers that run."""
        return frozenset((p.id, p.started_at) for p in self.of(self.live) if p.state == "running")
