"""What an operator sees: the progress of a run, and errors."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.status import Status

    from cyan.errors import CyanError
    from cyan.rollout.planned import Step

WIDTH = 11

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Progress:
    """Prints each step as it ends, with its time; on a terminal also the one under way.

    Of one of several `hosts` each line names it, and only what has ended is shown.
    """

    def __init__(self, host: str = "", hosts: Iterable[str] = ()) -> None:
        self._status: Status | None = None
        width = max(map(len, hosts), default=0)
        self._host = f"{escape(host):<{width}}  " if width else ""
        self._live = console.is_terminal and not width

    def note(self, text: str) -> None:
        """A line of its own."""
        self._stop()
        console.print(f"  {self._host}[dim]{escape(text)}[/dim]")

    def step(self, step: Step) -> None:
        """A step begins."""
        self._stop()
        if self._live:
            self._status = console.status(f"{step.kind}: {escape(step.says)}")
            self._status.start()

    def done(self, step: Step, seconds: float, says: str) -> None:
        """A step ended well."""
        self._stop()
        self._line("[green]✓[/green]", step, seconds, says or step.says)

    def failed(self, step: Step, seconds: float) -> None:
        """A step failed."""
        self._stop()
        self._line("[red]✗[/red]", step, seconds, step.says)

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A progress bar for a block, which calls what it is given with bytes as they go.

        `total` may be None, where nobody knows it.
        """
        self._stop()
        if not self._live:
            yield lambda _size: None
            return
        from rich import progress  # noqa: PLC0415 - slow to import

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=console, transient=True) as shown:
            task = shown.add_task(escape(label), total=total)
            yield lambda size: shown.advance(task, size)

    def _line(self, mark: str, step: Step, seconds: float, says: str) -> None:
        name = f"{step.kind:<{WIDTH}}"
        console.print(f"{mark} {self._host}{name}[dim]{seconds:6.2f} s[/dim]  {escape(says)}")
        sys.stdout.flush()

    def _stop(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


def show_error(error: CyanError) -> None:
    """Print an error: what, where, what serves, what to do, and the evidence last."""
    errors.print(f"[bold red]error:[/bold red] {escape(error.what)}")
    labelled = (("where", error.where), ("serving", error.serving), ("next", error.todo))
    for name, text in labelled:
        if text:
            errors.print(f"  [bold]{name + ':':<9}[/bold]{escape(text)}")
    if error.evidence:
        errors.print(f"[dim]{escape(error.evidence)}[/dim]")
