"""The journal's format: what rollout writes on the host and what the proof reads.

One JSON object a line, in `<directory>/journal.jsonl` on the host. Times are wall seconds of the
host's clock.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Event(StrEnum):
    """What a line of the journal records."""

    BEGIN = "begin"  # a deploy, rollback, cleanup or reset was begun
    STEP = "step"  # a step is about to be done
    DONE = "done"  # that step was done
    FAILED = "failed"  # that step failed; detail.error says why
    NOTE = "note"  # something an operator should know, such as a lock that was taken over
    END = "end"  # the run ended in order; detail.ok says how


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    at: float
    run: str
    what: str
    event: Event
    step: str = ""
    color: str = ""
    version: str = ""
    release: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def dump(entry: Entry) -> str:
    """The entry as one line, without its newline."""
    return json.dumps(asdict(entry), separators=(",", ":"))


def parse(text: str) -> tuple[Entry, ...]:
    """The entries of a journal; a torn last line (a full disk, a crash) is left out."""
    return tuple(entry for line in text.splitlines() if (entry := _entry(line)) is not None)


def unreadable(text: str) -> tuple[int, ...]:
    """The numbers, from 1, of lines that are no entries, but for a torn last one."""
    lines = text.splitlines()
    last = len(lines) if text and not text.endswith("\n") else 0
    return tuple(
        number
        for number, line in enumerate(lines, 1)
        if number != last and line.strip() and _entry(line) is None
    )


def _entry(line: str) -> Entry | None:
    try:
        fields = json.loads(line)
        return Entry(**{**fields, "event": Event(fields["event"])})
    except (ValueError, TypeError, KeyError):
        return None
