"""`inv exec`, `inv console` and `inv logs --follow`: in the containers of a color."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cyan.engines.docker import Engine
from cyan.errors import UsageError
from cyan.hosts.look import look
from cyan.names import Color
from cyan.releases.contents import hiding
from cyan.rollout.status import meant
from cyan.world.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.engines.containers import Container
    from cyan.hosts.look import Observation
    from cyan.sections import HostSettings
    from cyan.settings import Settings
    from cyan.world.host import Output

SHELL = "command -v bash >/dev/null && exec bash || exec sh"
"""The best shell that a container has."""


def one(world: Observation, settings: Settings, color: str, service: str) -> Container:
    """The container to go into: of the live color and the public service unless given.

    Raises UsageError where there is none that runs.
    """
    wanted = Color(color) if color else world.live
    name = service or settings.public.service
    among = (*world.of(wanted), *world.of(None)) if service else world.of(wanted)
    found = [each for each in among if each.service == name and each.state == "running"]
    if not found:
        raise UsageError(
            f"no container of service {name} runs in {wanted or 'any color'}",
            serving=world.serving,
            todo="see what there is: inv status",
        )
    near = next((each for each in found if not each.node), None)
    if near is None:
        raise UsageError(
            f"{name} runs on {', '.join(sorted({each.node for each in found}))} and not on this "
            "host: only from there a command runs in it",
            todo=f"docker exec there; docker service ps {found[0].name.rpartition('.')[0]} "
            "says what is where",
        )
    return near


def run(
    settings: Settings, machine: HostSettings, color: str, service: str, command: str
) -> Output:
    """What a shell command says in a container, without secrets, and its exit code."""
    with Host(machine) as host:
        world = look(host, Engine(host), settings)
        into = one(world, settings, color, service)
        done = host.run(shlex.join(("docker", "exec", into.id, "sh", "-c", command)), check=False)
        hide = hiding(host, settings, into.release or world.release(world.live))
        return type(done)(hide(done.stdout), hide(done.stderr), done.code)


def attach(
    settings: Settings, machine: HostSettings, color: str, service: str, command: str
) -> int:
    """Give this terminal to a command in a container, its shell unless given; its exit code."""
    with Host(machine) as host:
        into = one(look(host, Engine(host), settings), settings, color, service)
        words = ("docker", "exec", "-it", into.id, "sh", "-c", command or SHELL)
        return host.attached(shlex.join(words))


def follow(  # noqa: PLR0913, PLR0917 - what is chosen, and how it is told
    settings: Settings,
    machine: HostSettings,
    color: str,
    service: str,
    tail: int,
    say: Callable[[str], None],
) -> None:
    """Print what containers log, as they do, a line each with its service, without secrets.

    Raises UsageError where there is no such container.
    """
    with Host(machine) as host:
        wanted = meant(look(host, Engine(host), settings), color, service, machine.name)
        names = {each.release for each in wanted if each.release}
        hides = [hiding(host, settings, name) for name in sorted(names)]
        width = max(len(each.service) for each in wanted)
        parts = " & ".join(
            f"{_logged(each, tail)} 2>&1 | sed -u {shlex.quote(f's/^/{each.service:<{width}} | /')}"
            for each in wanted
        )
        with host.channel(f"trap 'kill 0' EXIT; {parts} & wait") as channel:
            for line in channel.makefile("r"):
                text = str(line).rstrip("\n")
                for hide in hides:
                    text = hide(text)
                say(text)


def _logged(container: Container, tail: int) -> str:
    """The command that prints what a container logs, on whichever node it is."""
    if container.task:
        return f"docker service logs --raw -f --tail {tail} {container.task}"
    return f"docker logs -f --tail {tail} {container.id}"
