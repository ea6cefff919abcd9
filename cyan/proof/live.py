"""`--watch`: a page on 127.0.0.1 that draws a run while it happens, by server-sent events.

What it draws are the client's own rows as they are written, the acts, and the steps that a deploy
prints. It judges nothing: that is done once all witnesses are there.
"""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cyan.proof.display import Terminal
from cyan.proof.page import page
from cyan.proof.requestlog import INTENT_COLUMNS, LASTING, PLANTED, RESULT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from cyan.proof.display import Display
    from cyan.proof.history import Performed
    from cyan.proof.load import Pace
    from cyan.proof.scenario import Act

BIN_NS = 500_000_000
FAILED = "failed"
OFTEN = 0.4  # seconds between two readings of what was written
STEP = re.compile(r"^([✓✗]) ([\w-]+) +([\d.]+) s +(.*)$")
"""A step of a deploy, as it prints it."""

HERE = ("127.0.0.1", "localhost")
INTENT = {name: place for place, name in enumerate(INTENT_COLUMNS)}
RESULT = {name: place for place, name in enumerate(RESULT_COLUMNS)}


class Feed:
    """What has happened, as events that each page is told from the first on."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._more = threading.Condition()

    def tell(self, **event: Any) -> None:  # noqa: ANN401 - JSON
        """Add an event."""
        with self._more:
            self._told.append(json.dumps(event))
            self._more.notify_all()

    def after(self, place: int, within: float) -> list[str]:
        """The events from `place` on, once there are any or `within` seconds have passed."""
        with self._more:
            if len(self._told) <= place:
                self._more.wait(within)
            return self._told[place:]


class _Tail:
    """A file's lines as they are written."""

    def __init__(self, path: Path) -> None:
        self._path, self._place, self._rest = path, 0, ""

    def lines(self) -> list[str]:
        """Those that are new and whole."""
        with suppress(OSError), self._path.open(encoding="utf-8", errors="replace") as file:
            file.seek(self._place)
            text = self._rest + file.read()
            self._place = file.tell()
            *whole, self._rest = text.split("\n")
            return whole
        return []


class Bins:
    """Half seconds of answers: by color, what failed, how long they took, the longest gap."""

    def __init__(self) -> None:
        self._took: dict[int, list[float]] = {}
        self._counts: dict[int, dict[str, int]] = {}
        self._good: list[int] = []
        self._changed: set[int] = set()
        self._last_ns = 0
        self.longest_ms = 0.0

    def add(self, end_ns: int, kind: str, took_ms: float | None) -> None:
        """An answer that ended so long after the begin; None where it was to last."""
        place = max(0, end_ns) // BIN_NS
        counts = self._counts.setdefault(place, {})
        counts[kind] = counts.get(kind, 0) + 1
        self._changed.add(place)
        if kind != FAILED:
            self._good.append(end_ns)
            if took_ms is not None:
                self._took.setdefault(place, []).append(took_ms)

    def changed(self) -> list[dict[str, Any]]:
        """Those that are not as they were when this was asked last."""
        for end in sorted(self._good):
            if self._last_ns:
                self.longest_ms = max(self.longest_ms, (end - self._last_ns) / 1e6)
            self._last_ns = max(self._last_ns, end)
        told = [self._bin(place) for place in sorted(self._changed)]
        self._good, self._changed = [], set()
        return told

    def _bin(self, place: int) -> dict[str, Any]:
        took = sorted(self._took.get(place, ()))
        p99 = round(took[int(0.99 * (len(took) - 1))], 1) if took else None
        return {"at": place * BIN_NS / 1e9, "p99": p99, **self._counts[place]}


class Rates:
    """The client's own rows, as half seconds of answers."""

    def __init__(self) -> None:
        self._sent: dict[str, int] = {}
        self._bins = Bins()
        self.begun_ns = 0

    @property
    def longest_ms(self) -> float:
        """The longest time without a good answer."""
        return self._bins.longest_ms

    def sent(self, line: str) -> None:
        """A row of intents: what its request's latency counts from."""
        row = line.split("\t")
        if len(row) != len(INTENT) or row[INTENT["journey"]] == PLANTED:
            return
        lasting = row[INTENT["journey"]] in LASTING
        self._sent[row[0]] = 0 if lasting else int(row[INTENT["due_ns"]])
        self.begun_ns = self.begun_ns or int(row[INTENT["due_ns"]])

    def ended(self, lines: list[str]) -> list[dict[str, Any]]:
        """Rows of results; the half seconds that they changed."""
        for line in lines:
            row = line.split("\t")
            if len(row) != len(RESULT) or (due := self._sent.pop(row[0], None)) is None:
                continue
            end, failed = int(row[RESULT["end_ns"]]), bool(row[RESULT["failure"]])
            kind = FAILED if failed else row[RESULT["color"]] or "answers"
            self._bins.add(end - self.begun_ns, kind, (end - due) / 1e6 if due else None)
        return self._bins.changed()


class Watched:
    """A display that another one is told of as well, and the pages that look at it."""

    def __init__(
        self, shown: Display, feed: Feed, acts: Sequence[Act], folders: Sequence[Path]
    ) -> None:
        self._shown, self._feed, self._acts, self._folders = shown, feed, acts, folders
        self._rates, self._begun, self._looked = Rates(), time.monotonic(), 0.0
        self._tails: dict[Path, _Tail] = {}
        self._act = -1

    def says(self, text: str) -> None:
        """A phase of the run begins."""
        self._shown.says(text)
        self._feed.tell(says=text)

    def begins(self, number: int) -> None:
        """An act begins."""
        self._shown.begins(number)
        self._act = number
        self._feed.tell(begins=number, name=self._acts[number].name, at=self._now())

    def ended(self, number: int, performed: Performed) -> None:
        """An act ended."""
        self._shown.ended(number, performed)
        self._look()
        self._feed.tell(
            ended=number,
            at=self._now(),
            code=performed.exit_code,
            live=f"{performed.after.live or 'nothing'} {performed.after.version}".strip(),
        )

    def tick(self, pace: Pace) -> None:
        """Time passed."""
        self._shown.tick(pace)
        if time.monotonic() - self._looked >= OFTEN:
            self._look()
            self._feed.tell(pace=asdict(pace), gap=round(self._rates.longest_ms, 1))

    def _now(self) -> float:
        """Seconds since the load began; 0 before."""
        begun = self._rates.begun_ns
        return max(0.0, (time.monotonic_ns() - begun) / 1e9) if begun else 0.0

    def _look(self) -> None:
        self._looked = time.monotonic()
        for folder in (each / "client" for each in self._folders):
            results = [*self._new(folder, "results-*.tsv")]  # first: each has its intent by then
            for line in self._new(folder, "intents-*.tsv"):
                self._rates.sent(line)
            if bins := self._rates.ended(results):
                self._feed.tell(bins=bins)
        for line in self._new(self._folders[0] / "acts", f"{self._act + 1}-*.log"):
            if step := STEP.match(line):
                self._feed.tell(
                    step=step[2], well=step[1] == "✓", took=float(step[3]), text=step[4],
                    at=self._now(),
                )  # fmt: skip

    def _new(self, folder: Path, names: str) -> Iterator[str]:
        for path in sorted(folder.glob(names)):
            yield from self._tails.setdefault(path, _Tail(path)).lines()


@contextmanager
def shown(
    acts: tuple[Act, ...], console: Console, *folders: Path, watch: bool
) -> Iterator[Display]:
    """The terminal's display of a run in `folders`, and with `watch` the page as well."""
    with Terminal(acts, console) as display:
        if not watch:
            yield display
            return
        with watched(display, acts, folders, console.print) as both:
            yield both


@contextmanager
def watched(
    shown: Display,
    acts: Sequence[Act],
    folders: Sequence[Path],
    say: Callable[[str], None],
    *,
    port: int = 0,
) -> Iterator[Watched]:
    """Serve the page while a run goes on, on a free port of the loopback unless given one.

    `folders` are those of the run's hosts, the first one that in which the acts' output lies. `say`
    hears the page's address.
    """
    feed = Feed()
    text = page("live.html.j2", figures={"acts": [act.name for act in acts]}).encode()
    over = f"the run has ended; its report: {folders[0] / 'report.html'}"
    with served(feed, text, say, over=over, port=port):
        yield Watched(shown, feed, acts, folders)


@contextmanager
def served(
    feed: Feed, text: bytes, say: Callable[[str], None], *, over: str, port: int = 0
) -> Iterator[None]:
    """Serve a page's `text`, and what it is told, while the block runs; then it is told `over`."""
    server = ThreadingHTTPServer((HERE[0], port), _handler(feed, text))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(f"watch it: http://{HERE[0]}:{server.server_port}/")
    try:
        yield
    finally:
        feed.tell(done=over)
        time.sleep(OFTEN)  # until the pages have been told
        server.shutdown()
        server.server_close()


def _handler(feed: Feed, text: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET / is the page, GET /events what happened and what happens."""

        def do_GET(self) -> None:
            if self.headers.get("Host", "").partition(":")[0] not in HERE:
                self.send_error(421)  # another site's name that leads here: none of its business
            elif self.path == "/":
                self._answer("text/html; charset=utf-8", len(text))
                self.wfile.write(text)
            elif self.path == "/events":
                self._answer("text/event-stream")
                with suppress(OSError):  # whoever looked is gone
                    self._events()
            else:
                self.send_error(404)

        def _answer(self, kind: str, length: int | None = None) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()

        def _events(self) -> None:
            """What is told: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
            place = 0
            while True:
                told = feed.after(place, 5)
                place += len(told)
                lines = "".join(f"data: {each}\n\n" for each in told) or ": still here\n\n"
                self.wfile.write(lines.encode())
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Nothing: the terminal is the run's."""

    return Handler
