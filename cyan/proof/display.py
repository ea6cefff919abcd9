"""What a person sees while a run goes on: a live table, or plain lines without a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

    from cyan.proof.history import Performed
    from cyan.proof.load import Pace
    from cyan.proof.scenario import Act


class Display(Protocol):
    """Told what happens, in order."""

    def says(self, text: str) -> None:
        """A phase of the run begins."""

    def begins(self, number: int) -> None:
        """An act begins."""

    def ended(self, number: int, performed: Performed) -> None:
        """An act ended."""

    def tick(self, pace: Pace) -> None:
        """Time passed."""


class Silent:
    """Shows nothing."""

    def says(self, text: str) -> None:
        """Nothing."""

    def begins(self, number: int) -> None:
        """Nothing."""

    def ended(self, number: int, performed: Performed) -> None:
        """Nothing."""

    def tick(self, pace: Pace) -> None:
        """Nothing."""


class Terminal:
    """A table of the acts that fills as they are done, and the load's pace below it.

    A context manager. Where the console is no terminal it prints a line per event instead.
    """

    def __init__(self, acts: tuple[Act, ...], console: Console | None = None) -> None:
        self._acts = acts
        self._console = console or Console(highlight=False)
        self._done: dict[int, Performed] = {}
        self._current, self._since, self._phase = -1, time.monotonic(), "getting ready"
        self._begun = time.monotonic()
        self._pace: Pace | None = None
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.update(self._table())
            self._live.stop()
            self._console.print(self._table())

    def says(self, text: str) -> None:
        """A phase of the run begins."""
        self._phase, self._current = text, -1
        if not self._console.is_terminal:
            self._console.print(f"{self._elapsed():6.1f} s  {text}")
        self._refresh()

    def begins(self, number: int) -> None:
        """An act begins."""
        self._current, self._since = number, time.monotonic()
        self._phase = self._acts[number].name
        if not self._console.is_terminal:
            self._console.print(f"{self._elapsed():6.1f} s  act {number + 1}: {self._phase}")
        self._refresh()

    def ended(self, number: int, performed: Performed) -> None:
        """An act ended."""
        self._done[number], self._current = performed, -1
        if not self._console.is_terminal:
            self._console.print(f"{self._elapsed():6.1f} s    {_outcome(performed)}")
        self._refresh()

    def tick(self, pace: Pace) -> None:
        """Time passed."""
        self._pace = pace
        self._refresh()

    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    def _refresh(self) -> None:
        if self._console.is_terminal:
            self._live.update(self._table())

    def _table(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for number, act in enumerate(self._acts):
            table.add_row(*self._row(number, act))
        return Group(table, self._below())

    def _row(self, number: int, act: Act) -> tuple[Text | Spinner, ...]:
        name = Text(f"{number + 1}. {act.name}")
        if number in self._done:
            performed = self._done[number]
            style = "green" if as_wanted(performed) else "red"
            mark = Text("✓" if as_wanted(performed) else "✗", style=style)
            return mark, name, Text(_outcome(performed), style="dim")
        if number == self._current:
            spent = time.monotonic() - self._since
            return Spinner("dots", style="cyan"), name, Text(f"{spent:.0f} s", style="cyan")
        return Text(" "), Text(name.plain, style="dim"), Text("")

    def _below(self) -> Text:
        head = f"\n{self._elapsed():.0f} s · {self._phase}"
        if self._pace is None:
            return Text(head, style="dim")
        pace = self._pace
        text = Text(f"{head} · {pace.sent:,} sent · {pace.in_flight} in flight · ", style="dim")
        text.append(f"{pace.failed:,} failed", style="red bold" if pace.failed else "green")
        return text.append(f" · lag p99 {pace.lag_p99_ms:.1f} ms")


def as_wanted(performed: Performed) -> bool:
    """Whether the command exited as it should; the verdict looks at much more."""
    return not performed.error and performed.exit_code == (1 if performed.act.fails else 0)


def _outcome(performed: Performed) -> str:
    if performed.error:
        return performed.error
    seconds = (performed.ended_ns - performed.begun_ns) / 1e9
    before, after = performed.before, performed.after
    failing = " as it must" if performed.act.fails and performed.exit_code == 1 else ""
    return (
        f"{seconds:.1f} s · exit {performed.exit_code}{failing} · "
        f"{before.live or 'nothing'} {before.version} → {after.live or 'nothing'} {after.version}"
    )
