"""The other witnesses: the proxy's access log, the application's logs, the database's ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.json as pajson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Ids = npt.NDArray[np.uint64]
T = TypeVar("T")

TEXTS = pa.list_(pa.string())
PROXY_SCHEMA = pa.schema(
    {
        "request": pa.struct({"headers": pa.struct({"X-Request-Id": TEXTS})}),
        "status": pa.int16(),
    }
)
APPLICATION_SCHEMA = pa.schema({"id": pa.string(), "event": pa.string(), "service": pa.string()})
"""Only what a check asks for is read: each further column costs seconds in ten million lines."""

EVENTS = ("start", "end")
"""What counts of the application's lines; a request that was cut has a start and no end."""

HEX_DIGITS = 16
BLOCK = 1 << 22  # bytes that are parsed at once; a larger one leaves the processor's cache
SECOND = 1e9


@dataclass(frozen=True)
class Witnesses:
    """Frames of the witnesses besides the client; None where a log is missing.

    `proxy`: id, status. `application`: id, end (bool: the line is an end); only the public service.
    `orders`: id. `jobs`: job, id, done. `job_runs`: job. Rows whose id is not of
    the client's form are kept out and counted in `strangers`; `faults` says what cannot be read.
    """

    proxy: pd.DataFrame | None = None
    application: pd.DataFrame | None = None
    orders: pd.DataFrame | None = None
    jobs: pd.DataFrame | None = None
    job_runs: pd.DataFrame | None = None
    strangers: int = 0
    faults: tuple[str, ...] = ()


def read_witnesses(folder: Path, public: str = "platform") -> Witnesses:
    """Read a run's proxy.jsonl, application/*.jsonl, orders.csv, jobs.csv and job_runs.csv."""
    reasons = folder / "missing.txt"
    faults = reasons.read_text(encoding="utf-8").splitlines() if reasons.exists() else []

    def read(name: str, reader: Callable[[Path], T], default: T) -> T:
        try:
            return reader(folder / name)
        except (pa.ArrowException, ValueError) as error:
            faults.append(f"{name} cannot be read: {error}")
            return default

    none: tuple[pd.DataFrame | None, int] = (None, 0)
    with ThreadPoolExecutor(2) as pool:  # reading JSON leaves the interpreter's lock
        lines = pool.submit(read, "application", lambda p: _application(p, public), none)
        proxy, strange = read("proxy.jsonl", _proxy, none)
        application, odd = lines.result()
    return Witnesses(
        proxy=proxy,
        application=application,
        orders=read("orders.csv", _orders, None),
        jobs=read("jobs.csv", _jobs, None),
        job_runs=read("job_runs.csv", _job_runs, None),
        strangers=strange + odd,
        faults=tuple(faults),
    )


def parse_hex(texts: pa.Array) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """Ids sent as 16 hexadecimal digits: the numbers, and which of `texts` were such ids."""
    fits = pc.fill_null(pc.equal(pc.binary_length(texts), HEX_DIGITS), False)  # noqa: FBT003
    kept = texts.filter(fits).cast(pa.binary())
    values = np.zeros(len(texts), np.uint64)
    valid = fits.to_numpy(zero_copy_only=False).astype(bool)
    if len(kept):
        numbers, right = _digits(kept)
        values[valid] = numbers
        valid[valid] = right
    return values, valid


def _digits(kept: pa.Array) -> tuple[Ids, npt.NDArray[np.bool_]]:
    offsets = np.frombuffer(kept.buffers()[1], np.int32)[kept.offset : kept.offset + 1]
    raw = np.frombuffer(kept.buffers()[2], np.uint8)[offsets[0] :][: len(kept) * HEX_DIGITS]
    nibbles = _NIBBLES[raw.reshape(-1, HEX_DIGITS)]
    numbers = np.zeros(len(kept), np.uint64)
    for column in range(HEX_DIGITS):
        numbers = (numbers << np.uint64(4)) | (nibbles[:, column] & np.uint8(15))
    return numbers, np.asarray((nibbles < HEX_DIGITS).all(axis=1))


def _nibbles() -> npt.NDArray[np.uint8]:
    table = np.full(256, 255, np.uint8)
    for number, digit in enumerate("0123456789abcdef"):
        table[ord(digit)] = number
        table[ord(digit.upper())] = number
    return table


_NIBBLES = _nibbles()


def _batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """A file of JSON lines, in pieces, reading only the columns of `schema`."""
    if path.stat().st_size == 0:
        return
    yield from pajson.open_json(
        path,
        read_options=pajson.ReadOptions(block_size=BLOCK),
        parse_options=pajson.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore"
        ),
    )


def _proxy(path: Path) -> tuple[pd.DataFrame | None, int]:
    if not path.exists():
        return None, 0
    pieces, strangers = [], 0
    for batch in _batches(path, PROXY_SCHEMA):
        frame, strange = _proxy_piece(batch.filter(pc.is_valid(batch.column("status"))))
        pieces.append(frame)
        strangers += strange
    return _concatenated(pieces, ("id", "status")), strangers


def _proxy_piece(batch: pa.RecordBatch) -> tuple[pd.DataFrame, int]:
    headers = batch.column("request").field("headers").field("X-Request-Id")
    ids, valid = parse_hex(_first(headers))
    status = pc.fill_null(batch.column("status"), 0).to_numpy(zero_copy_only=False)
    frame = pd.DataFrame({"id": ids, "status": status.astype(np.int16)})
    return frame[valid], int((~valid).sum())


def _application(folder: Path, public: str) -> tuple[pd.DataFrame | None, int]:
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        return None, 0
    pieces, strangers = [], 0
    for path in paths:
        for batch in _batches(path, APPLICATION_SCHEMA):
            ours = pc.equal(batch.column("service"), public)
            told = pc.is_in(batch.column("event"), value_set=pa.array(EVENTS))
            frame, strange = _application_piece(batch.filter(pc.and_(ours, told)))
            pieces.append(frame)
            strangers += strange
    return _concatenated(pieces, ("id", "end")), strangers


def _application_piece(batch: pa.RecordBatch) -> tuple[pd.DataFrame, int]:
    ids, valid = parse_hex(batch.column("id"))
    end = pc.equal(batch.column("event"), "end").to_numpy(zero_copy_only=False)
    frame = pd.DataFrame({"id": ids, "end": end})
    return frame[valid], int((~valid).sum())


def _first(lists: pa.Array) -> pa.Array:
    """The first text of each list, null where there is none."""
    some = pc.fill_null(pc.greater(pc.list_value_length(lists), 0), pa.scalar(value=False))
    return pc.list_element(pc.if_else(some, lists, None), 0)


def _concatenated(pieces: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """One frame of `pieces`."""
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        empty = pd.DataFrame({name: np.zeros(0, np.int64) for name in columns})
        return empty.astype({"id": np.uint64})
    whole = {name: np.concatenate([piece[name].to_numpy() for piece in pieces]) for name in columns}
    return pd.DataFrame(whole, copy=False)


def _table(path: Path, types: dict[str, pa.DataType]) -> pa.Table | None:
    """A CSV file with a header, as psql writes it, or None where it is missing."""
    if not path.exists():
        return None
    return pacsv.read_csv(
        path,
        convert_options=pacsv.ConvertOptions(
            column_types=types, include_columns=list(types), strings_can_be_null=True
        ),
    )


def _orders(path: Path) -> pd.DataFrame | None:
    table = _table(path, {"request_id": pa.string()})
    if table is None:
        return None
    ids, valid = parse_hex(table.column("request_id").combine_chunks())
    return pd.DataFrame({"id": ids[valid]})


def _jobs(path: Path) -> pd.DataFrame | None:
    table = _table(path, {"id": pa.int64(), "state": pa.string(), "payload": pa.string()})
    if table is None:
        return None
    ids, valid = parse_hex(table.column("payload").combine_chunks())
    done = pc.equal(table.column("state"), "done").to_numpy()
    frame = pd.DataFrame({"job": table.column("id").to_numpy(), "id": ids, "done": done})
    return frame[valid].reset_index(drop=True)


def _job_runs(path: Path) -> pd.DataFrame | None:
    table = _table(path, {"job_id": pa.int64()})
    return None if table is None else pd.DataFrame({"job": table.column("job_id").to_numpy()})
