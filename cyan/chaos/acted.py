"""The record of one act: what was done to the site, when, and what was seen. Nothing is judged."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cyan.chaos.world import Piece, World

if TYPE_CHECKING:
    from pathlib import Path

UNTRIED = "it was not tried"
"""Why a fault counts as unhealed as long as nobody has tried to heal it."""


@dataclass(frozen=True)
class Ran:
    """One command that was started: its words, exit code (negative: a signal) and output.

    `hung` says what it was waited for in vain, "" where it ended by itself or was ended on purpose.
    """

    words: tuple[str, ...]
    code: int
    output: str
    hung: str = ""


@dataclass(frozen=True)
class Record:
    """What became of one experiment.

    Times are this machine's wall clock in ns, 0 where it did not come to that. `unhealed` says why
    the fault is still there, `error` why the experiment could not be carried out; both may be "".
    `after` was seen once it was healed. `unserved` are clients of the fault's own that got no
    complete answer.
    """

    experiment: str
    before: World | None = None
    after: World | None = None
    injected_ns: int = 0
    healed_ns: int = 0
    unhealed: str = UNTRIED
    ran: tuple[Ran, ...] = ()
    unserved: tuple[str, ...] = ()
    error: str = ""


def save(record: Record, path: Path) -> None:
    """Keep a record: whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def load(path: Path) -> Record:
    """A record that was kept; one that says so where there is none."""
    if not path.exists():
        return Record(path.stem, error="its process ended without leaving a record")
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    ran = tuple(Ran(**{**item, "words": tuple(item["words"])}) for item in kept["ran"])
    worlds = {key: _world(kept[key]) for key in ("before", "after")}
    return Record(**{**kept, **worlds, "ran": ran, "unserved": tuple(kept["unserved"])})


def _world(kept: dict[str, Any] | None) -> World | None:
    if kept is None:
        return None
    color, version = kept["answering"]
    return World(
        tuple(kept["markers"]),
        (color, version),
        tuple(Piece(**piece) for piece in kept["pieces"]),
        kept["owner"],
        tuple(kept["drift"]),
    )
