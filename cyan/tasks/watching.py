"""`inv deploy --watch`: a page on 127.0.0.1 that draws a deploy while it happens.

By the proxy's log and its counts, which another connection to the host reads twice a second: no
request is added. With several hosts it is the first one's log, and everybody's steps.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan.errors import CyanError, HostError
from cyan.proof.live import FAILED, Bins, Feed, served
from cyan.proof.page import page
from cyan.proxies import access_log
from cyan.proxies.container import running
from cyan.proxies.in_flight import Gauge
from cyan.rollout.baking import SERVER_ERROR
from cyan.rollout.baking import served as served_of
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from cyan.rollout.job import Reporter
    from cyan.rollout.planned import Step
    from cyan.sections import HostSettings
    from cyan.settings import Settings

OFTEN = 0.5  # seconds between two readings
FIRST = 2**16  # bytes of the log that the first one goes back


class Answers:
    """Half seconds of what the proxy's log tells, from an instant on: wall seconds of the host."""

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._bins = Bins()
        self.count = self.failed = 0

    @property
    def longest_ms(self) -> float:
        """The longest time without a good answer."""
        return self._bins.longest_ms

    def more(self, lines: Iterable[str]) -> list[dict[str, Any]]:
        """Lines of the log; the half seconds that they changed."""
        for told in filter(None, map(served_of, lines)):
            ended = told.started + told.duration
            if ended < self._begun or not told.status:  # or nobody waited for it
                continue
            kind = FAILED if told.status >= SERVER_ERROR else told.color or "answers"
            self.count += 1
            self.failed += kind == FAILED
            self._bins.add(round((ended - self._begun) * 1e9), kind, told.duration * 1000)
        return self._bins.changed()


@dataclass
class Watching:
    """A page that watches since `begun`, by our monotonic clock; `live` is how the run ended."""

    feed: Feed
    begun: float
    live: str = ""

    def told(self, shown: Reporter, host: str = "") -> Reporter:
        """Who is `shown` how a run goes on, and the page as well; of a `host` of several."""
        return _Told(shown, self.feed, self.begun, host)


@dataclass(frozen=True)
class _Told:
    """Who is told how a run goes on, and tells the page."""

    shown: Reporter
    feed: Feed
    begun: float
    host: str

    def note(self, text: str) -> None:
        self.shown.note(text)

    def step(self, step: Step) -> None:
        self.shown.step(step)
        self.feed.tell(says=self._named(f"{step.kind}: {step.says}"))

    def done(self, step: Step, seconds: float, says: str) -> None:
        self.shown.done(step, seconds, says)
        self._ended(step, seconds, says or step.says, well=True)

    def failed(self, step: Step, seconds: float) -> None:
        self.shown.failed(step, seconds)
        self._ended(step, seconds, step.says, well=False)

    def bar(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        return self.shown.bar(label, total)

    def _ended(self, step: Step, seconds: float, says: str, *, well: bool) -> None:
        at, text = time.monotonic() - self.begun, self._named(says)
        self.feed.tell(step=str(step.kind), well=well, took=seconds, text=text, at=at)

    def _named(self, text: str) -> str:
        return f"{self.host}: {text}" if self.host else text


@contextmanager
def watching(
    settings: Settings, machine: HostSettings, title: str, say: Callable[[str], None]
) -> Iterator[Watching]:
    """Serve the page while the block runs; `say` hears its address."""
    feed, stop, begun = Feed(), threading.Event(), time.monotonic()
    text = page("live.html.j2", figures={"acts": [title]}, deploy=title).encode()
    reader = threading.Thread(target=_read, args=(settings, machine, feed, stop), daemon=True)
    mine = Watching(feed, begun)
    with served(feed, text, say, over=f"the {title} has ended; inv status says how things stand"):
        feed.tell(begins=0, name=title, at=0)
        reader.start()
        try:
            yield mine
        except CyanError as error:
            feed.tell(ended=0, code=error.exit_code, live=error.serving or "see inv status")
            raise
        else:
            feed.tell(ended=0, code=0, live=mine.live)
        finally:
            stop.set()
            reader.join(2 * OFTEN)


def _read(settings: Settings, machine: HostSettings, feed: Feed, stop: threading.Event) -> None:
    """Tell what the proxy's log and counts say, until told to stop; why not, where they do not."""
    try:
        with Host(machine) as host:
            asked = f"date +%s.%N; echo {running(settings.proxy_project, settings.proxy)}"
            now, container = (*host.run(asked).stdout.split(), "")[:2]
            answers = Answers(float(now))
            log = access_log.AccessLog(
                host, str(settings.directory), FIRST, container, access_log.log_of(settings)
            )
            counts = _Counts(host, container, settings)
            while not stop.wait(OFTEN):
                if bins := answers.more(log.more()):
                    feed.tell(bins=bins)
                pace = {"sent": answers.count, "failed": answers.failed}
                flight = counts.in_flight()
                feed.tell(pace=pace | {"in_flight": flight}, gap=round(answers.longest_ms, 1))
            counts.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no matter of the deploy's
        feed.tell(says=f"the proxy's log is not shown: {getattr(error, 'what', error)}")


class _Counts:
    """How many requests each color has under way, asked through one channel while that lasts."""

    def __init__(self, host: Host, container: str, settings: Settings) -> None:
        self._asked = host, container, settings
        self._gauge: Gauge | None = None

    def in_flight(self) -> str:
        """In words; that nobody knows where the proxy does not say: another took its place."""
        with suppress(HostError):
            self._gauge = self._gauge or Gauge(*self._asked)
            counts = self._gauge.read()
            return f"{counts.blue} blue, {counts.green} green"
        self.close()
        return "not known"

    def close(self) -> None:
        """End the channel."""
        if self._gauge:
            self._gauge.close()
        self._gauge = None
