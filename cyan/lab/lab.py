"""The throwaway host: this machine itself, over an sshd of its own, so the path is production's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.application.secrets import collect
from cyan.configured import ELSEWHERE, node_file, with_own_node
from cyan.engines import colors, compose
from cyan.engines.docker import Engine
from cyan.errors import HostError, UsageError
from cyan.hosts import joining
from cyan.hosts.look import beside
from cyan.hosts.session import owner
from cyan.journal.lock import Lock
from cyan.lab import nodes, ports, sshd
from cyan.names import Color, EngineKind
from cyan.rollout.provision import provision
from cyan.world.host import Host
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.sections import HostSettings
    from cyan.settings import Settings

GRACE = 10  # seconds
NODES = 3  # of the lab's swarm, unless said otherwise
MARKER = "this-is-a-lab"
"""In the application's directory on the host; it holds the application's name."""


@dataclass(frozen=True)
class LabStatus:
    """What of the lab is there."""

    sshd: int | None
    engine: str
    containers: tuple[str, ...]
    foreign: str  # the directory of another checkout whose containers these are, or ""


def up(settings: Settings, say: Callable[[str], None], hosts: int = 0, swarm: int = 0) -> None:
    """Start the lab; what runs already is left alone. Raises CyanError.

    It has as many `hosts` from now on, as many as before where that is 0: this machine, and others
    that are containers of its engine. Of a swarm, which has as many nodes, they are managers.

    What another checkout or a crashed run left behind is taken over or removed; a port that
    somebody else holds is a UsageError that names them.
    """
    machine = _lab_only(settings)
    if settings.engine is EngineKind.PODMAN and hosts > 1:
        raise UsageError("the lab has one host with Podman", todo="--hosts is for Docker Engine")
    say(sshd.start(settings.lab.directory, settings.lab.ssh_port))
    if settings.engine in ELSEWHERE:
        _up_elsewhere(settings, say, hosts, swarm)
        return
    with Host(machine) as host:
        _mark(host, settings)
        foreign = _foreign(host, settings)
        if foreign:
            if not _marked(host, settings, foreign) and "/.lab/" not in foreign:
                raise UsageError(
                    f"{settings.app} runs on this machine in {foreign}, which is no lab",
                    todo="another name for the lab: INVOKE_CYAN_APP=lab inv lab.up",
                )
            _remove(host, settings)
            say(f"removed the containers that the lab in {foreign} had left")
        _free_ports(host, settings)
        say(provision(host, settings, collect(settings), lambda _service: True))
    nodes.up(settings, say, (hosts or len(settings.hosts)) - 1)


def _up_elsewhere(settings: Settings, say: Callable[[str], None], hosts: int, swarm: int) -> None:
    """The lab is a container with Podman, or a swarm; what is on this machine is left alone."""
    if settings.engine is EngineKind.SWARM:
        managers = hosts or (len(settings.hosts) if node_file(settings).exists() else 1)
        nodes.swarm(settings, say, max(swarm or NODES, managers), managers)
    else:
        nodes.podman(settings, say)
    made = with_own_node(settings)
    for machine in made.hosts:
        with Host(machine) as host:
            _mark(host, made)
            says = provision(host, made, collect(made), lambda _service: True)
        say(f"{machine.address}: {says}")


def down(settings: Settings, say: Callable[[str], None], *, volumes: bool) -> None:
    """Remove the lab's containers and end its sshd; with `volumes` also its database."""
    folder, machine = settings.lab.directory, _lab_only(settings)
    if sshd.running(folder) is None:
        sshd.start(folder, settings.lab.ssh_port)
    if settings.engine in ELSEWHERE:
        nodes.without(settings, say)
        for marker in (settings.directory / "traffic").glob("*"):  # of colors that are gone
            marker.unlink()
        sshd.stop(folder)
        return
    with Host(machine) as host:
        if not _marked(host, settings):
            raise _no_lab(settings, machine)
        _remove(host, settings, volumes=volumes)
        say("the containers are removed" + (", and the database" if volumes else ""))
    nodes.up(settings, say, 0)
    sshd.stop(folder)
    say("sshd has ended")


def status(settings: Settings) -> LabStatus:
    """Look at the lab."""
    pid = sshd.running(settings.lab.directory)
    if pid is None:
        return LabStatus(None, "not asked: sshd does not run", (), "")
    with Host(settings.hosts[0]) as host:
        version = host.run("docker version --format '{{.Server.Version}}'", check=False)
        if version.code != 0:
            return LabStatus(pid, f"does not answer: {version.stderr.strip()}", (), "")
        found = Engine(host).containers(settings.app)
        names = tuple(f"{item.name} ({item.health or item.state})" for item in found)
        return LabStatus(pid, version.stdout.strip(), names, _foreign(host, settings))


def is_up(settings: Settings) -> bool:
    """Whether the lab's sshd runs and its shared services are up."""
    if sshd.running(settings.lab.directory) is None:
        return False
    try:
        with Host(settings.hosts[0]) as host:
            containers = Engine(host).containers(settings.app, beside=beside(settings))
            if _foreign(host, settings):
                return False
    except HostError:
        return False
    running = {item.service for item in containers if item.color is None and item.up}
    return set(settings.stateful) <= running


def is_lab(settings: Settings, machine: HostSettings) -> bool:
    """Whether `machine` is of the lab: this machine by the lab's sshd, or one made beside it."""
    here = machine.is_here and machine.port == settings.lab.ssh_port
    return here or machine.address in settings.lab.nodes


def is_throwaway(settings: Settings, machine: HostSettings) -> bool:
    """Whether `machine` is the lab, by its address and by the marker on it. Raises HostError."""
    if not is_lab(settings, machine):
        return False
    with Host(machine) as host:
        return _marked(host, settings)


def _lab_only(settings: Settings) -> HostSettings:
    """The lab. Raises UsageError where the settings name another machine first."""
    machine = settings.hosts[0]
    if not is_lab(settings, machine):
        raise _no_lab(settings, machine)
    return machine


def _no_lab(settings: Settings, machine: HostSettings) -> UsageError:
    return UsageError(
        f"{machine.name} is not the lab, and nothing was touched there",
        where=f"cyan.hosts and cyan.directory ({settings.directory})",
        todo="lab commands work on this machine's lab only: give cyan.hosts 127.0.0.1 and "
        f"port {settings.lab.ssh_port}, as cyan's own invoke.yaml does",
    )


def _marked(host: Host, settings: Settings, directory: object = None) -> bool:
    marker = quoted_path(directory or settings.directory, MARKER)
    return host.run(f"grep -qx {settings.app} {marker} 2>/dev/null", check=False).code == 0


def _mark(host: Host, settings: Settings) -> None:
    """Mark the directory as a lab's. Raises UsageError where it is another's already.

    One within the lab's own folder can be nobody else's.
    """
    if _marked(host, settings):
        return
    folder, ours = settings.directory, settings.directory.is_relative_to(settings.lab.directory)
    if not ours and host.run(f"[ -e {quoted_path(folder)} ]", check=False).code == 0:
        raise _no_lab(settings, settings.hosts[0])
    make = f"mkdir -p {quoted_path(folder)}"
    host.run(f"{make} && echo {settings.app} > {quoted_path(folder, MARKER)}")


def _foreign(host: Host, settings: Settings) -> str:
    """The directory that a proxy of the same name works with, if it is not ours.

    Of an adopted application the project of that name is the user's own stack.
    """
    if settings.adopted:
        return ""
    with_mounts = (
        f"docker ps -aq --filter label=com.docker.compose.project={settings.app} "
        f"--filter label=com.docker.compose.service={settings.proxy} | xargs -r docker inspect "
        """--format '{{range .Mounts}}{{if eq .Destination "/traffic"}}{{.Source}}{{end}}{{end}}'"""
    )
    source = host.run(with_mounts).stdout.strip()
    mine = f"{settings.directory}/traffic"
    return "" if source in ("", mine) else source.removesuffix("/traffic")


def _remove(host: Host, settings: Settings, *, volumes: bool = False) -> None:
    if settings.adopted:
        with Lock(host, str(settings.host_proxy.directory), owner("lab.down")) as by:
            joining.withdraw(host, by, settings)
        return
    for color in Color:
        host.run(colors.down(settings, color, GRACE))
    host.run(compose.down(settings.app, GRACE, volumes=volumes))
    host.run(f"rm -f -- {quoted_path(settings.directory, 'traffic')}/*")


def _free_ports(host: Host, settings: Settings) -> None:
    """Raise UsageError for a port that somebody but our own proxy holds.

    An adopted application's stack may have its ports: whoever joins the host's proxy looks.
    """
    if settings.adopted:
        return
    containers = Engine(host).containers(settings.app)
    proxy = next((item for item in containers if item.service == settings.proxy), None)
    if proxy and proxy.state == "running":
        return
    wanted = {
        settings.site.port: "cyan.site.port",
        settings.site.tls_port: "cyan.site.tls_port",
        settings.doors.blue: "cyan.doors.blue",
        settings.doors.green: "cyan.doors.green",
    }
    for port, key in wanted.items():
        holder = ports.holder(port)
        if holder:
            raise UsageError(
                f"port {port} is held by {holder.described}",
                todo=f"end it, or choose another port: {key} in invoke.yaml",
            )
