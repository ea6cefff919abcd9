"""Which part of a host's logs was written during a run, also where they were rolled: pure.

Caddy rolls `access.json` by renaming it to `access-<time>.json`, beginning a new one, compressing
the old one to `access-<time>.json.gz` and then removing it
(https://pkg.go.dev/gopkg.in/natefinch/lumberjack.v2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKED = ".gz"
ROLLED = re.compile(r"(.+)-\d{4}-\d\d-\d\dT[\d.-]+(\.json)(\.gz)?")


@dataclass(frozen=True)
class LogFile:
    """One file on the host: its path under the application's directory, inode, size in bytes."""

    path: str
    inode: int
    size: int

    @property
    def origin(self) -> str:
        """The log that this one was rolled from; itself where it was not."""
        found = ROLLED.fullmatch(self.path)
        return f"{found[1]}{found[2]}" if found else self.path


def unread(before: Sequence[LogFile], after: Sequence[LogFile]) -> tuple[tuple[str, int], ...]:
    """What `after` holds beyond `before`: (path, bytes to skip once unpacked), oldest first."""
    known = {each.path: each for each in before}
    names = {each.path for each in after}
    found: list[tuple[str, int]] = []
    continued: set[str] = set()
    for each in sorted(after, key=lambda each: (each.origin, each.path == each.origin, each.path)):
        being_packed = each.path.removesuffix(PACKED)
        if each.path.endswith(PACKED) and being_packed in names:
            continue
        old = known.get(each.path) or known.get(being_packed) or known.get(each.path + PACKED)
        if each.path != each.origin and old:
            continue  # rolled before the run
        first = known.get(each.origin)
        skip = 0
        if each.path != each.origin:
            skip = first.size if first and each.origin not in continued else 0
            continued.add(each.origin)
        elif first and first.inode == each.inode:
            skip = first.size
        if each.path.endswith(PACKED) or each.size > skip:
            found.append((each.path, skip))
    return tuple(found)
