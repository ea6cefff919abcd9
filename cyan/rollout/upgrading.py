"""`inv proxy.upgrade`: a new image, definition or configuration of the proxy takes its place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.engines import compose
from cyan.errors import DeployError
from cyan.hosts import handover, sharing, site
from cyan.hosts.handover import AS_BEFORE, NO_RIGHT
from cyan.hosts.session import proxy_lock, session
from cyan.hosts.upgrade import STANDS, Port, Upgrade, ports_of, standing_in
from cyan.journal.entries import Event
from cyan.proxies import front
from cyan.proxies.configuration import NEW, configuration
from cyan.rollout.provision import FOLDER, shared_files
from cyan.rollout.reloading import running
from cyan.settings import FRONT
from cyan.world import tunnel
from cyan.world.shell import quoted_path, write_files

if TYPE_CHECKING:
    from cyan.hosts.session import Session, Tell
    from cyan.journal.lock import Lock
    from cyan.sections import HostSettings
    from cyan.settings import Settings
    from cyan.world.host import Output

SHOWN = 600  # characters of what Compose and Caddy said
SECOND = "second.json"
BEFORE = 1.0  # seconds before its end in which a proxy cuts what is still under way


def upgrade(
    settings: Settings, machine: HostSettings, tell: Tell, *, pull: bool, lock_wait: float = 0
) -> str:
    """Have the proxy that the settings ask for take the place of the one that runs; in words.

    With `pull` its image is fetched anew. Raises DeployError where it does not: the one that ran
    goes on, or is up again.
    """
    with session(settings, machine, "proxy.upgrade", tell, lock_wait) as mine:
        running(mine)
        with proxy_lock(mine, "proxy.upgrade", tell, lock_wait) as by:
            made = _of_the_host(mine) if settings.adopted else _own(mine, by)
            if pull:
                by.run(f"{made.main} pull {made.service} >&2")
            _try(mine, by, made)
            tell(_beforehand(mine))
            ends = _handed_over(mine, by, made)
        for who, (left, at) in zip(("the old proxy", "the one that stood in"), ends, strict=True):
            text = f"{left} connections were open to {who} when it was told to end"
            note = mine.world.entry("proxy.upgrade", Event.NOTE, mine.world.live, text=text)
            detail = {**note.detail, "left": left, "cut_at": at - BEFORE}
            mine.lock.record(replace(note, step="upgrade", detail=detail))
        return f"the proxy was upgraded; {ends[0][0]} clients were asked to connect anew"


def _beforehand(mine: Session) -> str:
    """What an upgrade cannot save, with the number of what is under way."""
    counts = mine.world.in_flight
    under_way = counts.blue + counts.green if counts else 0
    return (
        f"{under_way} requests are under way; those that are not through {front.GRACE} s from now, "
        "such as WebSockets and endless streams, end with the old proxy"
    )


def _own(mine: Session, by: Lock) -> Upgrade:
    """The upgrade of an application's own proxy, which is one of its shared services."""
    settings = mine.settings
    folder = PurePosixPath(settings.directory) / FOLDER
    project = compose.Project(settings.app, folder)
    files = shared_files(settings, project, mine.host.settings.bind)
    tried = compose.Project(settings.app, folder / "upgrade")
    laid = [
        (str(path), text) for path, (_, text) in zip((tried.file, tried.env), files, strict=True)
    ]
    resolved = by.run(
        f"{write_files(laid)} && {tried.config()}; code=$?; "
        f"rm -rf -- {quoted_path(tried.folder)}; exit $code"
    ).stdout
    wanted = configuration(settings)
    file = (
        str(folder / SECOND),
        standing_in(resolved, settings.proxy, wanted.folder, wanted.doors),
    )
    return Upgrade(
        main=project.command(),
        second=_compose(f"{settings.app}-second", file[0]),
        service=settings.proxy,
        network=_network(resolved, settings.proxy),
        ports=ports_of(resolved, settings.proxy, wanted.doors),
        configuration=wanted,
        files=files,
        second_file=file,
    )


def _of_the_host(mine: Session) -> Upgrade:
    """The upgrade of the host's one proxy."""
    settings = mine.settings
    host, wanted = settings.host_proxy, configuration(settings)
    joined = sharing.look(mine.host, settings).joined
    if settings.app not in joined:
        raise DeployError(
            f"{settings.app} has not joined the host's proxy",
            where=mine.host.name,
            serving=mine.world.serving,
            todo="inv provision",
        )
    sharing.of_one_server(settings, joined)
    published, ports = sharing.published(joined), sharing.ports(joined)
    path = str(host.directory / handover.SECOND)
    beside = front.compose_file(host, published, ports)
    read = f":{wanted.inside}:ro"
    text = beside.replace(f"{wanted.folder}{read}", f"{wanted.folder}/{NEW}{read}")
    main = (str(host.directory / handover.COMPOSE), front.compose_file(host, published))
    known = sharing.record(settings, replace(joined[settings.app], server=settings.server))
    return Upgrade(
        main=handover.compose(host, host.project),
        second=handover.compose(host, f"{host.project}-second", handover.SECOND),
        service=FRONT,
        network=front.NETWORK,
        ports=tuple(
            Port(each.rpartition(":")[0], sharing.number(each), sharing.number(each))
            for each in ports
        ),
        configuration=wanted,
        files=(main, known),
        second_file=(path, text),
    )


def _try(mine: Session, by: Lock, made: Upgrade) -> None:
    """Start the stand-in, and ask it as users do. Raises DeployError; nobody was led to it."""
    done = by.run(made.stand_in, check=False)
    if done.code == NO_RIGHT:
        raise DeployError(
            "new connections cannot be redirected: that wants root, or sudo without a password",
            where=mine.host.name,
            serving=mine.world.serving,
            todo="inv proxy.reload loads a changed configuration without it; "
            "inv provision --recreate makes the proxy anew, with its users cut off",
        )
    if done.code != 0:
        raise _failed(mine, f"the new proxy does not start: {_last(done)}", "untouched")
    pairs = (line.split() for line in done.stdout.splitlines())
    where = {int(target): int(published) for target, published in pairs}
    wrong = (
        _asked(mine, where) if mine.world.live and "maintenance" not in mine.world.markers else ""
    )
    if wrong:
        by.run(made.call_off, check=False)
        raise _failed(mine, f"the new proxy does not serve the site: {wrong}", "untouched")


def _asked(mine: Session, where: dict[int, int]) -> str:
    """What is wrong with what the stand-in answers, by the port where each of its own is open."""
    settings = mine.settings
    tls = site.trusted(mine.host, settings, mine.world)
    port = settings.site.tls_port if tls else settings.site.port
    if port not in where:
        return f"it does not publish {port}"
    public = settings.public
    try:
        with tunnel.client(mine.host, where[port], tls=tls) as client:
            status = client.get(
                public.ready, headers=site.headers(settings, public.send)
            ).status_code
    except Exception as error:  # noqa: BLE001 - httpx's, httpcore's, paramiko's or TLS's own
        return str(error) or type(error).__name__
    good = status < public.below if public.below else status == 200  # noqa: PLR2004
    return "" if good else f"{public.ready} answered {status}"


def _handed_over(mine: Session, by: Lock, made: Upgrade) -> list[tuple[int, float]]:
    """Of each that ended how many connections it had, and when it had ended. DeployError."""
    done = by.run(made.script, check=False)
    if done.code == STANDS:
        raise DeployError(
            f"neither the new proxy nor the old one came up: {_last(done)}",
            where=mine.host.name,
            serving=f"{mine.world.serving}, by the proxy that stood in, until the host restarts",
            todo="mend it; inv provision starts the proxy, then: inv proxy.upgrade",
        )
    if done.code != 0:
        back = "the old proxy is up again" if done.code == AS_BEFORE else "untouched"
        raise _failed(mine, f"the new proxy did not take over: {_last(done)}", back)
    lines = (line.split() for line in done.stdout.splitlines())
    return [(int(left), float(at)) for left, at in lines]


def _failed(mine: Session, what: str, back: str) -> DeployError:
    return DeployError(
        what,
        where=mine.host.name,
        serving=f"{mine.world.serving}; {back}",
        todo="mend it, and upgrade again",
    )


def _network(resolved: str, service: str) -> str:
    told = json.loads(resolved)
    first = next(iter(told["services"][service]["networks"]))
    return str(told["networks"][first]["name"])


def _compose(project: str, file: str) -> str:
    return f"docker compose --progress quiet -p {project} -f {quoted_path(file)}"


def _last(done: Output) -> str:
    return " ".join((done.stderr or done.stdout).split())[-SHOWN:]
