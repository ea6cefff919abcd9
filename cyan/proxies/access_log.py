"""The proxy's access log: where it is, and how it is read."""

from __future__ import annotations

import base64
import shlex
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.proxies.container import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.settings import Settings
    from cyan.world.host import Host


LOG = "/logs/access.json"
"""Where it writes its access log, inside its container."""

_OLD = shlex.quote("""
match($0, /"ts":[0-9.]+/) && substr($0, RSTART + 5, RLENGTH - 5) + 0 >= since { found = 1; exit }
{ last = length($0) + 1; n += last }
END { print found ? n + 0 : n - last }
""")
"""How many bytes of lines come before the first that ended after `since`: they are in that order.

Of none that did all but the last, which may be torn.
"""

UNREADABLE = "cyan-unreadable"
PIECE = 2**14  # bytes of what is packed


def log_of(settings: Settings) -> str:
    """Where the proxy's container has the application's access log."""
    return f"/logs/{settings.app}/access.json" if settings.adopted else LOG


class UnreadableError(HostError):
    """The proxy's log is there and cannot be read."""


class AccessLog:
    """The access log of a host's proxy. Every part of it is fetched once, at most `most` bytes.

    To fetch its newest megabytes again and again would take the processor from the users. Caddy
    makes it readable for its own user only: where that is not ours, the proxy's `container` reads.
    What was answered before `since`, wall seconds of the host, is left there.
    """

    def __init__(  # noqa: PLR0913 - where it is, and how much of it
        self,
        host: Host,
        directory: str,
        most: int,
        container: str,
        inside: str = LOG,
        *,
        since: float = 0.0,
    ) -> None:
        old = f"LC_ALL=C awk -v since={since!r} {_OLD}"
        told = '$in tail -c +$((from + 1)) "$log"'
        self._skip = (
            f'[ "$to" -le "$from" ] || from=$((from + $({told} | {old})))' if since else ":"
        )
        self._inside = shlex.quote(inside)
        self._host = host
        self._path = shlex.quote(f"{directory}/logs/access.json")
        self._most = most
        self._container = shlex.quote(container)
        self._at = 0
        self._torn = b""

    def more(self) -> Iterator[str]:
        """The lines that were completed since the last call; at the first one, its newest.

        A log that is shorter than before was rolled, and is read from its start. Who does not read
        the lines to their end is told them again. Raises UnreadableError.
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
            {self._skip}
            echo "$from"
            if [ "$to" -gt "$from" ]; then
              {{ $in tail -c +$((from + 1)) "$log" || echo {UNREADABLE} >&2; }} | gzip -1 | base64
            fi
        """
        done = self._host.run(command)
        self._skip = ":"  # from here on all of it is newer
        if UNREADABLE in done.stderr.split():
            said = " ".join(done.stderr.replace(UNREADABLE, "").split())
            raise UnreadableError(f"the proxy's log cannot be read: {said}", where=self._host.name)
        begin, _, packed = done.stdout.partition("\n")
        return self._lines(int(begin), base64.b64decode(packed))

    def _lines(self, at: int, packed: bytes) -> Iterator[str]:
        """Unpacked bit by bit: all of it at once would be most of a deployer's memory."""
        torn = self._torn if at == self._at else b""
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip's
        for start in range(0, len(packed), PIECE):
            new = inflate.decompress(packed[start : start + PIECE])
            at += len(new)
            *lines, torn = (torn + new).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        self._at, self._torn = at, torn


def log_command(settings: Settings, path: str) -> str:
    """The shell command that prints a log of the proxy, or one that it rolled, unpacked.

    `path` is where the host has it; where our user may not read it, the proxy's container does.
    """
    inside = PurePosixPath(log_of(settings)).with_name(PurePosixPath(path).name)
    unpacked = ("gzip", "-dc") if inside.suffix == ".gz" else ("cat",)
    theirs = f"docker exec {running(settings.proxy_project, settings.proxy)} "
    theirs += shlex.join((*unpacked, str(inside)))
    mine = shlex.quote(path)
    return f"if [ -r {mine} ]; then zcat -f {mine}; else {theirs}; fi"
