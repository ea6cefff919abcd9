"""The files that a proxy reads from its host, and the commands that load others in their place."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.proxies import front
from cyan.proxies.caddy import LAMEDUCK
from cyan.world.shell import quoted_path, write_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.settings import Settings

INSIDE = "/etc/caddy"
"""Where the proxy's container finds its configuration."""

NEW = ".new"
"""The folder within, in which files that are not loaded yet lie as they will."""

ADMIN_PORT = 2019

_CLIENTS = """
function port(address) { sub(/.*:/, "", address); return address }
function inside(address) { return address ~ /^......7F:|^0*1000000:|FFFF0000......7F:/ }
$4 == "0A" && !inside($2) { listens[port($2)] = 1 }
$4 == "01" && !inside($3) { open[port($2)]++ }
END {
  for (each in open)
    if (each in listens && each !~ /^(OURS)$/) n += open[each]
  print n + 0
}
"""
"""As `users_connected` says.

Of /proc/net/tcp and tcp6: local and remote address, in hexadecimal, the state 0A for a socket that
listens and 01 for an established connection: https://docs.kernel.org/networking/proc_net_tcp.html.
"""


def users_connected(others: Iterable[int]) -> str:
    """For awk: how many connections from outside the container lead to a port that is for users.

    `others` are the ports that are not.
    """
    return _CLIENTS.replace("OURS", "|".join(f"{port:04X}" for port in others))


@dataclass(frozen=True)
class Configuration:
    """What a project wants its proxy to read: (path in `folder` on the host, text).

    `markers` are the shell's words for the folders of markers that the proxy looks at. `doors` are
    its ports, inside its container, that lead to a color's private door.
    """

    folder: str
    markers: str
    doors: tuple[int, ...]
    files: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """What `digest_command` prints where the proxy reads just these."""
        return hashlib.sha256("".join(text for _, text in self.files).encode()).hexdigest()

    @property
    def digest_command(self) -> str:
        """Prints the digest of what the proxy reads; for the shell of its container."""
        paths = " ".join(quoted_path(INSIDE, path) for path, _ in self.files)
        return f"cat {paths} | sha256sum | cut -d' ' -f1"

    def same(self) -> str:
        """Succeeds where the proxy's files are these."""
        parts = (
            f"printf %s {shlex.quote(text)} | cmp -s - {quoted_path(self.folder, path)}"
            for path, text in self.files
        )
        return " && ".join(parts)

    def put(self) -> str:
        """Lay the new files out beside those that run, as they will be."""
        folder, new = quoted_path(self.folder), quoted_path(self.folder, NEW)
        written = write_files((f"{self.folder}/{NEW}/{path}", text) for path, text in self.files)
        return (
            f"rm -rf -- {new} && mkdir -p {new} && "
            f"find {folder} -mindepth 1 -maxdepth 1 ! -name {NEW} -exec cp -r {{}} {new} ';' && "
            f"{written}"
        )

    def drop(self) -> str:
        """Remove what was put."""
        return f"rm -rf -- {quoted_path(self.folder, NEW)}"

    def keep(self) -> str:
        """Have the proxy read what was put also when it starts the next time."""
        moves = (
            f"mkdir -p {quoted_path(self.folder, PurePosixPath(path).parent)} && "
            f"mv -T {quoted_path(self.folder, NEW, path)} {quoted_path(self.folder, path)}"
            for path, _ in self.files
        )
        return " && ".join((*moves, self.drop()))

    def validated(self, container: str) -> str:
        """Put it, and have the running proxy say whether it would take it."""
        inside = ("caddy", "validate", "--adapter", "caddyfile", "--config", _NEW_FILE)
        return f"{self.put()} && {_exec(container, *inside)}"

    def load(self, container: str, *, force: bool, lameduck: float) -> str:
        """Ask the clients to reconnect, wait until none is connected or `lameduck` seconds, load.

        What was put, and is valid. Prints how many were connected then, and when: wall seconds.
        Where the proxy does not take it, its files are as they were. One command, so that the host
        ends what it began although the deployer or its connection is gone: no marker stays up.
        """
        inside = ["caddy", "reload", "--adapter", "caddyfile", "--config", _NEW_FILE]
        loaded = _exec(container, *inside, *(["--force"] if force else []))
        counting = shlex.quote(users_connected((ADMIN_PORT, *self.doors)))
        sockets = _exec(container, "cat", "/proc/net/tcp", "/proc/net/tcp6")
        connected = f"{sockets} 2>/dev/null | awk {counting}"
        return "\n".join(
            (
                f'ducks() {{ for each in {self.markers}; do "$@" "$each/{LAMEDUCK}"; done; }}',
                "trap 'ducks rm -f --' EXIT; trap '' PIPE; ducks touch --",
                f"end=$(($(date +%s%N) + {int(lameduck * 1e9)}))",
                f"while left=$({connected}); [ $left -gt 0 ] && [ $(date +%s%N) -lt $end ]",
                "do sleep 0.2; done",
                "at=$(date +%s.%N)",
                f"if {loaded}; then {self.keep()}",
                f"else {self.drop()}; exit 1; fi",
                'ducks rm -f --; echo "$left $at"',
            )
        )


_NEW_FILE = f"{INSIDE}/{NEW}/Caddyfile"


def configuration(settings: Settings) -> Configuration:
    """What the settings want the proxy to read. Raises UsageError where it cannot be read here."""
    if settings.adopted is None:
        root = settings.directory
        return Configuration(
            folder=f"{root}/shared/proxy",
            markers=quoted_path(root, "traffic"),
            doors=(8001, 8002),
            files=(("Caddyfile", settings.caddyfile_text),),
        )
    root = settings.host_proxy.directory
    return Configuration(
        folder=f"{root}/config",
        markers=f"{quoted_path(root, 'traffic')}/*",
        doors=(settings.host_proxy.door,),
        files=front.files(settings),
    )


def others_only(settings: Settings) -> Configuration:
    """What a host's proxy reads where an adopted application has left it."""
    wanted = configuration(settings)
    return replace(wanted, files=wanted.files[:1])


def _exec(container: str, *words: str) -> str:
    return shlex.join(("docker", "exec", container, *words))
