"""The proxy: the traffic markers that it reads, and its count of requests in flight."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.names import Color

if TYPE_CHECKING:
    from cyan.world.host import Host

ADMIN = "http://localhost:2019"
"""Caddy's admin API listens inside the proxy's container only."""

_URL = f"{ADMIN}/reverse_proxy/upstreams"
UPSTREAMS = f"curl -fsS -m 2 {_URL} || wget -T 2 -qO- {_URL}"
"""Run inside the proxy's container; the official image has only wget."""

PATIENCE = 6.0  # seconds for one reading


@dataclass(frozen=True)
class InFlight:
    """How many requests the proxy has under way to each color."""

    blue: int
    green: int

    def of(self, color: Color) -> int:
        """The count of one color."""
        return self.blue if color is Color.BLUE else self.green


def switch_command(directory: str, source: Color | None, target: Color) -> str:
    """The shell command of the switch: one rename(2), then the host's wall time.

    Where no color is live yet, the marker is made instead. It is safe to repeat: a switch that has
    happened is left as it is.
    """
    traffic = f"{directory}/traffic"
    new = shlex.quote(f"{traffic}/{target}")
    if source is None:
        move = f"touch {new}"
    else:
        old = shlex.quote(f"{traffic}/{source}")
        move = f"if [ -e {old} ]; then mv -T {old} {new}; else [ -e {new} ]; fi"
    return f"{move} && date +%s.%N"


def markers_command(directory: str) -> str:
    """The shell command that lists the markers."""
    return f"ls -1 {shlex.quote(directory + '/traffic')}"


def live_color(markers: frozenset[str]) -> Color | None:
    """The color that the Caddyfile picks for these markers: green is asked first."""
    return next((color for color in (Color.GREEN, Color.BLUE) if color in markers), None)


class Gauge:
    """Reads the counts again and again through one channel into the proxy's container.

    A reading takes some milliseconds, where an exec for each would take a third of a second.
    """

    def __init__(self, host: Host, container: str) -> None:
        loop = f"while read -r _; do {UPSTREAMS}; echo; done"
        words = ("docker", "exec", "-i", container, "sh", "-c", loop)
        self._channel = host.channel(shlex.join(words))
        self._channel.settimeout(PATIENCE)
        self._answers = self._channel.makefile("r")

    def close(self) -> None:
        """End the channel."""
        self._channel.close()

    def read(self) -> InFlight:
        """The counts now. Raises HostError where the admin API does not answer."""
        answer = ""
        try:
            self._channel.sendall(b"\n")
            while not (answer := str(self._answers.readline())).strip():
                if not answer:
                    raise HostError("the proxy's container ended, or its admin API is gone")
        except OSError as error:
            raise HostError(f"the proxy's admin API does not answer: {error}") from error
        return parse(answer)


def in_flight_command(app: str, service: str) -> str:
    """The shell command that asks once for the counts, inside the proxy's container."""
    labels = (f"com.docker.compose.project={app}", f"com.docker.compose.service={service}")
    filters = " ".join(f"--filter {shlex.quote(f'label={label}')}" for label in labels)
    return f"docker exec $(docker ps -q {filters}) sh -c {shlex.quote(UPSTREAMS)}"


def parse(answer: str) -> InFlight:
    """The counts in the admin API's answer. Raises HostError where it is none.

    https://caddyserver.com/docs/api#get-reverse-proxyupstreams: one object per upstream, with
    `address` and `num_requests`.
    """
    try:
        return count(json.loads(answer))
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(f"the proxy's admin API answered nonsense: {answer[:200]!r}") from error


def count(upstreams: list[dict[str, object]]) -> InFlight:
    """The requests in flight by color, from the admin API's list of upstreams.

    Raises KeyError where a color is missing: that is no zero, but another configuration.
    """
    sums: dict[str, int] = {}
    for upstream in upstreams:
        name = str(upstream["address"]).split(":", maxsplit=1)[0]
        sums[name] = sums.get(name, 0) + int(str(upstream["num_requests"]))
    return InFlight(sums[Color.BLUE], sums[Color.GREEN])
