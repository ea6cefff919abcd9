"""The client's log: from the swarm's raw files to one typed frame, a row per request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from cyan.errors import ProofError
from cyan.proof.history import Clock
from cyan.proof.requestlog import INTENT_COLUMNS, PLANTED, RESULT_COLUMNS, STREAMS, SignOff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

TEXT = pa.dictionary(pa.int32(), pa.string())
TYPES: dict[str, pa.DataType] = {
    "id": pa.uint64(),
    "user": pa.int32(),
    "status": pa.int16(),
    "expected_bytes": pa.int64(),
    "received_bytes": pa.int64(),
    "digest": pa.int8(),
}
NO_RESULT = -1
INSTANTS = ("due_ns", "sent_ns", "first_ns", "end_ns")


@dataclass(frozen=True)
class ClientLog:
    """What the swarm left behind.

    `requests`: one row per intent, ordered by time of sending, with the columns of both files plus
    `answered` (a result exists) and `worker`; due, sent, first and end are wall-clock int64 ns (0
    where there was none). `duplicates` counts ids that were written more than once, `orphans`
    results without an intent, `torn` lines that could not be read; `faults` names files that could
    not be read at all, `off_schedule` says where the rows are not those of the schedule.
    """

    requests: pd.DataFrame
    signoffs: tuple[SignOff, ...]
    workers: tuple[int, ...]
    duplicates: int = 0
    orphans: int = 0
    torn: int = 0
    faults: tuple[str, ...] = ()
    off_schedule: tuple[str, ...] = ()
    uncertainty_ns: int = 0  # of the clocks of workers on other machines


def read_client(folder: Path) -> ClientLog:
    """Read every worker's files in `folder`. Raises ProofError where there is none."""
    workers = tuple(sorted(int(p.stem.split("-")[1]) for p in folder.glob("intents-*.tsv")))
    if not workers:
        raise ProofError("the swarm left no log", where=str(folder))
    bad = Unreadable()
    intents = _read_all(folder, "intents", workers, INTENT_COLUMNS, bad)
    results = _read_all(folder, "results", workers, RESULT_COLUMNS, bad)
    requests, duplicates, orphans = _join(intents, results)
    signoffs = _signoffs(folder, bad)
    off_schedule = tuple(fault for each in signoffs for fault in _off_schedule(requests, each))
    clocks = {worker: _clock(folder / f"clock-{worker}.json", bad) for worker in workers}
    return ClientLog(
        requests=_on_wall_clock(requests, clocks),
        signoffs=signoffs,
        workers=workers,
        duplicates=duplicates,
        orphans=orphans,
        torn=len(bad.lines),
        faults=tuple(bad.files),
        off_schedule=off_schedule,
        uncertainty_ns=max(clock.uncertainty_ns for clock in clocks.values()),
    )


@dataclass
class Unreadable:
    """What could not be read, in words: single lines, and whole files."""

    lines: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def _clock(path: Path, bad: Unreadable) -> Clock:
    """How a worker's clock stands to ours; it is ours where nothing else is kept."""
    return (_kept(path, Clock, bad) or Clock()) if path.exists() else Clock()


def _signoffs(folder: Path, bad: Unreadable) -> tuple[SignOff, ...]:
    found = (_kept(path, SignOff, bad) for path in sorted(folder.glob("signoff-*.json")))
    return tuple(signoff for signoff in found if signoff)


def _kept(path: Path, kind: Callable[..., T], bad: Unreadable) -> T | None:
    """What a small JSON file holds; None where that is no `kind`."""
    try:
        return kind(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        bad.files.append(f"{path.name} cannot be read: {error}")
        return None


def _read_all(
    folder: Path, stem: str, workers: Sequence[int], columns: Sequence[str], bad: Unreadable
) -> pa.Table:
    """All workers' files of one sort as one table, with a column `worker`."""
    tables = []
    for worker in workers:
        path = folder / f"{stem}-{worker}.tsv"
        table = _read(path, columns, bad)
        tables.append(
            table.append_column("worker", pa.array(np.full(len(table), worker, np.int16)))
        )
    return pa.concat_tables(tables).unify_dictionaries()


def _read(path: Path, columns: Sequence[str], bad: Unreadable) -> pa.Table:
    types = {name: _type(name) for name in columns}
    if not path.exists() or path.stat().st_size == 0:
        return pa.schema(types).empty_table()

    def skip(row: Any) -> str:  # noqa: ANN401 - pyarrow's InvalidRow is not exported
        bad.lines.append(f"{path.name}: {row.text}")
        return "skip"

    try:
        return pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(column_names=list(columns), block_size=1 << 24),
            parse_options=pacsv.ParseOptions(
                delimiter="\t", quote_char=False, invalid_row_handler=skip
            ),
            convert_options=pacsv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    except pa.ArrowException as error:
        bad.files.append(f"{path.name} cannot be read: {error}")
        return pa.schema(types).empty_table()


def _type(column: str) -> pa.DataType:
    return TYPES.get(column, pa.int64() if column.endswith("_ns") else TEXT)


def _join(intents: pa.Table, results: pa.Table) -> tuple[pd.DataFrame, int, int]:
    """Intents with their results beside them, duplicates and orphans counted."""
    sent, got = intents.column("id").to_numpy(), results.column("id").to_numpy()
    by_id, order = np.argsort(sent, kind="stable"), np.argsort(got, kind="stable")
    known, ranked = sent[by_id], got[order]  # where one is not sorted each look-up is a cache miss
    place = np.minimum(np.searchsorted(ranked, known), max(len(ranked) - 1, 0))
    there = ranked[place] == known if len(ranked) else np.zeros(len(known), bool)
    rows = np.full(len(sent), NO_RESULT)
    rows[by_id[there]] = order[place[there]]
    answered = rows != NO_RESULT
    frame = intents.to_pandas(self_destruct=True, split_blocks=True)
    for name in RESULT_COLUMNS[1:]:
        frame[name] = _spread(results.column(name), rows[answered], answered)
    frame["answered"] = answered
    duplicates = int((known[1:] == known[:-1]).sum() + (ranked[1:] == ranked[:-1]).sum())
    return frame, duplicates, _absent(ranked, known)


def _absent(ids: Any, known: Any) -> int:  # noqa: ANN401 - sorted numpy arrays
    """How many of `ids` are not among `known`."""
    if not len(known):
        return len(ids)
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return int((known[place] != ids).sum())


def _spread(column: pa.ChunkedArray, rows: Any, answered: Any) -> Any:  # noqa: ANN401 - numpy arrays
    """`column[rows]` laid out over the answered intents; 0 or "" where nothing came back."""
    if pa.types.is_dictionary(column.type):
        whole = column.combine_chunks().to_pandas().cat
        codes = np.full(len(answered), -1, np.int32)
        codes[answered] = whole.codes.to_numpy()[rows]
        spread = pd.Categorical.from_codes(codes, categories=whole.categories)
        return with_empty(spread)
    values = column.to_numpy()
    out = np.zeros(len(answered), values.dtype)
    out[answered] = values[rows]
    return out


def with_empty(values: pd.Categorical) -> pd.Categorical:
    """`values` with "" as a category, and in every missing place."""
    if "" not in values.categories:
        values = values.add_categories([""])
    empty = list(values.categories).index("")
    codes = np.where(values.codes < 0, empty, values.codes)
    return pd.Categorical.from_codes(codes, categories=values.categories)


def _off_schedule(requests: pd.DataFrame, told: SignOff) -> Iterator[str]:
    """Where a worker's rows are not its schedule's: one for each arrival, due to the nanosecond.

    Of the monotonic clock, so before the instants are moved to another.
    """
    if told.rate <= 0:
        yield f"worker {told.worker} does not say what its schedule was"
        return
    rows = requests[requests["worker"] == told.worker]
    again = is_in(rows["journey"], STREAMS) & rows.duplicated("user").to_numpy()
    beside = again | is_in(rows["journey"], (PLANTED,))
    due = np.sort(rows["due_ns"].to_numpy()[~beside])
    wanted = _schedule(told)
    if len(due) != len(wanted):
        yield f"worker {told.worker} has {len(due):,} rows for {len(wanted):,} arrivals"
    elif (due != wanted).any():
        off = int((due != wanted).sum())
        yield f"worker {told.worker} has {off:,} rows that are not due when its schedule says"
    if int(beside.sum()) != told.beside:
        yield f"worker {told.worker} has {int(beside.sum()):,} rows beside, of {told.beside:,}"


def _schedule(told: SignOff) -> npt.NDArray[np.int64]:
    """When each arrival was due: as loadtests.schedule says it, number by number."""
    numbers = np.arange(max(told.scheduled - told.beside, 0), dtype=np.int64)
    return told.begun_ns + np.rint(numbers * 1_000_000_000 / told.rate).astype(np.int64)


def is_in(column: pd.Series[Any], wanted: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which rows of a categorical column hold one of `wanted`; compares codes, not texts."""
    meant = [text in wanted for text in column.cat.categories]
    return np.array([*meant, False])[column.cat.codes.to_numpy()]  # of none the code is -1


def _on_wall_clock(frame: pd.DataFrame, clocks: dict[int, Clock]) -> pd.DataFrame:
    """Instants moved from each worker's monotonic clock to our wall clock; sorted by sending."""
    ahead = np.zeros(max(clocks) + 1, np.int64)
    for worker, clock in clocks.items():
        ahead[worker] = clock.offset_ns
    offset = frame.pop("wall_ns") - frame["sent_ns"] - ahead[frame["worker"].to_numpy()]
    for name in INSTANTS:
        moved = frame[name] + offset
        frame[name] = moved.where(frame[name] != 0, 0) if name in {"first_ns", "end_ns"} else moved
    if frame["sent_ns"].is_monotonic_increasing:  # one worker's are; sorting would copy it all
        return frame
    return frame.sort_values("sent_ns", kind="stable", ignore_index=True)


def write_requests(frame: pd.DataFrame, path: Path) -> None:
    """The frame as Parquet: texts as dictionaries, instants by their differences."""
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    frame.to_parquet(
        path,
        index=False,
        compression="zstd",
        use_dictionary=[name for name, kind in types.items() if kind == "category"],
        column_encoding={n: "DELTA_BINARY_PACKED" for n, kind in types.items() if kind == "int64"},
    )
