"""Having a proxy that runs read what a project wants it to, by lame duck.

A reload closes every idle connection of every client, and a request that crosses that close on the
wire is lost. So clients are asked to reconnect first (`Connection: close`), and few idle
connections are left when it comes: DESIGN.md has the measurement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.errors import DeployError
from cyan.names import Server

if TYPE_CHECKING:
    from cyan.proxies.configuration import Configuration
    from cyan.settings import Settings
    from cyan.world.host import Runner

SHOWN = 2000  # characters of what it said


def load(
    by: Runner, settings: Settings, wanted: Configuration, container: str, *, force: bool = False
) -> tuple[int, float]:
    """Validate and load; how many clients were connected then, and when by the host's clock.

    With `force` also where nothing is different. Raises DeployError where it is not valid, or the
    proxy does not take it: it then goes on with what it has.
    """
    where = str(settings.caddyfile) if settings.server is Server.CADDY else settings.app
    checked = by.run(wanted.validated(container), check=False)
    if checked.code != 0:
        by.run(wanted.drop())
        raise DeployError(
            f"the {settings.proxy_file} is not valid: {_error(checked.stderr or checked.stdout)}",
            where=where,
            serving=f"the proxy goes on with the {settings.proxy_file} that it has",
            todo="mend it and load it again",
        )
    done = by.run(
        wanted.load(container, force=force, lameduck=settings.reload.lameduck), check=False
    )
    if done.code != 0:
        why = _error(done.stderr or done.stdout)
        raise DeployError(
            f"the proxy did not take the {settings.proxy_file}: {why}",
            serving=f"the proxy goes on with the {settings.proxy_file} that it had",
            todo="mend it and load it again",
        )
    left, at = done.stdout.split()[-2:]
    return int(left), float(at)


def _error(text: str) -> str:
    """The proxy's own words, without its log lines."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("{")]
    return "\n".join(lines)[-SHOWN:]
