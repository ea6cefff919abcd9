"""Request ids as they are sent, 16 hexadecimal digits, and as they are joined on: numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ids = npt.NDArray[np.uint64]
HEX_DIGITS = 16
NO_OCTET = 256


def parse_hex(texts: pa.Array) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """Ids sent as 16 hexadecimal digits: the numbers, and which of `texts` were such ids."""
    fits = pc.fill_null(pc.equal(pc.binary_length(texts), HEX_DIGITS), False)  # noqa: FBT003
    kept = texts.filter(fits).cast(pa.binary(HEX_DIGITS))
    values = np.zeros(len(texts), np.uint64)
    valid = fits.to_numpy(zero_copy_only=False).astype(bool)
    raw = np.frombuffer(kept.buffers()[1], f"S{HEX_DIGITS}", len(kept), kept.offset * HEX_DIGITS)
    values[valid], valid[valid] = numbers_of(raw)
    return values, valid


def numbers_of(texts: npt.NDArray[np.bytes_]) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """As parse_hex, of texts that are all HEX_DIGITS long."""
    octets = _OCTETS[texts.view(np.uint16).reshape(-1, HEX_DIGITS // 2)]
    numbers = octets.astype(np.uint8).view(">u8").ravel().astype(np.uint64)
    return numbers, np.asarray((octets < NO_OCTET).all(axis=1))


def _octets() -> npt.NDArray[np.uint16]:
    """The number that each pair of hexadecimal digits in memory means; NO_OCTET for others."""
    table = np.full(1 << 16, NO_OCTET, np.uint16)
    digits = "0123456789abcdefABCDEF"
    pairs = np.array([f"{high}{low}".encode() for high in digits for low in digits])
    table[pairs.view(np.uint16)] = [int(pair, 16) for pair in pairs]
    return table


_OCTETS = _octets()
