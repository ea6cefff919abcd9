"""`inv proxy.reload`: a changed Caddyfile, validated first, loaded by lame duck.

A reload closes every idle connection of every client, and a request that crosses that close on the
wire is lost. So clients are asked to reconnect first (`Connection: close`), and few idle
connections are left when it comes: DESIGN.md has the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cyan.errors import DeployError
from cyan.hosts.session import session
from cyan.journal.entries import Event
from cyan.proxies import caddy

if TYPE_CHECKING:
    from cyan.hosts.session import Session, Tell
    from cyan.settings import HostSettings, Settings


@dataclass(frozen=True)
class Reloaded:
    """What a reload did; `left` connections of clients were open when it came, None if none did."""

    says: str
    left: int | None = None


def reload(
    settings: Settings, machine: HostSettings, tell: Tell, *, again: bool, lock_wait: float = 0
) -> Reloaded:
    """Load the project's Caddyfile into the proxy, `again` also where it is the one that runs.

    Raises DeployError where it is not valid: the proxy then goes on with the one that it has.
    """
    with session(settings, machine, "proxy.reload", tell, lock_wait) as mine:
        container = mine.world.service(settings.proxy)
        if container is None or container.state != "running":
            raise DeployError(
                "the proxy does not run",
                where=mine.host.name,
                todo="start it: inv lab.up for the lab, else fab -H USER@HOST provision",
            )
        caddyfile = caddy.Caddyfile(str(settings.directory), container.id)
        text = settings.caddyfile_text
        if not again and mine.host.run(caddyfile.same(text), check=False).code == 0:
            return Reloaded("the proxy runs this Caddyfile already")
        _validated(mine, caddyfile, text)
        left, at = _loaded(mine, caddyfile, again=again)
        said = f"the Caddyfile was loaded; {left} connections were open"
        note = mine.world.entry("proxy.reload", Event.NOTE, mine.world.live, text=said)
        more = {"left": left, "cut_at": at}
        mine.lock.record(replace(note, step="reload", detail=note.detail | more))
        return Reloaded(f"the Caddyfile is loaded; {left} clients had not reconnected", left)


def _validated(mine: Session, caddyfile: caddy.Caddyfile, text: str) -> None:
    checked = mine.run(caddyfile.put(text), check=False)
    if checked.code != 0:
        mine.run(caddyfile.drop())
        raise DeployError(
            f"the Caddyfile is not valid: {_error(checked.stderr or checked.stdout)}",
            where=str(mine.settings.caddyfile),
            serving=f"{mine.world.serving}; the proxy goes on with the Caddyfile that it has",
            todo="mend it and load it again",
        )


def _loaded(mine: Session, caddyfile: caddy.Caddyfile, *, again: bool) -> tuple[int, float]:
    """Load by lame duck; how many clients were connected then, and when by the host's clock."""
    wait = mine.settings.reload.lameduck
    done = mine.run(caddyfile.load(force=again, lameduck=wait), check=False)
    if done.code != 0:
        raise DeployError(
            f"the proxy did not take the Caddyfile: {_error(done.stderr or done.stdout)}",
            where=mine.host.name,
            serving=f"{mine.world.serving}; the proxy goes on with the Caddyfile that it had",
            todo="mend it and load it again",
        )
    left, at = done.stdout.split()[-2:]
    return int(left), float(at)


def _error(text: str) -> str:
    """Caddy's own words, without its log lines."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("{")]
    return "\n".join(lines)[-2000:]
