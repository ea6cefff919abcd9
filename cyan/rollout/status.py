"""`inv status`, `inv history` and `inv logs`: what the world holds, for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.table import Table

from cyan.engines.docker import Engine
from cyan.errors import UsageError
from cyan.hosts.look import Observation, look
from cyan.journal.entries import Entry, Event
from cyan.names import Color
from cyan.releases.contents import hiding
from cyan.rollout.drift import drift
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cyan.engines.containers import Container
    from cyan.sections import HostSettings
    from cyan.settings import Settings

RECENT = 5
SHOWN = 200  # characters of an error in a line


def observe(settings: Settings, machine: HostSettings) -> Observation:
    """One look at a host. Raises HostError."""
    with Host(machine) as host:
        return look(host, Engine(host), settings.at(machine))


def show(console: Console, world: Observation, settings: Settings, name: str) -> None:
    """Print colors, health, requests in flight, drift and the last deploys of host `name`."""
    console.print(f"[bold]{settings.app}[/bold] on {name}: live is [bold]{world.serving}[/bold]")
    if world.owner:
        console.print(f"[yellow]locked[/yellow] by {world.owner.described}")
    console.print(_colors(world, settings))
    for line in drift(world, settings):
        console.print(f"[yellow]drift[/yellow]  {line}")
    runs = recent(world.journal, RECENT)
    if runs:
        console.print("last runs")
    for line in runs:
        console.print(f"  {line}")


def recent(journal: Sequence[Entry], count: int) -> list[str]:
    """The last runs, newest first, a line each."""
    runs: dict[str, list[Entry]] = {}
    for entry in journal:
        runs.setdefault(entry.run, []).append(entry)
    return [_run(entries) for entries in reversed(list(runs.values())[-count:])]


def steps(journal: Sequence[Entry], count: int) -> list[str]:
    """The journal's last `count` lines, readable, oldest first."""
    return [_line(entry) for entry in journal[-count:]]


def logs(
    settings: Settings, machine: HostSettings, color: str, service: str, tail: int
) -> list[tuple[str, str]]:
    """The last lines of a color's containers, by name, without secrets; color "" is the live one.

    Raises UsageError where there is no such container.
    """
    with Host(machine) as host:
        engine = Engine(host)
        world = look(host, engine, settings)
        found = meant(world, color, service, machine.name)
        live = world.release(world.live)
        names = {item.release or live for item in found}
        hide = {name: hiding(host, settings, name) for name in names}
        return [
            (item.name, hide[item.release or live](engine.logs(item.id, tail))) for item in found
        ]


def meant(world: Observation, color: str, service: str, host: str) -> list[Container]:
    """The containers of one color, or of one service of it, or a shared one; "" is the live color.

    Raises UsageError where there is none.
    """
    wanted = Color(color) if color else world.live
    found = [
        item
        for item in (*world.of(wanted), *world.of(None))
        if (item.service == service if service else item.color is wanted)
    ]
    if not found:
        raise UsageError(
            f"no container of service {service or 'any'} in {wanted or 'any color'}",
            where=host,
            todo="see what there is: inv status",
        )
    return found


def _colors(world: Observation, settings: Settings) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("color", "", "version", "service", "health", "since", "in flight"):
        table.add_column(heading)
    for color in Color:
        state = "live" if color is world.live else "standby"
        flight = str(world.in_flight.of(color)) if world.in_flight else "?"
        containers = world.of(color)
        if not containers:
            table.add_row(color, state, "-", "-", "-", "-", flight)
        for position, item in enumerate(containers):
            first = position == 0
            table.add_row(
                f"[{color}]{color}[/]" if first else "",
                (f"[bold]{state}[/]" if color is world.live else state) if first else "",
                item.version if first or item.version != containers[0].version else "",
                f"{item.service} [dim]on {item.node}[/]" if item.node else item.service,
                _health(item.up, (item.health if item.state == "running" else "") or item.state),
                item.started_at[:19].replace("T", " "),
                flight if first else "",
            )
    own = settings.adopted.replaced if settings.adopted else ()  # what the colors took the place of
    for item in world.of(None):
        since = item.started_at[:19].replace("T", " ")
        health = _health(item.up, item.health or item.state)
        whose = "own stack" if item.service in own else "shared"
        table.add_row("", whose, "", item.service, health, since, "")
    return table


def _health(up: bool, word: str) -> str:  # noqa: FBT001 - one word, one state
    return f"[green]{word}[/]" if up else f"[red]{word}[/]"


def _run(entries: Sequence[Entry]) -> str:
    steps = [entry for entry in entries if entry.event is not Event.NOTE]
    if not steps:
        return f"{_when(entries[0].at)}  {entries[0].what}: {entries[0].detail.get('text', '')}"
    first, last = steps[0], steps[-1]
    if last.event is Event.END:
        error = " ".join(str(last.detail.get("error", "")).split())[:SHOWN]  # one line a run
        word = "ok" if last.detail.get("ok") else f"failed: {error}"
        took = f", {last.at - first.at:.1f} s"
    else:
        word, took = f"not ended, last at {last.step or last.event}", ""
    return f"{_when(first.at)}  {first.what} {first.version} to {first.color}{took}: {word}"


def _line(entry: Entry) -> str:
    detail = entry.detail.get("error") or entry.detail.get("text", "")
    words = (entry.what, entry.event, entry.step, entry.color, entry.version, str(detail))
    return f"{_when(entry.at)}  {' '.join(word for word in words if word)}"


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
