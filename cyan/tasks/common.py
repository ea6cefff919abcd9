"""What the commands share: their flags' help, their hosts, and what is kept of a failure."""

# ruff: noqa: PLC0415 - late imports; flags are arguments
from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from cyan.errors import CyanError, UsageError
from cyan.names import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cyan.sections import HostSettings
    from cyan.settings import Settings

HOST = "only this host of cyan.hosts, by its address"
WITHOUT = "leave this host out, which the next deploy takes along again; may be given often"
JSON = "print it as JSON, for programs"
LOCK_WAIT = "how long to wait for a lock that another holds, such as 10m (not at all unless given)"


def hosts(wanted: Settings, only: str, without: Sequence[str] = ()) -> tuple[HostSettings, ...]:
    """The hosts of the settings, or the one that is named, but those that are left out.

    Raises UsageError for an unknown one, and where none is left.
    """
    names = {name for item in wanted.hosts for name in (item.address, item.name)}
    for name in (*([only] if only else []), *without):
        if name not in names:
            known = ", ".join(item.address for item in wanted.hosts)
            raise UsageError(f"{name!r} is none of cyan.hosts", todo=f"one of: {known}")
    found = tuple(
        item
        for item in wanted.hosts
        if only in ("", item.address, item.name) and not {item.address, item.name} & {*without}
    )
    if not found:
        raise UsageError("no host is left", todo="leave out fewer: --without")
    return found


def first_last(wanted: Settings, machines: Sequence[HostSettings]) -> list[HostSettings]:
    """The hosts, in the end the one that removes what all of them share: of a swarm the first."""
    return sorted(machines, key=wanted.leads)


def visits(
    machines: Sequence[HostSettings],
) -> Iterator[tuple[HostSettings, AbstractContextManager[None]]]:
    """Every host, each with what is put around what is done there.

    That tells an error at once and lets the next host come; at the end CyanError is raised where
    there was one. Of one host only, its own error is raised.
    """
    faults: list[CyanError] = []
    for machine in machines:
        yield machine, nullcontext() if len(machines) == 1 else _told(machine, faults)
    if faults:
        kind = UsageError if all(isinstance(each, UsageError) for each in faults) else CyanError
        raise kind(f"{len(faults)} of {len(machines)} hosts failed, each as is told above")


@contextmanager
def _told(machine: HostSettings, faults: list[CyanError]) -> Iterator[None]:
    from cyan.terminal import show_error

    try:
        yield
    except CyanError as error:
        error.where = error.where or machine.name
        show_error(error)
        faults.append(error)


def print_json(
    what: str,
    machines: Sequence[HostSettings],
    told: Callable[[HostSettings], dict[str, Any]],
) -> None:
    """Print one JSON document of all hosts; what a host's error is goes to stderr as ever."""
    import json

    found: list[dict[str, Any]] = []
    try:
        for machine, past_errors in visits(machines):
            with past_errors:
                found.append(told(machine))
    finally:
        made = {"schema": f"cyan.{what}/1", "hosts": found}
        sys.stdout.write(json.dumps(made, indent=1) + "\n")


def keeping(wanted: Settings, machine: HostSettings, what: str) -> AbstractContextManager[None]:
    """Around what may fail and is no rotation: its evidence is kept in reports/."""
    from cyan.cli import project_folder
    from cyan.rollout.failure import kept
    from cyan.terminal import Progress

    return kept(wanted, machine, what, project_folder() / "reports", Progress().note)


def confirmed(question: str) -> bool:
    """Whether a person answered 'yes'; nobody did where this is no terminal."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} Type 'yes': ").strip() == "yes"


def given(value: str, flag: str, example: str) -> str:
    """The flag's value. Raises UsageError where there is none."""
    if not value:
        raise UsageError(f"{flag} is missing", todo=f"for example: {flag} {example}")
    return value


def strategy_of(name: str) -> Strategy | None:
    """The strategy of that name; None for that of the settings. Raises UsageError."""
    if name and name not in list(Strategy):
        raise UsageError(f"--strategy {name!r} is unknown", todo=f"one of {', '.join(Strategy)}")
    return Strategy(name) if name else None
