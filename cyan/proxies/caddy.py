"""The proxy: the traffic markers that it reads, and its count of requests in flight."""

from __future__ import annotations

import base64
import gzip
import json
import shlex
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.application.color import upstream
from cyan.errors import HostError
from cyan.names import Color

if TYPE_CHECKING:
    from cyan.settings import Settings
    from cyan.world.host import Host

LOG = "/logs/access.json"
"""Where it writes its access log, inside its container."""

UNREADABLE = "cyan-unreadable"

ADMIN = "http://127.0.0.1:2019"
"""Caddy's admin API listens inside the proxy's container only."""

_URL = f"{ADMIN}/reverse_proxy/upstreams"
UPSTREAMS = f"curl -fsS -m 2 {_URL} || wget -T 2 -qO- {_URL}"
"""Run inside the proxy's container; the official image has only wget."""

AUTHORITY = "/data/caddy/pki/authorities/local/root.crt"
"""Where Caddy keeps the certificate of its own authority, in its container."""

HOLD = "hold"
GATE, WAITING = 2020, 2021
"""Ports inside the proxy's container: the gate, which says whether requests wait, and where."""

MAINTENANCE = "maintenance"
LAMEDUCK = "lameduck"
"""Markers beside the colors': the Caddyfile says what each does."""

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


def loopback(app: str) -> str:
    """The proxy's own address for an application's requests that wait, in its container.

    Each has one, so that those of one application are not counted as another's.
    """
    one, two, three = zlib.crc32(app.encode()).to_bytes(4, "big")[1:]
    return f"127.{one}.{two}.{three % 254 + 1}"


def log_of(settings: Settings) -> str:
    """Where the proxy's container has the application's access log."""
    return f"/logs/{settings.app}/access.json" if settings.adopted else LOG


def markers_of(settings: Settings) -> str:
    """Where the proxy's container has the application's markers."""
    return f"/traffic/{settings.app}" if settings.adopted else "/traffic"


def held(color: Color | None) -> str:
    """The marker of a color whose requests wait; of None, of those that no color answers yet."""
    return f"{HOLD}-{color}" if color else HOLD


def switch_command(directory: str, source: str | None, target: str) -> str:
    """The shell command of the switch: one rename(2), the host's wall time, then an fsync(2).

    From one marker to another, which may be `held` ones.

    Where no color is live yet, the marker is made instead. It is safe to repeat: a switch that has
    happened is left as it is. The folder is synced after the time was taken, so that a rename that
    users have seen is not forgotten with the power; where that fails, the traffic has moved all
    the same.
    """
    traffic = f"{directory}/traffic"
    new = shlex.quote(f"{traffic}/{target}")
    if not source:
        move = f"touch {new}"
    elif source == target:
        move = f"[ -e {new} ]"
    else:
        old = shlex.quote(f"{traffic}/{source}")
        move = f"if [ -e {old} ]; then mv -T {old} {new}; else [ -e {new} ]; fi"
    return f"{move} && date +%s.%N && {{ sync {shlex.quote(traffic)} || true; }}"


def switched_at(host: Host, directory: str, color: Color) -> float:
    """When a color's marker was renamed, wall seconds of the host: it changes the inode's ctime."""
    marker = shlex.quote(f"{directory}/traffic/{color}")
    return float(host.run(f"stat -c %.6Z {marker}").stdout)


class UnreadableError(HostError):
    """The proxy's log is there and cannot be read."""


class AccessLog:
    """The access log of a host's proxy. Every part of it is fetched once, at most `most` bytes.

    To fetch its newest megabytes again and again would take the processor from the users. Caddy
    makes it readable for its own user only: where that is not ours, the proxy's `container` reads.
    """

    def __init__(
        self, host: Host, directory: str, most: int, container: str, inside: str = LOG
    ) -> None:
        self._inside = shlex.quote(inside)
        self._host = host
        self._path = shlex.quote(f"{directory}/logs/access.json")
        self._most = most
        self._container = shlex.quote(container)
        self._at = 0
        self._torn = b""

    def more(self) -> list[str]:
        """The lines that were completed since the last call; at the first one, its newest.

        A log that is shorter than before was rolled, and is read from its start. Raises
        UnreadableError.
        """
        command = f"""
            log={self._path} in= from={self._at}
            if ! [ -r "$log" ] && {{ [ -e "$log" ] || ! [ -x "${{log%/*}}" ]; }}
            then log={self._inside} in="docker exec {self._container}"
            fi
            to=$($in sh -c 'if [ -e "$0" ]; then stat -c %s "$0"; else echo 0; fi' "$log") ||
              {{ to=0; echo {UNREADABLE} >&2; }}
            if [ "$to" -lt "$from" ]; then from=0; fi
            if [ $((to - from)) -gt {self._most} ]; then from=$((to - {self._most})); fi
            echo "$from"
            if [ "$to" -gt "$from" ]; then
              {{ $in tail -c +$((from + 1)) "$log" || echo {UNREADABLE} >&2; }} | gzip -1 | base64
            fi
        """
        done = self._host.run(command)
        if UNREADABLE in done.stderr.split():
            said = " ".join(done.stderr.replace(UNREADABLE, "").split())
            raise UnreadableError(f"the proxy's log cannot be read: {said}", where=self._host.name)
        begin, _, packed = done.stdout.partition("\n")
        new = gzip.decompress(base64.b64decode(packed)) if packed else b""
        known = self._torn if int(begin) == self._at else b""
        *lines, self._torn = (known + new).split(b"\n")
        self._at = int(begin) + len(new)
        return [line.decode(errors="replace") for line in lines]


def authority_command(container: str) -> str:
    """The shell command that prints the certificate (PEM) of the proxy's own authority."""
    return shlex.join(("docker", "exec", container, "cat", AUTHORITY))


def markers_command(directory: str) -> str:
    """The shell command that lists the markers."""
    return f"ls -1 {shlex.quote(directory + '/traffic')}"


def marker_command(directory: str, name: str, *, up: bool) -> str:
    """The shell command that raises or lowers a marker; safe to repeat."""
    return f"{'touch' if up else 'rm -f'} -- {shlex.quote(f'{directory}/traffic/{name}')}"


def live_color(markers: frozenset[str]) -> Color | None:
    """The color that the Caddyfile picks for these markers: green is asked first.

    Also one whose requests wait: it was the last that answered.
    """
    asked = (Color.GREEN, Color.BLUE, held(Color.GREEN), held(Color.BLUE))
    found = next((name for name in asked if name in markers), None)
    return Color(found.removeprefix(f"{HOLD}-")) if found else None


class Gauge:
    """Reads the counts again and again through one channel into the proxy's container.

    A reading takes some milliseconds, where an exec for each would take a third of a second.
    """

    def __init__(self, host: Host, container: str, app: str) -> None:
        self._app = app
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
        return parse(answer, self._app)


def in_flight_command(project: str, service: str) -> str:
    """The shell command that asks once for the counts, inside the proxy's container."""
    return f"docker exec {_container(project, service)} sh -c {shlex.quote(UPSTREAMS)}"


def log_command(settings: Settings, path: str) -> str:
    """The shell command that prints a log of the proxy, or one that it rolled, unpacked.

    `path` is where the host has it; where our user may not read it, the proxy's container does.
    """
    inside = PurePosixPath(log_of(settings)).with_name(PurePosixPath(path).name)
    unpacked = ("gzip", "-dc") if inside.suffix == ".gz" else ("cat",)
    theirs = f"docker exec {_container(settings.proxy_project, settings.proxy)} "
    theirs += shlex.join((*unpacked, str(inside)))
    mine = shlex.quote(path)
    return f"if [ -r {mine} ]; then zcat -f {mine}; else {theirs}; fi"


def _container(project: str, service: str) -> str:
    """The shell's word for the id of a shared service's running container."""
    labels = (f"com.docker.compose.project={project}", f"com.docker.compose.service={service}")
    filters = " ".join(f"--filter {shlex.quote(f'label={label}')}" for label in labels)
    return f"$(docker ps -q {filters})"


def parse(answer: str, app: str = "") -> InFlight:
    """The counts in the admin API's answer. Raises HostError where it is none.

    https://caddyserver.com/docs/api#get-reverse-proxyupstreams: one object per upstream, with
    `address` and `num_requests`.
    """
    try:
        return count(json.loads(answer), app)
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(f"the proxy's admin API answered nonsense: {answer[:200]!r}") from error


def count(upstreams: list[dict[str, object]], app: str = "") -> InFlight:
    """The requests in flight by color, from the admin API's list of upstreams.

    An upstream is called `blue`, or of an adopted `app` as `application.color.upstream` says.
    Raises KeyError where a color is missing: that is no zero, but another configuration.
    """
    sums: dict[Color, int] = {}
    waiting = None
    for each in upstreams:
        name = str(each["address"]).split(":", maxsplit=1)[0]
        if each["address"] in (f"127.0.0.1:{WAITING}", f"{loopback(app)}:{WAITING}"):
            waiting = int(str(each["num_requests"]))
        for color in Color:
            if name == color or name.startswith(upstream(app, color, "")):
                sums[color] = sums.get(color, 0) + int(str(each["num_requests"]))
    return InFlight(sums[Color.BLUE], sums[Color.GREEN], waiting)
