"""`inv proxy.reload`: a changed configuration of the proxy, validated, loaded by lame duck."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cyan.errors import DeployError
from cyan.hosts.loading import load
from cyan.hosts.session import proxy_lock, session
from cyan.journal.entries import Event
from cyan.proxies.configuration import configuration

if TYPE_CHECKING:
    from cyan.engines.containers import Container
    from cyan.hosts.session import Session, Tell
    from cyan.sections import HostSettings
    from cyan.settings import Settings


@dataclass(frozen=True)
class Reloaded:
    """What a reload did; `left` connections of clients were open when it came, None if none did."""

    says: str
    left: int | None = None


def running(mine: Session) -> Container:
    """The proxy. Raises DeployError where it does not run."""
    found = mine.world.service(mine.settings.proxy)
    if found is None or found.state != "running":
        raise DeployError(
            "the proxy does not run",
            where=mine.host.name,
            todo="start it: inv lab.up for the lab, else inv provision",
        )
    return found


def reload(
    settings: Settings, machine: HostSettings, tell: Tell, *, again: bool, lock_wait: float = 0
) -> Reloaded:
    """Load the project's configuration into the proxy, `again` also where it is the one that runs.

    Raises DeployError where it is not valid: the proxy then goes on with the one that it has.
    """
    with session(settings, machine, "proxy.reload", tell, lock_wait) as mine:
        container = running(mine)
        wanted = configuration(settings)
        if not again and mine.host.run(wanted.same(), check=False).code == 0:
            return Reloaded(f"the proxy runs this {settings.proxy_file} already")
        with proxy_lock(mine, "proxy.reload", tell, lock_wait) as by:
            try:
                left, at = load(by, settings, wanted, container.id, force=again)
            except DeployError as error:
                error.where = error.where or mine.host.name
                error.serving = f"{mine.world.serving}; {error.serving}"
                raise
        said = f"the {settings.proxy_file} was loaded; {left} connections were open"
        note = mine.world.entry("proxy.reload", Event.NOTE, mine.world.live, text=said)
        more = {"left": left, "cut_at": at}
        mine.lock.record(replace(note, step="reload", detail=note.detail | more))
        return Reloaded(
            f"the {settings.proxy_file} is loaded; {left} clients had not reconnected", left
        )
