"""Millions of lines of JSON of which a few fields are wanted: found by their spelling.

A parser gives every byte a meaning, which costs microseconds a line. numpy compares bytes as fast
as they come from memory, and that is enough for lines of the shape that their program always
writes: inside of a JSON string quotes are escaped (RFC 8259, section 7), so that only a name ends
with `status":`, and no user writes names. Lines of any other shape are left to pyarrow's parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.json as pajson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
"""An offset into a block for each of its lines; negative for a line that has none."""

NOWHERE = -(1 << 30)
BLOCK = 1 << 21  # bytes that are looked at together; many more do not stay in the cache
LONGEST = 1 << 24  # bytes of a line; something else is wrong with a file that has a longer one
MARGIN = 256  # bytes after the last line: no text that is looked for or at is longer
SAMPLE = 1 << 12  # bytes by which it is guessed which byte of a needle is rare
NEWLINE, SPACE = ord("\n"), ord(" ")


@dataclass(frozen=True)
class Marks:
    """Where something is, in rising order: in each line the `count` from `first` on, if any."""

    found: Places
    first: Places
    count: Places

    def at(self, number: int) -> Places:
        """The place of each line's mark of that number; from the end where that is negative."""
        there = (self.count > number) & (self.count >= -number)
        index = self.first + number + (self.count if number < 0 else 0)
        places = np.full(len(there), NOWHERE, np.int64)
        places[there] = self.found[index[there]]
        return places


@dataclass(frozen=True)
class Block:
    """Some whole lines: their bytes, with MARGIN more, and where the control characters are."""

    raw: Bytes
    controls: Places

    @cached_property
    def ends(self) -> Places:
        """Where the newline of each line is."""
        newlines: Mask = self.raw[self.controls] == NEWLINE
        return self.controls[newlines]

    @cached_property
    def clean(self) -> Mask:
        """The lines without another control character: JSON has none, a hole in a file has."""
        alone: Mask = np.diff(np.searchsorted(self.controls, self.ends), prepend=-1) == 1
        return alone

    @cached_property
    def starts(self) -> Places:
        """Where each line begins."""
        return np.concatenate((np.zeros(1, np.int64), self.ends[:-1] + 1))

    @cached_property
    def _after_z(self) -> Places:
        """Where the few bytes are that come after "z", the braces among them: one look for both."""
        return np.flatnonzero(self.raw[: self.ends[-1]] > ord("z"))

    def braces(self, brace: bytes) -> Marks:
        """Where an opening or closing brace is in each line."""
        same: Mask = self.raw[self._after_z] == ord(brace)
        return self._marks(self._after_z[same])

    def marks(self, needle: bytes, until: Places | None = None) -> Marks:
        """Where `needle` is in each line, before its end or before `until`."""
        seen = np.bincount(self.raw[:SAMPLE], minlength=256)
        rarest = min(range(len(needle)), key=lambda offset: int(seen[needle[offset]]))
        found = np.flatnonzero(self.raw[: self.ends[-1]] == needle[rarest]) - rarest
        return self._marks(found[self.spelled(found, needle)], until)

    def _marks(self, found: Places, until: Places | None = None) -> Marks:
        first = np.searchsorted(found, self.starts)
        beyond = np.searchsorted(found, self.ends if until is None else until)
        return Marks(found, first, beyond - first)

    def spelled(self, places: Places, needle: bytes) -> Mask:
        """At which of `places` `needle` is written."""
        same: Mask = self.texts(places, len(needle)) == needle
        return same & (places >= 0)

    def texts(self, places: Places, length: int) -> npt.NDArray[np.bytes_]:
        """`length` bytes from each of `places` on, at most MARGIN; anything from negative ones."""
        every = np.ndarray((len(self.raw) - length,), f"S{length}", self.raw, strides=(1,))
        return every[np.maximum(places, 0)]

    def parsed(self, lines: Mask, schema: pa.Schema) -> pa.Table:
        """The chosen lines as a parser reads them, and of these the columns of `schema`.

        Raises pa.ArrowInvalid where one of them is not JSON, or not of these types.
        """
        kept = np.repeat(lines, self.ends - self.starts + 1)
        text = self.raw[: len(kept)][kept].tobytes()
        return pajson.read_json(
            BytesIO(text),
            read_options=pajson.ReadOptions(block_size=len(text)),
            parse_options=pajson.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        )


def blocks(path: Path) -> Iterator[Block]:
    """The lines of a file, in order; its last one may lack a newline.

    Raises ValueError where one is longer than LONGEST.
    """
    rest, ended = np.zeros(0, np.uint8), False
    with path.open("rb", buffering=0) as file:
        while not ended:
            raw = np.empty(len(rest) + BLOCK + MARGIN, np.uint8)
            raw[: len(rest)] = rest
            size = len(rest) + file.readinto(raw[len(rest) : -MARGIN].data)
            ended = size == len(rest)
            if ended and size:
                raw[size] = NEWLINE
                size += 1
            block = Block(raw[: size + MARGIN], np.flatnonzero(raw[:size] < SPACE))
            if len(block.ends):
                yield block
            rest = raw[block.ends[-1] + 1 : size] if len(block.ends) else raw[:size]
            if len(rest) > LONGEST:
                raise ValueError(f"a line of more than {LONGEST:,} bytes")
