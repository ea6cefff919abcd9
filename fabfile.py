"""Operations on a host for the `fab` command: `fab -H user@host status`.

They read the same invoke.yaml and call the same functions as `inv`, on the host that is named here
in place of cyan.hosts. The host's key is checked strictly, whatever Fabric's own default is.
"""

# ruff: noqa: PLC0415 - what is slow to import is imported where it is used
from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from fabric import Connection, task

from cyan.cli import project_folder, told

if TYPE_CHECKING:
    from cyan.sections import HostSettings
    from cyan.settings import Settings


def _settings(c: Connection) -> tuple[Settings, HostSettings]:
    """The settings, and the host of this connection as one of theirs."""
    from cyan.configured import load, machine_at
    from cyan.errors import UsageError

    section = c.config.get("cyan") or _invoke_yaml()
    wanted = load(section, os.environ, project_folder())
    if not isinstance(c, Connection):
        raise UsageError("no host is named", todo="fab -H user@host status")
    known = (item for item in wanted.hosts if (item.address, item.port) == (c.host, c.port))
    machine = next(known, None) or machine_at(c.host, c.port, c.user)
    if machine not in wanted.hosts:  # what is checked of them is checked of this one
        wanted = load({**section, "hosts": [machine.model_dump()]}, os.environ, project_folder())
        machine = wanted.hosts[0]
    return wanted, machine


def _invoke_yaml() -> dict[str, object]:
    """The cyan section of invoke.yaml: `fab` itself reads only fabric.yaml."""
    from invoke.config import Config

    config = Config(project_location=project_folder())
    config.load_project()
    section: dict[str, object] = config.get("cyan", {})
    return section


@task
@told
def status(c: Connection) -> None:
    """Show colors, versions, health, requests in flight, drift and the last runs."""
    from cyan.rollout.status import observe, show
    from cyan.terminal import console

    wanted, machine = _settings(c)
    show(console, observe(wanted, machine), wanted, machine.name)


@task
@told
def logs(c: Connection, color: str = "", service: str = "", tail: int = 50) -> None:
    """Show the last log lines of a color's containers."""
    from cyan.rollout.status import logs as read

    wanted, machine = _settings(c)
    for name, text in read(wanted, machine, color, service, tail):
        sys.stdout.write(f"--- {name}\n{text}")


@task
@told
def switch_state(c: Connection) -> None:
    """Show which color is live, by the marker alone."""
    from cyan.proxies import markers
    from cyan.terminal import console
    from cyan.world.host import Host

    wanted, machine = _settings(c)
    with Host(machine) as host:
        output = host.run(markers.list_command(str(wanted.directory)))
    raised = frozenset(output.stdout.split())
    console.print(f"live: {markers.live_color(raised) or 'none'}; markers: {sorted(raised)}")


@task
@told
def provision(c: Connection) -> None:
    """Prepare a bare host: Docker Engine, the application's directory, the shared services."""
    from cyan.application.secrets import collect
    from cyan.rollout.provision import install_engine
    from cyan.rollout.provision import provision as prepare
    from cyan.terminal import console
    from cyan.world.host import Host

    wanted, machine = _settings(c)
    with Host(machine) as host:
        console.print(install_engine(host, wanted))
        console.print(prepare(host, wanted, collect(wanted)))
