"""`inv doctor`: everything that can be checked at rest, and how it is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cyan.rollout.drift import drift
from cyan.rollout.facts import gather
from cyan.rollout.observation import look
from cyan.rollout.preflight import Check, Level, checks
from cyan.world.engine import Engine
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cyan.settings import HostSettings, Settings

STYLE = {Level.OK: "green", Level.WARN: "yellow", Level.REFUSE: "red"}


def examine(settings: Settings, machine: HostSettings) -> tuple[Check, ...]:
    """Look at a host, change nothing. Raises HostError where it cannot be looked at."""
    with Host(machine) as host:
        engine = Engine(host)
        world = look(host, engine, settings)
        found = checks(world, gather(host, engine, settings, world), settings)
        return (*found, *(Check("drift", Level.WARN, line) for line in drift(world, settings)))


def show(console: Console, name: str, found: Sequence[Check]) -> bool:
    """Print the checks of host `name`; whether a deploy would go ahead."""
    console.print(f"[bold]{name}[/bold]")
    table = Table(box=None, pad_edge=False, show_header=False)
    for item in found:
        word = f"[{STYLE[item.level]}]{item.level}[/]"
        table.add_row(word, item.name, escape(item.says))
        if item.level is not Level.OK and item.todo:
            table.add_row("", "", f"[dim]{escape(item.todo)}[/dim]")
    console.print(table)
    return all(item.level is not Level.REFUSE for item in found)
