"""Commands for an application that does not know cyan yet."""

# ruff: noqa: PLC0415, FBT001, FBT002 - late imports; flags are arguments
from __future__ import annotations

import json
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cyan.cli import command
from cyan.errors import UsageError

if TYPE_CHECKING:
    from invoke import Context

    from cyan.names import Role


@command(
    name="init",
    iterable=["file", "service"],
    help={
        "check": "only print what would become of each service; the only thing that it does yet",
        "file": "a Compose file; may be repeated, as docker compose -f",
        "service": "what a service is: NAME=web, worker, scheduler, once, shared, proxy or tool",
        "json": "print it for machines",
    },
)
def init(
    c: Context,  # noqa: ARG001 - Invoke's own
    check: bool = False,
    file: list[str] | None = None,
    service: list[str] | None = None,
    json: bool = False,
) -> None:
    """Say what cyan would make of a compose.yaml; exit 0: as it is, 1: to decide, 2: not valid."""
    from cyan.adoption.printed import as_json, show
    from cyan.adoption.proposal import propose
    from cyan.application.source import resolve
    from cyan.terminal import console

    if not check:
        raise UsageError("--check is all that init does yet", todo="docs/adopt.md, for the rest")
    folder = Path.cwd()
    config = resolve(folder, file or ())
    told = _told(service or (), config.get("services") or {})
    proposal = propose(config, PurePosixPath(folder), told)
    if json:
        _print(as_json(proposal))
    else:
        show(proposal, console)
    sys.exit(0 if proposal.adoptable else 1)


def _print(made: object) -> None:
    sys.stdout.write(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


def _told(given: list[str] | tuple[str, ...], there: object) -> dict[str, Role]:
    """What the user says of services. Raises UsageError for a name or a role that is none."""
    from cyan.names import Role

    names = list(there) if isinstance(there, dict) else []
    told = {}
    for each in given:
        name, _, role = each.partition("=")
        if name not in names:
            raise UsageError(f"no service is called {name!r}", todo=f"one of: {', '.join(names)}")
        if role not in list(Role):
            raise UsageError(f"{role!r} is no role of a service", todo=f"one of: {', '.join(Role)}")
        told[name] = Role(role)
    return told
