"""Who has which port of a host, and which applications share its one proxy."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cyan.errors import UsageError
from cyan.names import Color, Server
from cyan.proxies import front, sites
from cyan.settings import FRONT
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.settings import Settings
    from cyan.world.host import Host

SEPARATOR = "--cyan--"


@dataclass(frozen=True)
class Joined:
    """An application of the host's proxy: its directory, and what the proxy publishes for it.

    Each port as PORT, or ADDRESS:PORT. `addresses` are its sites', in Caddy's words. `stopped` are
    the containers of its own stack that made way for it, by name; `server` is the program that it
    counts on.
    """

    directory: str
    published: tuple[str, ...]
    addresses: tuple[str, ...]
    stopped: tuple[str, ...] = ()
    server: Server = Server.CADDY


@dataclass(frozen=True)
class Holder:
    """Who has a port of the host: a container of a Compose project, or a process."""

    port: int
    container: str = ""
    project: str = ""
    service: str = ""
    name: str = ""

    @property
    def says(self) -> str:
        """The holder as messages name it."""
        return f"the container {self.name}" if self.container else f"a process, {self.name}"


@dataclass(frozen=True)
class Seen:
    """What there is before an application joins: `proxy` is the running one's id, or "".

    `shared` are the application's own services that have a container. `markers` is the folder of
    the host in which that proxy finds its markers.
    """

    joined: Mapping[str, Joined]
    proxy: str
    holders: tuple[Holder, ...]
    shared: frozenset[str]
    markers: str = ""


def look(host: Host, settings: Settings) -> Seen:
    """What there is on the host. Raises HostError."""
    adopted, wanted = settings.adopted, settings.host_proxy
    assert adopted is not None  # noqa: S101 - for the type checker: only such applications join
    apps = quoted_path(wanted.directory, "apps")
    proxy = _filtered(wanted.project, FRONT, "--filter", "status=running")
    mount = '{{.Id}}{{range .Mounts}}{{if eq .Destination "/traffic"}} {{.Source}}{{end}}{{end}}'
    held = " ".join(str(port) for port in settings.ports)
    label = "com.docker.compose"
    own = f'{{{{.Label "{label}.service"}}}}'
    labels = " ".join(
        f'(index $.Config.Labels "{label}.{each}")' for each in ("project", "service")
    )
    form = (  # Podman has no filter by what is published
        "{{range .NetworkSettings.Ports}}{{range .}}"
        f"{{{{println .HostPort $.Id {labels} $.Name}}}}{{{{end}}}}{{{{end}}}}"
    )
    command = f"""
        for each in {apps}/*.json; do [ ! -e "$each" ] || cat "$each"; done; echo {SEPARATOR}
        {proxy} | xargs -r docker inspect --format {shlex.quote(mount)}; echo {SEPARATOR}
        published=$(docker ps -q | xargs -r docker inspect --format {shlex.quote(form)} 2>/dev/null)
        for port in {held}; do
          found=$(echo "$published" | grep -m1 "^$port ")
          if [ "$found" ]; then echo "$found"
          else ss -Hltnp "sport = :$port" | awk -v p=$port \
            '{{ print p " - - - " ($6 ? $6 : "of another user"); exit }}'; fi
        done; echo {SEPARATOR}
        docker ps -a --filter label={label}.project={shlex.quote(adopted.project)} \
          --format {shlex.quote(own)}
    """
    apps, proxy, held, shared = host.run(command).stdout.split(f"{SEPARATOR}\n")
    running, _, markers = proxy.strip().partition(" ")
    return Seen(
        joined={name: found for line in apps.splitlines() for name, found in [_parsed(line)]},
        proxy=running,
        holders=tuple(_holder(line) for line in held.splitlines()),
        shared=frozenset(shared.split()),
        markers=markers,
    )


def to_publish(settings: Settings, seen: Seen) -> tuple[tuple[str, ...], tuple[Holder, ...]]:
    """What the proxy can publish for the application now, and whose ports it has to take over.

    Raises UsageError where the application's name, sites or ports are somebody else's: pure.
    """
    assert settings.adopted is not None  # noqa: S101 - for the type checker: see look
    _ours(settings, seen)
    _alone(settings, seen.joined)
    ours = (settings.adopted.project, settings.host_proxy.project)
    for holder in seen.holders:
        if holder.project not in ours:
            raise UsageError(
                f"port {holder.port} is held by {holder.says}",
                todo="end it, or choose another port: adopted.routes, or cyan.site",
            )
    theirs = tuple(each for each in seen.holders if each.project == settings.adopted.project)
    for each in theirs:
        if each.service not in settings.adopted.replaced:
            raise UsageError(
                f"port {each.port} is held by {each.says}, which stays as it is: its users would "
                "not be led to the new color",
                todo=f"have it rotate as well: adopted.services {{{each.service}: web}}, and a "
                "route to it",
            )
    held = {each.port for each in theirs}
    free = (each for each in sites.published(settings) if number(each) not in held)
    return tuple(free), theirs


def published(joined: Mapping[str, Joined]) -> front.Published:
    """What the proxy publishes, by application."""
    return {name: found.published for name, found in joined.items()}


def ports(joined: Mapping[str, Joined]) -> tuple[str, ...]:
    """What it publishes in all."""
    return tuple(sorted({each for found in joined.values() for each in found.published}))


def number(published: str) -> int:
    """The port's number."""
    return int(published.rpartition(":")[2])


def of_one_server(settings: Settings, joined: Mapping[str, Joined]) -> None:
    """Raise UsageError where other applications count on another program than this one's: pure."""
    for other, found in joined.items():
        if other != settings.app and found.server is not settings.server:
            raise UsageError(
                f"the host's proxy is {found.server}, on which {other} counts, and this "
                f"application wants {settings.server}",
                todo=f"cyan.proxy: {found.server}",
            )


def record(settings: Settings, joined: Joined) -> tuple[str, str]:
    """The file, (path on the host, text), by which an application is known to the others."""
    told = json.dumps({"app": settings.app, **asdict(joined)})
    return f"{settings.host_proxy.directory}/apps/{settings.app}.json", f"{told}\n"


def _parsed(line: str) -> tuple[str, Joined]:
    told: dict[str, Any] = json.loads(line)
    published, addresses, stopped = (
        tuple(told[key]) for key in ("published", "addresses", "stopped")
    )
    server = Server(told.get("server", Server.CADDY))
    return str(told["app"]), Joined(str(told["directory"]), published, addresses, stopped, server)


def _holder(line: str) -> Holder:
    port, container, project, service, name = line.split(" ", 4)
    if container == "-":
        return Holder(int(port), name=name)
    return Holder(int(port), container, project, service, name.lstrip("/"))


def _filtered(project: str, service: str, *more: str) -> str:
    labels = (f"com.docker.compose.project={project}", f"com.docker.compose.service={service}")
    words = [word for label in labels for word in ("--filter", f"label={label}")]
    return shlex.join(("docker", "ps", "-q", "--no-trunc", *words, *more))


def _ours(settings: Settings, seen: Seen) -> None:
    """Refuse a proxy that reads other files than those that would be written."""
    wanted = settings.host_proxy
    if seen.markers and seen.markers != f"{wanted.directory}/traffic":
        runs = seen.markers.removesuffix("/traffic")
        raise UsageError(
            f"the host's proxy, {wanted.project}, runs with {runs}, and not with "
            f"{wanted.directory}, where it is looked for",
            todo=f"cyan.host_proxy.directory: {runs}, where its applications are; or another "
            "cyan.host_proxy.project and door for a second proxy",
        )


def _alone(settings: Settings, joined: Mapping[str, Joined]) -> None:
    """Refuse what would be mistaken for another application's."""
    of_one_server(settings, joined)
    app, wanted = settings.app, set(sites.addresses(settings))
    mine = joined.get(app)
    if mine and mine.directory != str(settings.directory):
        raise UsageError(
            f"another application is called {app} here, in {mine.directory}",
            todo="give this one another name: cyan.app",
        )
    for other, found in joined.items():
        if other == app:
            continue
        for longer, shorter in ((app, other), (other, app)):
            if any(longer.startswith(f"{shorter}-{color}") for color in Color):
                raise UsageError(
                    f"{app} could be mistaken for {other}: {longer} begins as a color of "
                    f"{shorter} is called",
                    todo="give this one another name: cyan.app",
                )
        if same := wanted & set(found.addresses):
            raise UsageError(
                f"{', '.join(sorted(same))} is the site of {other} already",
                todo="another port, or a domain: adopted.routes, cyan.site",
            )
