"""Waiting until the proxy counts no request in flight to a color."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.errors import HostError
from cyan.hosts import site
from cyan.proxies import in_flight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cyan.hosts.look import Observation
    from cyan.names import Color
    from cyan.settings import Settings
    from cyan.world.host import Host

READING = 0.05  # seconds between two readings
WATCHING = 1.0  # seconds between two looks at what else matters
ZEROS = 2  # readings of zero in a row that end a drain
UNKNOWN = -1


@dataclass(frozen=True)
class Drained:
    """How a drain ended.

    `readings` are (wall seconds on the host, requests in flight); `left` is the last count, 0 when
    the color is drained, UNKNOWN where the proxy did not say; `waited` is in seconds.
    """

    color: Color
    readings: tuple[tuple[float, int], ...]
    left: int
    waited: float

    @property
    def says(self) -> str:
        """The drain in words."""
        if self.left == 0:
            return f"{self.color} has no request in flight"
        after = f"after {self.waited:.0f} s"
        if self.left == UNKNOWN:
            return f"the proxy did not say what is in flight to {self.color}; gave up {after}"
        return f"{self.left} requests are still in flight to {self.color} {after}"


def drain(
    host: Host,
    settings: Settings,
    world: Observation,
    color: Color,
    watch: Callable[[], None] = lambda: None,
) -> Drained:
    """Wait for two zero readings in a row, or for the drain timeout.

    A request that had just looked at the marker is not counted yet, hence the settling before the
    first reading. Where the admin API does not answer, the whole timeout is waited. `watch` is
    called about once a second; what it raises ends the drain.
    """
    began = watched = time.monotonic()
    readings: list[tuple[float, int]] = []
    zeros = 0
    with _counter(host, settings, world) as count:
        time.sleep(settings.drain.settle)
        while True:
            interrupt.check()
            left = count(color)
            readings.append((world.clock(), left))
            zeros = zeros + 1 if left == 0 else 0
            waited = time.monotonic() - began
            if zeros >= ZEROS or waited >= settings.drain.timeout:
                return Drained(color, tuple(readings), 0 if zeros >= ZEROS else left, waited)
            if time.monotonic() - watched >= WATCHING:
                watch()
                watched = time.monotonic()
            time.sleep(READING)


@contextmanager
def _counter(
    host: Host, settings: Settings, world: Observation
) -> Iterator[Callable[[Color], int]]:
    """How many requests are in flight to a color; UNKNOWN where the proxy does not say.

    A gauge that broke is made anew: the proxy may have been restarted meanwhile.
    """
    container = site.proxy_of(host, settings, world)
    gauges: list[in_flight.Gauge] = []

    def count(color: Color) -> int:
        if not container:
            return UNKNOWN
        if not gauges:
            gauges.append(in_flight.Gauge(host, container, settings))
        try:
            return gauges[0].read().of(color)
        except HostError:
            gauges.pop().close()
            return UNKNOWN

    if container:
        gauges.append(in_flight.Gauge(host, container, settings))
    try:
        yield count
    finally:
        for gauge in gauges:
            gauge.close()
