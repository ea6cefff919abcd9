"""What the proxy's access log says of single requests, beyond what is joined for all of them.

Only dropped requests are asked about, so that clean runs of millions pay nothing for it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ID = re.compile(rb'"X-Request-Id": ?\["([0-9a-f]{16})"\]')


@dataclass(frozen=True)
class Line:
    """One line: bytes of the body that the proxy wrote, for how long, and the color it asked."""

    wrote: int
    seconds: float
    color: str

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """A line as Caddy writes it, and nginx."""
        (color, *_) = said.get("resp_headers", {}).get("X-Color") or [""]
        return cls(said.get("size") or 0, said.get("duration", 0.0), color)

    def sentence(self, promised: int) -> str:
        """The line in words; `promised` is the Content-Length that the client saw, -1 for none."""
        short = f" of {promised:,}" if promised > self.wrote else ""
        color = self.color or "no color"
        return f"wrote {self.wrote:,}{short} bytes in {self.seconds * 1000:,.0f} ms, from {color}"


def lines_of(path: Path, ids: Iterable[str]) -> dict[str, Line]:
    """The last line about each of these requests that the log at `path` tells of."""
    wanted = {number.encode() for number in ids}
    found: dict[str, Line] = {}
    if not wanted or not path.exists():
        return found
    with path.open("rb") as log:
        for line in log:
            told = ID.search(line)
            if told and told[1] in wanted:
                with suppress(ValueError):  # a torn line
                    found[told[1].decode()] = Line.of(json.loads(line))
    return found
