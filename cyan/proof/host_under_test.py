"""The host as a run sees it: who is live, how its clock stands, and the witnesses' logs."""

from __future__ import annotations

import shlex
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from cyan.engines.docker import Engine
from cyan.errors import HostError
from cyan.proof import own_logs, resources
from cyan.proof.history import SECOND, Clock, Container, Observation
from cyan.proof.rolled import LogFile, unread
from cyan.proxies import access_log, error_log, markers
from cyan.proxies.configuration import VERSION, authority_command
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from cyan.engines.containers import Container as Printed
    from cyan.sections import HostSettings
    from cyan.settings import Settings

JOURNAL = "journal.jsonl"
PROXY = "proxy.jsonl"
COMPLETE = "# that is all"
LONGEST_LINE = 1 << 20
JOBS_WITHIN = 15.0
POLL = 0.3
LONGEST = 24 * 3600
"""Seconds after which the host is watched no longer, should nobody end it."""

TABLES = {
    "orders": "select request_id from orders where created_at >= to_timestamp({since})",
    "jobs": "select id, state, payload from jobs where enqueued_at >= to_timestamp({since})",
    "job_runs": "select job_id from job_runs where started_at >= to_timestamp({since})",
}
"""The ledger of the demo's database, and how to ask for it."""

ABOUT = (
    "echo system=$(uname -sr); echo cores=$(nproc); "
    "echo engine=$(docker version -f '{{.Server.Version}}' 2>/dev/null); "
    "echo compose=$(docker compose version --short 2>/dev/null)"
)
VERSIONS = {"database": ("database", ("postgres", "--version"))}
"""Which shared service says its version, and how."""


PSQL = (
    'PGPASSWORD="$POSTGRES_PASSWORD" '
    'exec psql -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -qAt -c "$0"'
)
"""Asks with what the container itself was given, as the official image is."""

PENDING = "select count(*) from jobs where state <> 'done' and enqueued_at >= to_timestamp({since})"


class HostUnderTest:
    """One host over SSH. A context manager; a log counts from where it ended at `__enter__`."""

    def __init__(self, settings: Settings, machine: HostSettings) -> None:
        self._settings = settings
        self._host = Host(machine)
        self._engine = Engine(self._host)
        self._directory = PurePosixPath(str(settings.directory))
        self._before: tuple[LogFile, ...] = ()
        self._since = 0.0
        self._used: list[bytes] = []
        self._told: dict[str, tuple[Printed, str]] = {}  # what containers printed, by their id

    def __enter__(self) -> Self:
        self._before = self._logs()
        self._since = float(self._host.run("date +%s.%N").stdout)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._host.close()

    def observe(self) -> Observation:
        """Who is live, and the containers of both colors that run."""
        with ThreadPoolExecutor(1) as pool:
            files = pool.submit(self._host.run, markers.list_command(str(self._directory)))
            found = self._engine.containers(self._settings.app)
            raised = frozenset(files.result().stdout.split())
        self._hear(found)
        containers = tuple(
            Container(item.id, str(item.color), item.service, item.version, item.started_at)
            for item in found
            if item.color and item.state == "running"
        )
        return Observation(str(markers.live_color(raised) or ""), containers)

    def clock(self) -> Clock:
        """The host's clock against ours, in nanoseconds."""
        found = self._host.clock()
        return Clock(round(found.offset * SECOND), round(found.uncertainty * SECOND))

    def collect(self, folder: Path) -> None:
        """Fetch what the proxy, the application, the database and the journal hold of this run.

        A witness that cannot be fetched whole is left out, the reason goes to missing.txt, and the
        verdict is unknown.
        """
        told = (f"{resources.header(self._settings)}\n".encode(), *self._used)
        (folder / resources.NAME).write_bytes(b"".join(told))
        ledger = () if self._settings.adopted else (self._fetch_ledger,)
        ledger = (self._fetch_written,) if self._settings.verify.ledger else ledger
        # The ledger waits, so it is first.
        for fetch in (*ledger, self._fetch_logs, self._fetch_own_logs, self._fetch_errors):
            try:
                fetch(folder)
            except HostError as error:
                _note(folder, error)

    def about(self) -> dict[str, str]:
        """What runs on the host, by name; what does not say is left out."""
        said = self._host.run(ABOUT, check=False).stdout.splitlines()
        found = dict(line.split("=", 1) for line in said if "=" in line)
        proxy = (self._settings.proxy, VERSION[self._settings.server])
        for name, (service, words) in {"proxy": proxy, **VERSIONS}.items():
            with suppress(HostError):
                found[name] = (
                    self._engine.exec(self._service(service), words).split("\n")[0].strip()
                )
        return {key: value for key, value in found.items() if value}

    def authority(self) -> str:
        """The certificate that a local name's users trust, as PEM. Raises HostError."""
        proxy = self._service(self._settings.proxy)
        return self._host.run(authority_command(self._settings, proxy)).stdout

    def _watch(self) -> None:
        """Take note of what is used on the host, until its connection ends: no witness."""
        with suppress(HostError):
            for piece in self._host.pieces(resources.command(LONGEST)):
                self._used.append(piece)

    def _logs(self) -> tuple[LogFile, ...]:
        """The logs on the host."""
        command = (
            f"cd {shlex.quote(str(self._directory))} && "
            "find -H logs journal.jsonl -type f -printf '%i %s %p\\n' 2>/dev/null || true"
        )
        rows = (line.split(" ", 2) for line in self._host.run(command).stdout.splitlines())
        return tuple(LogFile(path, int(inode), int(size)) for inode, size, path in rows)

    def _fetch_logs(self, folder: Path) -> None:
        (folder / "application").mkdir(exist_ok=True)
        there, broken = self._logs(), set[str]()
        for path, skip in unread(self._before, there):
            target = _target(path)
            witness = target.partition("/")[0]
            if not target or witness in broken:
                continue
            try:
                self._fetch(path, skip, folder / target)
            except HostError as error:
                broken.add(witness)
                _note(folder, error)
        if any(each.path == JOURNAL for each in there):
            (folder / JOURNAL).touch()  # where nothing was written to it
        for witness in broken:  # half of what it says would be held against the others
            _remove(folder / witness)

    def _fetch(self, path: str, skip: int, target: Path) -> None:
        """Append what the log holds after `skip` bytes to `target`, compressed on the way.

        Of a pipe the shell tells only how its last command ended, so the first says at the end
        of what it wrote that it came to it. Raises HostError where it did not.
        """
        source, mine = str(self._directory / path), self._settings
        inflate = zlib.decompressobj(wbits=31)
        log = f"zcat -f {shlex.quote(source)}"
        if _target(path) == PROXY:
            log = access_log.log_command(mine, source)
        whole = f"{{ {{ {log}; }} && printf '\\n{COMPLETE}'; }}"
        try:
            with target.open("ab") as out:
                for piece in self._host.pieces(f"{whole} | tail -c +{skip + 1} | gzip -1"):
                    out.write(inflate.decompress(piece))
                out.write(inflate.flush())
        except zlib.error as error:
            raise HostError(f"{path} was garbled on the way ({error})", where=source) from None
        if not _completed(target):
            raise HostError(f"{path} cannot be read to its end", where=source)
        _without_torn_line(target)

    def _fetch_ledger(self, folder: Path) -> None:
        database = self._service("database")
        deadline = time.monotonic() + JOBS_WITHIN
        while int(self._ask(database, PENDING)) and time.monotonic() < deadline:
            time.sleep(POLL)
        for name, query in TABLES.items():
            answer = self._ask(database, f"copy ({query}) to stdout with csv header")
            (folder / f"{name}.csv").write_text(answer, encoding="utf-8")

    def _fetch_written(self, folder: Path) -> None:
        """What a command of the user's prints on the host: the ids of what was written since."""
        command = self._settings.verify.ledger.replace("{since}", f"{self._since:.6f}")
        told = self._host.run(command).stdout.split()
        (folder / "orders.csv").write_text("\n".join(("request_id", *told)) + "\n")

    def _hear(self, found: Iterable[Printed]) -> None:
        """Keep what the application's own containers printed, before they are removed."""
        adopted = self._settings.adopted
        if adopted is None or not self._settings.verify.application:
            return
        asked = {route.service for route in adopted.routes}
        for each in found:
            if each.color and each.service in asked and each.started_at:
                said = self._host.run(own_logs.command(each, self._since), check=False)
                if said.code == 0:
                    self._told[each.id] = (each, said.stdout)

    def _fetch_own_logs(self, folder: Path) -> None:
        """What they printed of requests, as the application's logs."""
        self._hear(self._engine.containers(self._settings.app))
        field, service = self._settings.verify.application, self._settings.public.service
        for each, said in self._told.values():
            (folder / "application").mkdir(exist_ok=True)
            lines = own_logs.converted(said.splitlines(), field, each, service)
            path = folder / "application" / own_logs.name_of(each)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _fetch_errors(self, folder: Path) -> None:
        """What the proxy said of errors since the run began: only there is a cut answer told."""
        proxy = self._service(self._settings.proxy)
        said = self._host.run(error_log.command(self._settings, proxy, self._since)).stdout
        told = error_log.lines(self._settings, said)
        (folder / "proxy-errors.jsonl").write_text("".join(f"{line}\n" for line in told))

    def _ask(self, database: str, query: str) -> str:
        return self._engine.exec(database, ("sh", "-c", PSQL, query.format(since=self._since)))

    def _service(self, name: str) -> str:
        """The container of a service that both colors share."""
        beside = (self._settings.proxy_project,) if self._settings.adopted else ()
        for item in self._engine.containers(self._settings.app, beside=beside):
            if item.color is None and item.service == name:
                return item.id
        raise HostError(f"there is no {name}", where=self._host.name)


def _note(folder: Path, error: HostError) -> None:
    """Keep why a witness is missing."""
    with (folder / "missing.txt").open("a", encoding="utf-8") as reasons:
        reasons.write(f"{error.what}\n")


def _remove(witness: Path) -> None:
    """Remove a log, or every file of a folder of logs."""
    for path in witness.iterdir() if witness.is_dir() else [witness]:
        path.unlink(missing_ok=True)


def _completed(path: Path) -> bool:
    """Whether the log came to its end; takes the line that says so away."""
    mark = f"\n{COMPLETE}".encode()
    with path.open("r+b") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - len(mark)))
        if log.read() != mark:
            return False
        log.truncate(size - len(mark))
    return True


def _without_torn_line(path: Path) -> None:
    """Take away what follows the last newline: a line that was being written."""
    with path.open("r+b") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - LONGEST_LINE))
        tail = log.read()
        log.truncate(size - len(tail) + tail.rfind(b"\n") + 1)


def _target(path: str) -> str:
    """Where a log of the host goes in the run's folder; "" for one that is no witness."""
    name = PurePosixPath(path).name
    if path == JOURNAL:
        return path
    if name.startswith("access") and ".json" in name:  # also those that Caddy rolled
        return PROXY
    return f"application/{name}" if name.startswith("app-") else ""
