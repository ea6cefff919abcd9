"""The figures that preflight and doctor judge, read from the host at the same time."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.hosts import sharing, site
from cyan.names import EngineKind, Kind
from cyan.proxies import markers
from cyan.proxies.configuration import VERSION, configuration
from cyan.releases import precheck
from cyan.releases.precheck import Search
from cyan.world.podman import WATCHED
from cyan.world.sessions import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.engines.containers import Container
    from cyan.engines.docker import Engine, Wiring
    from cyan.hosts.look import Observation
    from cyan.hosts.site import Certificate
    from cyan.releases.precheck import Precheck
    from cyan.rollout.planned import Plan
    from cyan.settings import Settings
    from cyan.world.host import Host

READINGS = 3  # of the clock
READY = (
    "docker node ls --format '{{.Hostname}} {{.Status}} {{.Availability}}' "
    '| awk \'$2 == "Ready" && $3 == "Active" {print $1}\''
)
"""Prints the nodes of a swarm on which something may begin."""


@dataclass(frozen=True)
class Facts:
    """What a host has and uses. Sizes are in bytes, times in seconds.

    `memory_live` and `memory_standby` are what the colors' containers use now, `images` what the
    live color's images take. `reachable` holds (service, "ok" or the address that refuses) for the
    shared services that listen. `published` are (address, port) of the proxy. `traffic_host` and
    `traffic_proxy` name the folder of the markers as each sees it, device and inode. `sessions` is
    how many sshd lets be open at once, as far as they are needed; `forbidden` are the site's and
    the doors' ports to which it lets nobody connect through it. `other_proxy` says that the one
    that runs is not the program that the settings have.
    """

    memory_free: int
    memory_live: int
    memory_standby: int
    disk_free: int
    directory_free: int
    images: int
    engine: str
    compose: str
    proxy: str
    reachable: tuple[tuple[str, str], ...]
    published: frozenset[tuple[str, int]]
    traffic_host: str
    traffic_proxy: str
    configured: bool
    clock_offset: float
    clock_uncertainty: float
    certificate: Certificate | None = None  # of a site with a domain
    other_proxy: bool = False
    wanted: EngineKind = EngineKind.DOCKER  # by the host's settings
    podman: bool = False  # what answers the docker command
    unwatched: bool = False  # nobody there runs the health checks of Podman's containers
    sessions: int = AT_ONCE
    forbidden: tuple[int, ...] = ()
    theirs: tuple[int, ...] = ()  # ports of the application's own stack, to be taken over
    nodes: frozenset[str] = frozenset()  # of a swarm, those that take what is begun


def gather(host: Host, engine: Engine, settings: Settings, world: Observation) -> Facts:
    """Read the facts. Raises HostError."""
    shared = [item for name in settings.stateful if (item := world.service(name))]
    sessions = host.sessions.allowed(host.transport)  # while nothing else wants any
    with ThreadPoolExecutor(4) as pool:
        wirings = list(pool.map(lambda item: engine.wiring(item.id), shared))
        words = pool.submit(_read, host, settings, world, wirings)
        clock = pool.submit(host.clock, readings=READINGS)
        certificate = pool.submit(_certificate, host, settings, world)
        forbidden = pool.submit(_forbidden, host, settings)
        theirs = pool.submit(_theirs, host, settings, world)
        live = pool.submit(_memory, engine, world.of(world.live) if world.live else ())
        standby = pool.submit(_memory, engine, world.of(world.standby))
        images = {item.image for item in world.of(world.live)} if world.live else set()
        sizes = sum(pool.map(engine.image_size, images))
    said = words.result()
    return Facts(
        memory_free=1024 * int(said.get("memory", "0")),
        memory_live=live.result(),
        memory_standby=standby.result(),
        disk_free=1024 * int(said.get("disk", "0")),
        directory_free=1024 * int(said.get("directory", "0")),
        images=sizes,
        engine=said.get("engine", ""),
        compose=said.get("compose", ""),
        proxy=said.get("version_of_proxy", ""),
        other_proxy="other_proxy" in said,
        wanted=host.settings.engine,
        podman="podman" in said.get("program", "").lower(),
        unwatched="unwatched" in said,
        reachable=tuple(
            (item.service, said[item.service]) for item in shared if item.service in said
        ),
        published=frozenset(port for wiring in wirings for port in wiring.published),
        traffic_host=said.get("traffic_host", ""),
        traffic_proxy=said.get("traffic_proxy", ""),
        configured=said.get("configuration", "") == configuration(settings).digest,
        clock_offset=clock.result().offset,
        clock_uncertainty=clock.result().uncertainty,
        certificate=certificate.result(),
        sessions=sessions,
        forbidden=forbidden.result(),
        theirs=theirs.result(),
        nodes=frozenset(said.get("nodes", "").split()),
    )


def comes(host: Host, engine: Engine, settings: Settings, plan: Plan) -> Precheck | None:
    """What a plan would fetch, as it would come; None where it fetches nothing. HostError."""
    step = next((each for each in plan.steps if each.kind is Kind.FETCH), None)
    if step is None:
        return None
    search = Search(host, engine, settings)
    return precheck.gather(search, plan.target, plan.run.application, plan.contents, step.files)


def _forbidden(host: Host, settings: Settings) -> tuple[int, ...]:
    ports = (*settings.ports, *settings.door_ports)
    return tuple(port for port in ports if host.forbids(port))


def _theirs(host: Host, settings: Settings, world: Observation) -> tuple[int, ...]:
    if not world.own:
        return ()
    _, theirs = sharing.to_publish(settings, sharing.look(host, settings))
    return tuple(each.port for each in theirs)


def _certificate(host: Host, settings: Settings, world: Observation) -> Certificate | None:
    if world.own:  # it is another's until the ports are the proxy's
        return None
    tls = site.trusted(host, settings, world)
    return site.certificate(host, settings, tls) if tls else None


def _memory(engine: Engine, containers: Iterable[Container]) -> int:
    return sum(engine.memory(item.id) for item in containers if item.state == "running")


def _read(
    host: Host, settings: Settings, world: Observation, wirings: Iterable[Wiring]
) -> dict[str, str]:
    """What the host's own commands say: a word and its value a line."""
    output = host.run(_command(settings, world, wirings), check=False).stdout
    pairs = (line.partition("=") for line in output.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def _command(settings: Settings, world: Observation, wirings: Iterable[Wiring]) -> str:
    directory = shlex.quote(str(settings.directory))
    inside = (
        f"echo traffic_proxy=$(stat -c %d:%i {markers.markers_of(settings)}); "
        f"command -v {settings.server} >/dev/null || echo other_proxy=yes; "
        f"echo version_of_proxy=$({VERSION[settings.server][-1]}); "
        f"echo configuration=$({configuration(settings).digest_command})"
    )
    proxy = world.service(settings.proxy)
    asked = f"docker exec {proxy.id} sh -c {shlex.quote(inside)}" if proxy else "true"
    return "; ".join(
        (
            "exec 2>/dev/null",
            "echo memory=$(sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo)",
            "root=$(docker info -f '{{.DockerRootDir}}')",
            "echo disk=$(df -Pk \"$root\" | awk 'NR==2 {print $4}')",
            f"echo directory=$(df -Pk {directory} | awk 'NR==2 {{print $4}}')",
            "echo engine=$(docker version -f '{{.Server.Version}}')",
            "echo program=$(docker version -f '{{(index .Server.Components 0).Name}}')",
            f"{{ {WATCHED}; }} || echo unwatched=yes",
            "echo compose=$(docker compose version --short)",
            f"echo traffic_host=$(stat -Lc %d:%i {directory}/traffic)",
            f"echo nodes=$({READY})" if settings.engine is EngineKind.SWARM else "true",
            asked,
            *(_reach(wiring) for wiring in wirings if wiring.service != settings.proxy),
            "true",
        )
    )


def _reach(wiring: Wiring) -> str:
    """Whether a shared service accepts a connection on a port that its image exposes."""
    if not (wiring.address and wiring.listens):
        return "true"
    name, ports = shlex.quote(wiring.service), " ".join(map(str, wiring.listens))
    tried = shlex.quote(
        f"for port in {ports}; do (exec 3<>/dev/tcp/{wiring.address}/$port) && exit; done; exit 1"
    )
    refused = f"{wiring.address}:{','.join(map(str, wiring.listens))}"
    return f"timeout 5 bash -c {tried} && echo {name}=ok || echo {name}={refused}"
