"""`inv doctor`: everything that can be checked at rest, and how it is mended."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cyan.application.secrets import collect
from cyan.application.source import source_of
from cyan.engines.docker import Engine
from cyan.engines.versions import newer, numbers
from cyan.errors import CyanError
from cyan.hosts.look import look
from cyan.migrations import apply, lint
from cyan.migrations.files import Kind
from cyan.names import Server
from cyan.rollout import idle, planned
from cyan.rollout import plan as planning
from cyan.rollout.drift import drift
from cyan.rollout.facts import comes, gather
from cyan.rollout.preflight import Check, Level, checks
from cyan.world import local
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from cyan.hosts.look import Observation
    from cyan.releases.precheck import Precheck
    from cyan.sections import HostSettings
    from cyan.settings import Settings

WHOLE = (2, 7)
"""The first Caddy of which it is not known that it cuts answers: see `error_log.OWN_FAULT`."""
SYNTAX = 5.0  # seconds that a shell may take to read a hook
STYLE = {Level.OK: "green", Level.WARN: "yellow", Level.REFUSE: "red"}


def examine(settings: Settings, machine: HostSettings) -> tuple[Check, ...]:
    """Look at a host, change nothing. Raises HostError where it cannot be looked at."""
    with Host(machine) as host:
        engine = Engine(host)
        settings = settings.at(machine)
        world = look(host, engine, settings)
        facts = gather(host, engine, settings, world)
        kept = idle.of(host, engine, settings, world)
        return (
            *checks(world, facts, settings, _comes(host, engine, settings, world)),
            *_migrations(apply.Migrator(host, settings, world)),
            *_secrets(settings),
            *([kept] if kept else []),
            *_cut_short(settings, facts.proxy),
            *_hooks(host, settings),
            *(Check("drift", Level.WARN, line) for line in drift(world, settings)),
        )


def _comes(host: Host, engine: Engine, settings: Settings, world: Observation) -> Precheck | None:
    """What the live version would be made of, were it deployed again; None where none is live."""
    version = world.version(world.live)
    if not version:
        return None
    request = planned.Request("deploy", version, "doctor")
    text = source_of(settings, version)
    return comes(host, engine, settings, planning.deploy(request, world, settings, text))


def _migrations(at: apply.Migrator) -> Iterator[Check]:
    """Whether the next deploy would take the pending expand files."""
    try:
        pending = apply.state(at, alone=False).pending(Kind.EXPAND)
        unsafe = lint.findings(pending)
    except CyanError as error:
        yield Check("migrations", Level.REFUSE, error.what, error.todo)
        return
    for each in unsafe:
        yield Check("migrations", Level.REFUSE, str(each), "inv migrate.check")
    if not unsafe and at.settings.migrate.directory:
        says = f"{len(pending)} expand files are pending, and safe beside the live release"
        yield Check("migrations", Level.OK, says)


def _secrets(settings: Settings) -> Iterator[Check]:
    try:
        names = collect(settings).names
    except CyanError as error:
        yield Check("secrets", Level.REFUSE, error.what, error.todo)
        return
    if names:
        yield Check("secrets", Level.OK, f"{len(names)} can be read: {', '.join(names)}")


def _cut_short(settings: Settings, version: str) -> Iterator[Check]:
    """Whether the proxy itself may cut an answer off: nothing of a deploy's, but users see it."""
    known = settings.server is Server.CADDY and numbers(version)
    if known and not newer(version, WHOLE):
        yield Check(
            "answers",
            Level.WARN,
            f"caddy {version} may end an answer that comes in parts after a POST too early: some "
            "one in 8,000 of them, deploy or not; Caddy 2.11 does not",
            "a newer image for the proxy (cyan.host_proxy.image), then inv proxy.upgrade",
        )


def _hooks(host: Host, settings: Settings) -> Iterator[Check]:
    """Whether a shell can read them; what they do is theirs."""
    for hook in settings.hooks:
        command = shlex.join(("sh", "-n", "-c", hook.run))
        read = (
            local.run(command, {}, SYNTAX)
            if hook.where == "here"
            else host.run(command, check=False)
        )
        if read.code != 0:
            said = read.stderr.strip()
            yield Check("hooks", Level.REFUSE, f"no shell can read {hook.run!r}: {said}", "mend it")
        else:
            yield Check("hooks", Level.OK, f"{hook.run!r} is a shell's words")


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
