"""What the world holds: markers, containers, requests in flight, lock and journal."""

from __future__ import annotations

import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan import journal as book
from cyan.errors import HostError
from cyan.names import Color
from cyan.rollout.health import lacking
from cyan.rollout.lock import Owner, owner_of
from cyan.world import proxy

if TYPE_CHECKING:
    from cyan.settings import Settings
    from cyan.world.engine import Container, Engine
    from cyan.world.host import Host
    from cyan.world.proxy import InFlight

JOURNAL_LINES = 2000  # the newest lines that are looked at: some sixty deploys
SEPARATOR = "--cyan--"
LATENCY = 0.1  # seconds, about, from the sending of a command to the reading of the host's clock


@dataclass(frozen=True)
class Observation:
    """One look at the world. `in_flight` is None where the proxy could not be asked."""

    markers: frozenset[str]
    containers: tuple[Container, ...]
    in_flight: InFlight | None
    journal: tuple[book.Entry, ...]
    owner: Owner | None
    now: float  # wall seconds on the host
    seen: float  # seconds of our monotonic clock at that moment

    def clock(self) -> float:
        """The host's wall clock now, in seconds, to within the time that one look takes."""
        return self.now + time.monotonic() - self.seen

    @property
    def live(self) -> Color | None:
        """The color that gets the traffic; None before the first deploy."""
        return proxy.live_color(self.markers)

    @property
    def standby(self) -> Color:
        """The color that the next deploy starts."""
        return self.live.other if self.live else Color.BLUE

    def of(self, color: Color | None) -> tuple[Container, ...]:
        """The containers of one color; of None, those that both colors share."""
        return tuple(item for item in self.containers if item.color is color)

    def service(self, name: str) -> Container | None:
        """The container of a service that both colors share."""
        return next((item for item in self.of(None) if item.service == name), None)

    def version(self, color: Color | None) -> str:
        """The version of a color's containers; "" where it has none."""
        return next((item.version for item in self.of(color)), "") if color else ""

    def release(self, color: Color | None) -> str:
        """The release of a color's containers; "" where it has none."""
        return next((item.release for item in self.of(color)), "") if color else ""

    def up(self, color: Color, services: tuple[str, ...]) -> bool:
        """Whether every container of `services` runs and is healthy in `color`, and is there."""
        return not lacking(self.of(color), services)

    @property
    def switches(self) -> tuple[book.Entry, ...]:
        """The journal's completed switches, oldest first, without those that were switched back.

        A switch that was only noted was found by the run after the one that had made it.
        """
        kept: list[book.Entry] = []
        for entry in self.journal:
            if entry.event not in (book.Event.DONE, book.Event.NOTE):
                continue
            if entry.step == "switch":
                kept.append(entry)
            elif entry.step == "switch-back" and kept:
                kept.pop()
        return tuple(kept)

    def warm_over(self, seconds: float) -> float | None:
        """For how many seconds the standby has been warm longer than `seconds`; None: not yet.

        It is warm since the last switch. `seconds` 0 is: until the next deploy.
        """
        ran = any(item.state == "running" for item in self.of(self.standby))
        if not (seconds and ran and self.switches):
            return None
        over = self.now - self.switches[-1].at - seconds
        return over if over > 0 else None

    @property
    def serving(self) -> str:
        """What answers the users, in words."""
        if not self.live:
            return "nothing is live yet: the proxy answers 503"
        version = self.version(self.live)
        return f"{self.live} {version}" if version else f"{self.live}, which has no containers"


def look(host: Host, engine: Engine, settings: Settings) -> Observation:
    """Look at the host once; its parts are read at the same time. Raises HostError."""
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(_read, host, settings)
        containers = engine.containers(settings.app)
        stdout, seen = reading.result()
    now, markers, written, owner, upstreams = stdout.split(f"{SEPARATOR}\n")
    return Observation(
        markers=frozenset(markers.split()),
        containers=containers,
        in_flight=_counts(upstreams),
        journal=book.parse(written),
        owner=owner_of(owner),
        now=float(now),
        seen=seen,
    )


def _read(host: Host, settings: Settings) -> tuple[str, float]:
    """What the files and the proxy say; and our monotonic clock beside the host's.

    The host's clock is read first, a little after the command was sent.
    """
    begun = time.monotonic()
    stdout = host.run(_command(settings)).stdout
    return stdout, begun + LATENCY


def _command(settings: Settings) -> str:
    quoted = shlex.quote(str(settings.directory))
    held = "! flock -n -s lock true 2>/dev/null && cat lock"
    separate = f"echo {SEPARATOR}"
    return "; ".join(
        (
            f"cd {quoted} 2>/dev/null || {{ echo no directory {quoted} >&2; exit 4; }}",
            f"date +%s.%N; {separate}",
            f"ls -1 traffic; {separate}",
            f"tail -n {JOURNAL_LINES} journal.jsonl 2>/dev/null; {separate}",
            f"[ -e lock ] && {{ {held}; }}; {separate}",
            f"{proxy.in_flight_command(settings.app, settings.proxy)} 2>/dev/null || true",
        )
    )


def _counts(upstreams: str) -> InFlight | None:
    try:
        return proxy.parse(upstreams)
    except HostError:
        return None
