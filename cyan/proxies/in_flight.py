"""How many requests the proxy has under way to each color."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.application.color import upstream
from cyan.errors import HostError
from cyan.names import Color, Server
from cyan.proxies import caddy, nginx
from cyan.proxies.container import running

if TYPE_CHECKING:
    from cyan.settings import Settings
    from cyan.world.host import Host


PATIENCE = 6.0  # seconds for one reading


@dataclass(frozen=True)
class InFlight:
    """How many requests the proxy has under way to each color, and how many wait for one.

    `waiting` is None where its configuration has no place to wait at.
    """

    blue: int
    green: int
    waiting: int | None = None

    def of(self, color: Color) -> int:
        """The count of one color."""
        return self.blue if color is Color.BLUE else self.green


class Gauge:
    """Reads the counts again and again through one channel into the proxy's container.

    A reading takes some milliseconds, where an exec for each would take a third of a second.
    """

    def __init__(self, host: Host, container: str, settings: Settings) -> None:
        self._app = settings.app
        asked, environment = _asked(settings)
        loop = shlex.quote(f"while read -r _; do {asked}; echo; done")
        words = f"docker exec -i {environment} {shlex.quote(container)} sh -c {loop}"
        self._channel = host.channel(words)
        self._channel.settimeout(PATIENCE)
        self._answers = self._channel.makefile("r")

    def close(self) -> None:
        """End the channel."""
        self._channel.close()

    def read(self) -> InFlight:
        """The counts now. Raises HostError where the proxy does not answer."""
        answer = ""
        try:
            self._channel.sendall(b"\n")
            while not (answer := str(self._answers.readline())).strip():
                if not answer:
                    raise HostError("the proxy's container ended, or does not say its counts")
        except OSError as error:
            raise HostError(f"the proxy does not say its counts: {error}") from error
        return parse(answer, self._app)


def command(settings: Settings) -> str:
    """The shell command that asks once for the counts, inside the proxy's container."""
    asked, environment = _asked(settings)
    container = running(settings.proxy_project, settings.proxy)
    return f"docker exec {environment} {container} sh -c {shlex.quote(asked)}"


def _asked(settings: Settings) -> tuple[str, str]:
    """What prints the counts inside the container, and what `docker exec` tells it."""
    if settings.server is Server.NGINX:
        return nginx.connections(settings.app), nginx.networks(settings)
    return caddy.UPSTREAMS, ""


def parse(answer: str, app: str = "") -> InFlight:
    """The counts in the proxy's answer. Raises HostError where it is none.

    https://caddyserver.com/docs/api#get-reverse-proxyupstreams: one object per upstream, with
    `address` and `num_requests`; of nginx, `nginx.connections` says the same.
    """
    try:
        return count(json.loads(answer), app)
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(f"the proxy's counts are nonsense: {answer[:200]!r}") from error


def count(upstreams: list[dict[str, object]], app: str = "") -> InFlight:
    """The requests in flight by color, from a list of upstreams.

    An upstream is called `blue`, or of an adopted `app` as `application.color.upstream` says.
    Raises KeyError where a color is missing: that is no zero, but another configuration.
    """
    sums: dict[Color, int] = {}
    waiting = None
    for each in upstreams:
        name = str(each["address"]).split(":", maxsplit=1)[0]
        if each["address"] in (f"127.0.0.1:{caddy.WAITING}", caddy.waiting(app)):
            waiting = int(str(each["num_requests"]))
        for color in Color:
            if name == color or name.startswith(upstream(app, color, "")):
                sums[color] = sums.get(color, 0) + int(str(each["num_requests"]))
    return InFlight(sums[Color.BLUE], sums[Color.GREEN], waiting)
