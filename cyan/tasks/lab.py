"""Commands of the throwaway host on this machine."""

# ruff: noqa: PLC0415, FBT001, FBT002 - late imports; flags are arguments
from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.cli import command, settings
from cyan.errors import UsageError
from cyan.names import EngineKind

if TYPE_CHECKING:
    from invoke import Context

MOST = 9  # hosts of a lab: each is an engine of its own


@command(
    needs="proof",
    name="up",
    help={
        "hosts": "how many hosts it has: this machine, and containers with sshd and engine; of a "
        "swarm how many of its nodes are managers, each with a proxy",
        "swarm": "how many nodes its swarm has, where cyan.engine is swarm; 3 unless given",
    },
)
def lab_up(c: Context, hosts: int = 0, swarm: int = 0) -> None:
    """Start the throwaway host: sshd on 127.0.0.1, the database and the proxy."""
    from cyan.lab.lab import up
    from cyan.terminal import console

    for flag, count in (("hosts", hosts), ("swarm", swarm)):
        if not 0 <= count <= MOST:
            raise UsageError(f"a lab of {count} is not made", todo=f"--{flag} 1 to {MOST}")
    wanted = settings(c)
    if wanted.engine is not EngineKind.SWARM and swarm:
        raise UsageError("the lab is no swarm", todo="cyan.engine: swarm; cyan init --engine swarm")
    up(wanted, console.print, hosts, swarm)


@command(needs="proof", name="down", help={"volumes": "remove the database's data too"})
def lab_down(c: Context, volumes: bool = False) -> None:
    """Remove the lab's containers and end its sshd."""
    from cyan.lab.lab import down
    from cyan.terminal import console

    down(settings(c), console.print, volumes=volumes)


@command(needs="proof", name="status")
def lab_status(c: Context) -> None:
    """Show what of the lab runs."""
    from cyan.lab.lab import status as look
    from cyan.terminal import console

    found = look(settings(c))
    console.print(f"sshd        {f'process {found.sshd}' if found.sshd else 'does not run'}")
    console.print(f"engine      {found.engine}")
    console.print(f"containers  {', '.join(found.containers) or 'none'}")
    if found.foreign:
        console.print(f"[yellow]these belong to {found.foreign}; inv lab.up replaces them[/yellow]")
