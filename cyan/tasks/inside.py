"""Commands that go into the containers of a color."""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports; flags are arguments
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyan.cli import command, settings
from cyan.errors import UsageError
from cyan.names import Color
from cyan.tasks.common import HOST, hosts, visits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke import Context

    from cyan.sections import HostSettings

COLOR = "blue or green (the live one unless given)"
SERVICE = "one service, also a shared one (the public one unless given)"


@command(
    help={
        "color": COLOR,
        "service": "one service, also a shared one (all of the color's unless given)",
        "tail": "how many lines of each container",
        "follow": "and what comes, until Ctrl-C; of one host",
        "host": HOST,
    }
)
def logs(
    c: Context,
    color: str = "",
    service: str = "",
    tail: int = 50,
    follow: bool = False,
    host: str = "",
) -> None:
    """Show the last log lines of a color's containers."""
    from cyan.rollout import inside
    from cyan.rollout.status import logs as read

    wanted, color = settings(c), _color(color)
    machines = hosts(wanted, host)
    if follow:
        inside.follow(wanted, _only(machines), color, service, tail, _say)
        return
    for machine, past_errors in visits(machines):
        with past_errors:
            for name, text in read(wanted, machine, color, service, tail):
                sys.stdout.write(f"--- {name} on {machine.name}\n{text}")


@command(
    name="exec",
    positional=["command"],
    help={
        "command": "what a shell in the container is to do",
        "color": COLOR,
        "service": SERVICE,
        "host": HOST,
    },
)
def execute(c: Context, command: str, color: str = "", service: str = "", host: str = "") -> None:
    """Run a command in a container of a color: inv exec 'python manage.py check'."""
    from cyan.rollout.inside import run

    wanted, color = settings(c), _color(color)
    worst = 0
    for machine, past_errors in visits(hosts(wanted, host)):
        with past_errors:
            done = run(wanted, machine, color, service, command)
            sys.stdout.write(done.stdout)
            sys.stderr.write(done.stderr)
            worst = max(worst, done.code)
    sys.exit(worst)


@command(
    help={
        "command": "in the place of a shell",
        "color": COLOR,
        "service": SERVICE,
        "host": HOST,
    },
)
def console(
    c: Context, command: str = "", color: str = "", service: str = "", host: str = ""
) -> None:
    """Open a shell, or another command, in a container of a color, on this terminal."""
    from cyan.rollout.inside import attach

    wanted, color = settings(c), _color(color)
    if not sys.stdin.isatty():
        raise UsageError("this is no terminal", todo="inv exec 'COMMAND' needs none")
    sys.exit(attach(wanted, _only(hosts(wanted, host)), color, service, command))


def _color(name: str) -> str:
    if name and name not in tuple(Color):
        raise UsageError(f"{name!r} is no color", todo="blue or green")
    return name


def _only(machines: Sequence[HostSettings]) -> HostSettings:
    if len(machines) > 1:
        raise UsageError(
            "this is of one host at a time",
            todo=f"--host, one of: {', '.join(each.address for each in machines)}",
        )
    return machines[0]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
