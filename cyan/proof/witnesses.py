"""The other witnesses: the proxy's access log, the application's logs, the database's ledger."""

# ruff: noqa: S608 - the queries are this module's own, and a path is quoted
from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cyan.proxies.error_log import ABORTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

T = TypeVar("T")

JSON = "read_json({source}, format = 'newline_delimited', columns = {columns})"
CSV = "read_csv({source}, header = true, delim = ',', types = {columns})"

PROXY = {
    "ts": "double",
    "request": 'struct(method varchar, uri varchar, headers struct("X-Request-Id" varchar[]))',
    "user_id": "varchar",
    "duration": "double",
    "size": "bigint",
    "status": "smallint",
    "resp_headers": 'struct("X-Color" varchar[], "X-Version" varchar[])',
}
APPLICATION = {
    "id": "varchar",
    "event": "varchar",
    "at_ns": "bigint",
    "color": "varchar",
    "version": "varchar",
    "service": "varchar",
}
"""Only what a check asks for is read: each further field costs seconds in ten million lines."""

ID = "case when regexp_full_match({0}, '[0-9a-f]{{16}}') then ('0x' || {0})::ubigint end"
"""An id as it was sent, as a number; null for one that is no client's of ours."""

OF_PROXY = f"""
select {ID.format('request.headers."X-Request-Id"[1]')} as id,
  status,
  (ts * 1e9)::bigint as at_ns,
  (duration * 1e9)::bigint as duration_ns,
  coalesce(size, -1) as size,
  request.method as method,
  hash(request.uri) as path,
  coalesce(nullif(regexp_extract(user_id, '^(blue|green) ', 1), ''),
    resp_headers."X-Color"[1], '') as color,
  coalesce(resp_headers."X-Version"[1], '') as version
from LINES where status is not null
"""
"""The color that the proxy asked where its log names it, else as the answer says."""

OF_APPLICATION = f"""
select {ID.format("id")} as id, event = 'end' as "end", at_ns,
  coalesce(color, '') as color, coalesce(version, '') as version
from LINES where event in ('start', 'end') and service = $public
"""


@dataclass(frozen=True)
class Witnesses:
    """Frames of the witnesses besides the client; None where a log is missing.

    `proxy`: id, status, at_ns (the end), duration_ns, size (-1: it does not know), method, path
    (hash), color, version.
    `application`: id, end (bool: the line is an end), at_ns, color, version; only the public
    service. `orders`: id. `jobs`: job, id, done. `job_runs`: job. Times are the host's clock's.
    Rows whose id is not of the client's form are kept out and counted in `strangers`; `faults` says
    what cannot be read.
    """

    proxy: pd.DataFrame | None = None
    application: pd.DataFrame | None = None
    orders: pd.DataFrame | None = None
    jobs: pd.DataFrame | None = None
    job_runs: pd.DataFrame | None = None
    strangers: int = 0
    aborted_ns: tuple[int, ...] = ()
    """When the proxy, by its log of errors, gave up an answer that the application had cut off."""
    faults: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    """The names of the application's logs that were read."""


def read_witnesses(
    folder: Path, public: str = "platform", but: frozenset[str] = frozenset()
) -> Witnesses:
    """Read a run's proxy.jsonl, application/*.jsonl, orders.csv, jobs.csv and job_runs.csv.

    `public` is the service whose log is a witness; files named in `but`, by their path in the
    folder, are not believed and not read.
    """
    reasons = folder / "missing.txt"
    faults = reasons.read_text(encoding="utf-8").splitlines() if reasons.exists() else []

    def read(name: str, reader: Callable[[Path], T], default: T) -> T:
        if name in but:
            return default
        try:
            return reader(folder / name)
        except (duckdb.Error, pa.ArrowException, ValueError, OSError) as error:
            faults.append(f"{name} cannot be read: {str(error).splitlines()[0]}")
            return default

    none: tuple[pd.DataFrame | None, int] = (None, 0)
    logs = tuple(
        path.name
        for path in sorted((folder / "application").glob("*.jsonl"))
        if f"application/{path.name}" not in but
    )
    with ThreadPoolExecutor(2) as pool:
        lines = pool.submit(read, "application", lambda p: _application(p, logs, public), none)
        proxy, strange = read("proxy.jsonl", _proxy, none)
        application, odd = lines.result()
    return Witnesses(
        proxy=proxy,
        application=application,
        orders=read("orders.csv", _orders, None),
        jobs=read("jobs.csv", _jobs, None),
        job_runs=read("job_runs.csv", _job_runs, None),
        strangers=strange + odd,
        aborted_ns=read("proxy-errors.jsonl", _aborted, ()),
        faults=tuple(faults),
        logs=logs,
    )


def hashes(texts: list[str]) -> list[int]:
    """What `path` of the proxy's frame holds for each text."""
    with duckdb.connect() as database:
        rows = database.execute("select hash(unnest($texts::varchar[]))", {"texts": texts})
        return [number for (number,) in rows.fetchall()]


def _asked(query: str, **given: object) -> tuple[pd.DataFrame, int]:
    """What a query finds, texts as categories, and how many rows it left out for lack of an id.

    Raises duckdb.Error for what is not readable.
    """
    with duckdb.connect() as database:
        database.execute("set threads = 2")
        table = database.sql(query, params=given or None).to_arrow_reader().read_all()
    strangers = table.column(0).null_count
    if strangers:
        table = table.filter(pc.is_valid(table.column(0)))
    for place, column in enumerate(table.schema):
        if pa.types.is_string(column.type):
            coded = table.column(place).dictionary_encode().unify_dictionaries()
            table = table.set_column(place, column.name, coded)
    frame: pd.DataFrame = table.to_pandas(self_destruct=True, split_blocks=True)
    return frame, strangers


def _lines(reader: str, columns: dict[str, str], paths: list[Path]) -> str:
    """The rows of some files. Raises ValueError for one that ends within a line."""
    for path in paths:
        whole(path)
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    named = ", ".join(f"\"{name}\": '{kind}'" for name, kind in columns.items())
    return reader.format(source=f"[{quoted}]", columns=f"{{{named}}}")


def whole(path: Path) -> None:
    """Raise ValueError where a file does not end with a whole line: the rest of it is lost."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        if size and file.read(1) != b"\n":
            raise ValueError(f"{path.name} ends in the middle of a line")


def _proxy(path: Path) -> tuple[pd.DataFrame | None, int]:
    if not path.exists():
        return None, 0
    return _asked(OF_PROXY.replace("LINES", _lines(JSON, PROXY, [path])))


def _aborted(path: Path) -> tuple[int, ...]:
    """When the proxy gave up an answer; it does not say whose."""
    if not path.exists():
        return ()
    told = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(round(each["ts"] * 1e9) for each in told if each["msg"] == ABORTED)


def _application(
    folder: Path, logs: tuple[str, ...], public: str
) -> tuple[pd.DataFrame | None, int]:
    if not logs:
        return None, 0
    lines = _lines(JSON, APPLICATION, [folder / name for name in logs])
    return _asked(OF_APPLICATION.replace("LINES", lines), public=public)


def _table(path: Path, query: str, **columns: str) -> pd.DataFrame | None:
    """Of a CSV file with a header, as psql writes it; None where it is missing."""
    if not path.exists():
        return None
    return _asked(query.replace("LINES", _lines(CSV, columns, [path])))[0]


def _orders(path: Path) -> pd.DataFrame | None:
    query = f"select {ID.format('request_id')} as id from LINES"
    return _table(path, query, request_id="varchar")


def _jobs(path: Path) -> pd.DataFrame | None:
    query = f"select {ID.format('payload')} as id, id as job, state = 'done' as done from LINES"
    return _table(path, query, id="bigint", state="varchar", payload="varchar")


def _job_runs(path: Path) -> pd.DataFrame | None:
    return _table(path, "select job_id as job from LINES", job_id="bigint")
