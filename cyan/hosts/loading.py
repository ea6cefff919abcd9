"""Having a proxy that runs read something else: another takes its place, or it loads that itself.

A reload closes every idle connection of every client, and a request that crosses that close on the
wire is lost. Asking clients to reconnect first (`Connection: close`) leaves few of them, but those
that are new meanwhile are the reloaded proxy's, too: DESIGN.md measured 3 lost in five reloads.
Where new connections can be led to another proxy nobody is (docs/decisions/upgrade.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.errors import DeployError
from cyan.hosts.handover import AS_BEFORE, NO_RIGHT
from cyan.hosts.upgrade import STANDS
from cyan.names import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.hosts.upgrade import Upgrade
    from cyan.proxies.configuration import Configuration
    from cyan.settings import Settings
    from cyan.world.host import Output, Runner

SHOWN = 2000  # characters of what it said
AGAIN = "mend it, and try again"


@dataclass(frozen=True)
class Ended:
    """A proxy, or what one was configured as, that ended.

    How many connections were open to it then, and when that was, in wall seconds of the host.
    """

    left: int
    at: float


def checked(by: Runner, settings: Settings, wanted: Configuration, container: str) -> None:
    """Lay out what is wanted, and have the proxy say whether it would take it: else DeployError."""
    done = by.run(wanted.validated(container), check=False)
    if done.code != 0:
        by.run(wanted.drop())
        raise DeployError(
            f"the {settings.proxy_file} is not valid: {_error(done)}",
            where=str(settings.caddyfile) if settings.server is Server.CADDY else settings.app,
            serving=f"the proxy goes on with the {settings.proxy_file} that it has",
            todo="mend it and load it again",
        )


def in_place(
    by: Runner, settings: Settings, wanted: Configuration, container: str, *, force: bool = False
) -> Ended:
    """Have the proxy load what was laid out, by lame duck; with `force` also where it is the same.

    Raises DeployError where it does not take it: it then goes on with what it has.
    """
    done = by.run(
        wanted.load(container, force=force, lameduck=settings.reload.lameduck), check=False
    )
    if done.code != 0:
        raise DeployError(
            f"the proxy did not take the {settings.proxy_file}: {_error(done)}",
            serving=f"the proxy goes on with the {settings.proxy_file} that it had",
            todo="mend it and load it again",
        )
    left, at = done.stdout.split()[-2:]
    return Ended(int(left), float(at))


def stand_in(by: Runner, made: Upgrade) -> Mapping[int, int] | None:
    """Start the one that stands in: the host's port for each of its own; nobody is led to it yet.

    None where nobody could be. Raises DeployError where it does not start.
    """
    done = by.run(made.stand_in, check=False)
    if done.code == NO_RIGHT:
        return None
    if done.code != 0:
        raise DeployError(
            f"the new proxy does not start: {_last(done)}", serving="untouched", todo=AGAIN
        )
    pairs = (line.split() for line in done.stdout.splitlines())
    return {int(target): int(published) for target, published in pairs}


def hand_over(by: Runner, made: Upgrade) -> tuple[Ended, Ended]:
    """Have the new proxy take over by way of who stands in: the end of the old one, and of that.

    Raises DeployError where it does not.
    """
    done = by.run(made.script, check=False)
    if done.code == STANDS:
        raise DeployError(
            f"neither the new proxy nor the old one came up: {_last(done)}",
            serving="by the proxy that stood in, until the host restarts",
            todo="mend it; inv provision starts the proxy, then: inv proxy.upgrade",
        )
    if done.code != 0:
        back = "the old proxy is up again" if done.code == AS_BEFORE else "untouched"
        raise DeployError(
            f"the new proxy did not take over: {_last(done)}", serving=back, todo=AGAIN
        )
    first, second = (line.split() for line in done.stdout.splitlines())
    return Ended(int(first[0]), float(first[1])), Ended(int(second[0]), float(second[1]))


def _error(done: Output) -> str:
    """The proxy's own words, without its log lines."""
    text = (done.stderr or done.stdout).strip()
    return "\n".join(line for line in text.splitlines() if not line.startswith("{"))[-SHOWN:]


def _last(done: Output) -> str:
    return " ".join((done.stderr or done.stdout).split())[-600:]
