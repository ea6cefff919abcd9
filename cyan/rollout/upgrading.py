"""`inv proxy.upgrade`, `inv proxy.reload`: another proxy takes the place of the one that runs.

Or the same one with another configuration; where the host gives no right to that, it is loaded into
the one that runs, by lame duck.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.engines import compose
from cyan.errors import DeployError
from cyan.hosts import loading, sharing, site
from cyan.hosts.session import proxy_lock, session
from cyan.hosts.upgrade import Upgrade, of_the_host, ports_of, standing_in
from cyan.journal.entries import Event
from cyan.proxies import front
from cyan.proxies.configuration import configuration
from cyan.rollout.provision import FOLDER, shared_files
from cyan.world import tunnel
from cyan.world.shell import quoted_path, write_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cyan.engines.containers import Container
    from cyan.hosts.loading import Ended
    from cyan.hosts.session import Session, Tell
    from cyan.journal.lock import Lock
    from cyan.sections import HostSettings
    from cyan.settings import Settings

SECOND = "second.json"
BEFORE = 1.0  # seconds before its end in which a proxy cuts what is still under way


@dataclass(frozen=True)
class Reload:
    """How a proxy is reloaded: `again` though nothing is different, `in_place` by lame duck."""

    again: bool = False
    in_place: bool = False


def upgrade(
    settings: Settings, machine: HostSettings, tell: Tell, *, pull: bool, lock_wait: float = 0
) -> str:
    """Have the proxy that the settings ask for take the place of the one that runs; in words.

    With `pull` its image is fetched anew. Raises DeployError where it does not: the one that ran
    goes on, or is up again.
    """
    with _at_the_proxy(settings, machine, "proxy.upgrade", tell, lock_wait) as (mine, by):
        _running(mine)
        made = _made(mine, by)
        if not made.ports:
            raise DeployError(
                "the proxy has no port of the host yet, so that nobody reaches it",
                todo="the first deploy takes it over; a changed configuration: inv proxy.reload",
            )
        if pull:
            by.run(f"{made.main} pull {made.service} >&2")
        ends = _replaced(mine, by, tell, made)
        if ends is None:
            raise DeployError(
                "new connections cannot be redirected: that wants root, or sudo without a password",
                todo="inv proxy.reload loads a changed configuration without it; "
                "inv provision --recreate makes the proxy anew, with its users cut off",
            )
        _note(mine, "proxy.upgrade", "upgrade", ends)
        return f"the proxy was upgraded; {ends[0].left} clients were asked to connect anew"


def reload(
    settings: Settings,
    machine: HostSettings,
    tell: Tell,
    how: Reload,
    lock_wait: float = 0,
) -> str:
    """Have the proxy read the project's configuration; in words.

    By another that takes its place or, where the host gives no right to that, by lame duck. Raises
    DeployError where it is not valid: the proxy then goes on with the one that it has.
    """
    with _at_the_proxy(settings, machine, "proxy.reload", tell, lock_wait) as (mine, by):
        container, wanted = _running(mine), configuration(settings)
        file = settings.proxy_file
        if not how.again and mine.host.run(wanted.same(), check=False).code == 0:
            return f"the proxy runs this {file} already"
        loading.checked(by, settings, wanted, container.id)
        ends = None if how.in_place else _replaced(mine, by, tell, _made(mine, by))
        if ends is not None:
            _note(mine, "proxy.reload", "reload", ends)
            return f"the {file} is loaded; {ends[0].left} clients were asked to connect anew"
        left = loading.in_place(by, settings, wanted, container.id, force=how.again)
        _note(mine, "proxy.reload", "reload", (left,), before=0)
        return f"the {file} is loaded by lame duck; {left.left} clients had not reconnected"


@contextmanager
def _at_the_proxy(
    settings: Settings, machine: HostSettings, doing: str, tell: Tell, wait: float
) -> Iterator[tuple[Session, Lock]]:
    """A session on the host, and its proxy's lock; an error says where it was, and who serves."""
    with session(settings, machine, doing, tell, wait) as mine:
        try:
            with proxy_lock(mine, doing, tell, wait) as by:
                yield mine, by
        except DeployError as error:
            error.where = error.where or mine.host.name
            error.serving = "; ".join(filter(None, (mine.world.serving, error.serving)))
            raise


def _running(mine: Session) -> Container:
    """The proxy. Raises DeployError where it does not run."""
    found = mine.world.service(mine.settings.proxy)
    if found is None or found.state != "running":
        raise DeployError(
            "the proxy does not run", todo="start it: inv lab.up for the lab, else inv provision"
        )
    return found


def _note(
    mine: Session, command: str, step: str, ends: tuple[Ended, ...], before: float = BEFORE
) -> None:
    """Have the journal know what ended, and from when on it may have cut who was under way."""
    whose = ("the old proxy", "the one that stood in") if len(ends) > 1 else ("the proxy",)
    for who, end in zip(whose, ends, strict=True):
        text = f"{end.left} connections were open to {who} when it was told to end"
        note = mine.world.entry(command, Event.NOTE, mine.world.live, text=text)
        detail = {**note.detail, "left": end.left, "cut_at": end.at - before}
        mine.lock.record(replace(note, step=step, detail=detail))


def _replaced(mine: Session, by: Lock, tell: Tell, made: Upgrade) -> tuple[Ended, ...] | None:
    """Have another take the proxy's place, once it was asked as users do.

    None where new connections cannot be led to it, or nobody comes yet. Raises DeployError where
    it is not fit.
    """
    where = loading.stand_in(by, made) if made.ports else None
    if where is None:
        return None
    serves = mine.world.live and "maintenance" not in mine.world.markers
    wrong = _asked(mine, where) if serves else ""
    if wrong:
        by.run(made.call_off, check=False)
        raise DeployError(
            f"the new proxy does not serve the site: {wrong}",
            serving="untouched",
            todo=loading.AGAIN,
        )
    tell(_beforehand(mine))
    return loading.hand_over(by, made)


def _made(mine: Session, by: Lock) -> Upgrade:
    return _of_the_host(mine) if mine.settings.adopted else _own(mine, by)


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
        project=settings.app,
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
    joined = sharing.look(mine.host, settings).joined
    if settings.app not in joined:
        raise DeployError(f"{settings.app} has not joined the host's proxy", todo="inv provision")
    sharing.of_one_server(settings, joined)
    known = sharing.record(settings, replace(joined[settings.app], server=settings.server))
    return of_the_host(settings.host_proxy, joined, configuration(settings), (known,))


def _asked(mine: Session, where: Mapping[int, int]) -> str:
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


def _network(resolved: str, service: str) -> str:
    told = json.loads(resolved)
    first = next(iter(told["services"][service]["networks"]))
    return str(told["networks"][first]["name"])


def _compose(project: str, file: str) -> str:
    return f"docker compose --progress quiet -p {project} -f {quoted_path(file)}"
