"""The other witnesses: the proxy's access log, the application's logs, the database's ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cyan.proof.hexids import parse_hex
from cyan.proof.jsonlines import blocks
from cyan.proof.log_formats import Lines, application_lines, proxy_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


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
        except (pa.ArrowException, ValueError, OSError) as error:
            faults.append(f"{name} cannot be read: {error}")
            return default

    none: tuple[pd.DataFrame | None, int] = (None, 0)
    with ThreadPoolExecutor(2) as pool:  # numpy leaves the interpreter's lock
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


def _proxy(path: Path) -> tuple[pd.DataFrame | None, int]:
    if not path.exists():
        return None, 0
    return _frame("status", np.int16, [proxy_lines(block) for block in blocks(path)])


def _application(folder: Path, public: str) -> tuple[pd.DataFrame | None, int]:
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        return None, 0
    read = [application_lines(block, public) for path in paths for block in blocks(path)]
    return _frame("end", np.bool_, read)


def _frame(name: str, kind: type, read: list[Lines]) -> tuple[pd.DataFrame, int]:
    """All the lines in one frame, what they tell as column `name`; how many are of strangers."""
    ids = np.concatenate([np.zeros(0, np.uint64), *(lines.ids for lines in read)])
    told = np.concatenate([np.zeros(0, kind), *(lines.told for lines in read)])
    frame = pd.DataFrame({"id": ids, name: told}, copy=False)
    return frame, sum(lines.strangers for lines in read)


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
