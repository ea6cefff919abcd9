"""`--plan`: the steps and exact commands of a run that is not done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from cyan.engines.docker import Engine
from cyan.hosts.look import look
from cyan.rollout.preparing import prepare
from cyan.world.host import Host

if TYPE_CHECKING:
    from rich.console import Console

    from cyan.hosts.look import Observation
    from cyan.rollout.planned import Plan, Request
    from cyan.sections import HostSettings
    from cyan.settings import Settings


def made_now(
    settings: Settings, machine: HostSettings, request: Request
) -> tuple[Plan, Observation]:
    """What `request` would do on a host now, and the look at it that this comes from."""
    with Host(machine) as host:
        settings = settings.at(machine)
        world = look(host, Engine(host), settings)
        return prepare(host, settings, world, request), world


def show_plan(
    console: Console, settings: Settings, machine: HostSettings, request: Request
) -> None:
    """Look at the host, and print what `request` would do there now."""
    plan, world = made_now(settings, machine, request)
    what = f"[bold]{plan.run.what} of {plan.target}[/bold] on {machine.name}"
    console.print(f"{what}; live now: {world.serving}")
    if plan.run.why:
        console.print(plan.run.why, markup=False)
    for number, step in enumerate(plan.steps, start=1):
        console.print(f"{number:>2}. [bold]{step.kind:<10}[/bold] {escape(step.says)}")
        for path, text in step.files:
            console.print(f"      [dim]writes {escape(path)} ({len(text.encode())} bytes)[/dim]")
        for command in step.commands:
            console.print(f"      [dim]$ {escape(command)}[/dim]")
