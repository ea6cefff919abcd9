"""What the world holds: markers, containers, requests in flight, lock and journal."""

from __future__ import annotations

import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan.application import record
from cyan.application.record import Application
from cyan.application.release import Release, release_id
from cyan.engines.containers import lacking
from cyan.errors import HostError
from cyan.journal.entries import Entry, Event, parse
from cyan.journal.lock import Owner, owner_of
from cyan.names import Color
from cyan.proxies import in_flight, markers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cyan.engines.containers import Container
    from cyan.engines.docker import Engine
    from cyan.proxies.in_flight import InFlight
    from cyan.settings import Settings
    from cyan.world.host import Host

JOURNAL_LINES = 2000  # the newest lines that are looked at: some sixty deploys
SEPARATOR = "--cyan--"
RECORDS = rf"""
for each in releases/*/{record.FILE}; do
  name=${{each#*/}}
  [ ! -e "$each" ] || {{ printf '%s\t' "${{name%%/*}}"; cat "$each"; echo; }}
done
"""
"""Prints what each release was deployed with, a line each."""
LATENCY = 0.1  # seconds, about, from the sending of a command to the reading of the host's clock


@dataclass(frozen=True)
class Observation:
    """One look at the world. `in_flight` is None where the proxy could not be asked."""

    markers: frozenset[str]
    containers: tuple[Container, ...]
    in_flight: InFlight | None
    journal: tuple[Entry, ...]
    owner: Owner | None
    applications: Mapping[str, Application]  # what each release was deployed with, by its name
    now: float  # wall seconds on the host
    seen: float  # seconds of our monotonic clock at that moment
    engine: str = ""  # its version, where an adopted application needs to know
    own: tuple[Container, ...] = ()  # what runs of an adopted application's own stack and rotates
    leads: bool = True  # it begins and ends what runs: of a swarm's hosts the first does for all

    def clock(self) -> float:
        """The host's wall clock now, in seconds, to within the time that one look takes."""
        return self.now + time.monotonic() - self.seen

    @property
    def live(self) -> Color | None:
        """The color that gets the traffic; None before the first deploy."""
        return markers.live_color(self.markers)

    @property
    def held(self) -> bool:
        """Whether new requests wait at the proxy."""
        return self.marker.startswith(markers.HOLD)

    @property
    def marker(self) -> str:
        """The marker that the proxy obeys; "" before the first deploy."""
        if self.live in self.markers:
            return str(self.live)
        waiting = markers.held(self.live)
        return waiting if waiting in self.markers else ""

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
        """The version of a color's newest release; "" where it has no containers."""
        newest = self.release(color)
        return next((item.version for item in self.of(color) if item.release == newest), "")

    def release(self, color: Color | None) -> str:
        """The newest release of a color's containers, by name; "" where it has none.

        One that replaced a part of the color has others beside it.
        """
        return max((item.release for item in self.of(color)), default="") if color else ""

    def application(self, release: str, settings: Settings) -> Application:
        """What a release was deployed with; by the settings where it kept no record."""
        return self.applications.get(release) or Application.of(settings)

    def up(self, color: Color, services: tuple[str, ...]) -> bool:
        """Whether every container of `services` runs and is healthy in `color`, and is there."""
        return not lacking(self.of(color), services)

    @property
    def switches(self) -> tuple[Entry, ...]:
        """The journal's completed switches, oldest first, without those that were switched back.

        A switch that was only noted was found by the run after the one that had made it.
        """
        kept: list[Entry] = []
        for entry in self.journal:
            if entry.event not in (Event.DONE, Event.NOTE):
                continue
            if entry.step == "switch":
                kept.append(entry)
            elif entry.step == "switch-back" and kept:
                kept.pop()
        return tuple(kept)

    def entry(
        self,
        what: str,
        event: Event,
        color: Color | None,
        **detail: Any,  # noqa: ANN401
    ) -> Entry:
        """A line about what is no rotation: `what` was done to the world, or to a color of it."""
        return Entry(
            at=0.0,
            run=release_id(what, self.now),
            what=what,
            event=event,
            color=color or "",
            version=self.version(color),
            release=self.release(color),
            detail=detail,
        )

    @property
    def alone(self) -> bool:
        """Whether the last run had one color make way for the other: the standby is stopped."""
        begun = [entry for entry in self.journal if entry.event is Event.BEGIN]
        return bool(begun and begun[-1].detail.get("hold"))

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
        if not self.live and self.own:
            return f"its own stack ({', '.join(item.name for item in self.own)})"
        if not self.live:
            return "nothing is live yet: " + (
                "requests wait at the proxy" if self.held else "the proxy answers 503"
            )
        version = self.version(self.live)
        told = f"{self.live} {version}" if version else f"{self.live}, which has no containers"
        return f"{told}, for which requests wait at the proxy" if self.held else told


def previous(switches: Sequence[Entry], live_release: str) -> Release | None:
    """The release that was live before the live one, from the journal's switches, oldest first.

    Switching back and forth between two releases makes each the other's previous one, so a
    rollback of a rollback returns to where it began.
    """
    for entry in reversed(switches):
        if entry.release and entry.release != live_release:
            return Release(entry.release, entry.version, Color(entry.color))
    return None


def beside(settings: Settings) -> tuple[str, ...]:
    """The Compose projects of an adopted application beside its colors': its own, the proxy's."""
    return (settings.adopted.project, settings.proxy_project) if settings.adopted else ()


def _own(containers: Sequence[Container], settings: Settings) -> tuple[Container, ...]:
    adopted = settings.adopted
    return tuple(
        item
        for item in containers
        if adopted
        and item.project == adopted.project
        and item.service in adopted.replaced
        and item.state == "running"
    )


def look(host: Host, engine: Engine, settings: Settings) -> Observation:
    """Look at the host once; its parts are read at the same time. Raises HostError."""
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(_read, host, settings)
        try:
            containers = engine.containers(settings.app, beside=beside(settings))
        except HostError as error:
            error.serving = error.serving or _led_to(reading.result()[0])
            raise
        stdout, seen = reading.result()
    now, raised, written, records, owner, version, upstreams = stdout.split(f"{SEPARATOR}\n")
    return Observation(
        markers=frozenset(raised.split()),
        containers=containers,
        in_flight=_counts(upstreams, settings.app),
        journal=parse(written),
        owner=owner_of(owner),
        applications=record.parse_all(records),
        now=float(now),
        seen=seen,
        engine=version.strip(),
        own=_own(containers, settings),
        leads=settings.leads(host.settings),
    )


def _led_to(stdout: str) -> str:
    """What users are led to, where the engine does not tell what there is; "" for nothing."""
    live = markers.live_color(frozenset(stdout.split(f"{SEPARATOR}\n")[1].split()))
    return f"{live}, as far as the host's marker says: what runs goes on" if live else ""


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
    counts = in_flight.command(settings)
    asked = "docker version -f '{{.Server.Version}}' 2>/dev/null; " if settings.adopted else ""
    newest = f"tail -n {JOURNAL_LINES} journal.jsonl"
    return "; ".join(
        (
            f"cd {quoted} 2>/dev/null || {{ echo no directory {quoted} >&2; exit 4; }}",
            f"date +%s.%N; {separate}",
            f"[ ! -e traffic ] || ls -1 traffic || exit 5; {separate}",
            f"[ ! -e journal.jsonl ] || {newest} || exit 5; {separate}",
            f"{RECORDS}{separate}",
            f"[ -e lock ] && {{ {held}; }}; {separate}",
            f"{asked}{separate}",
            f"{counts} 2>/dev/null || true",
        )
    )


def _counts(upstreams: str, app: str) -> InFlight | None:
    try:
        return in_flight.parse(upstreams, app)
    except HostError:
        return None
