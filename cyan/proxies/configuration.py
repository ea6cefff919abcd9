"""The files that a proxy reads from its host, and the commands that load others in their place."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.names import Server
from cyan.proxies import caddyfile, nginx
from cyan.proxies.caddy import AUTHORITY
from cyan.proxies.front import INSIDE, OWN_DOORS
from cyan.proxies.markers import ducks
from cyan.world.shell import quoted_path, write_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.settings import Settings

NEW = ".new"
"""The folder within, in which files that are not loaded yet lie as they will."""

OLD = ".old"
"""How the name of a file ends that is kept until the new one is taken."""

ADMIN_PORT = 2019

VERSION = {
    Server.CADDY: ("sh", "-c", "caddy version | cut -d' ' -f1"),
    Server.NGINX: ("sh", "-c", "nginx -v 2>&1 | sed 's,.*/,,'"),
}
"""Prints its version, inside its container."""

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
    its ports, inside its container, that lead to a color's private door. `copied` are files of the
    host that it is to read as well, (path of the host, path in `folder`): certificates.
    """

    folder: str
    markers: str
    doors: tuple[int, ...]
    files: tuple[tuple[str, str], ...]
    server: Server = Server.CADDY
    copied: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """What `digest_command` prints where the proxy reads just these."""
        return hashlib.sha256("".join(text for _, text in self.files).encode()).hexdigest()

    @property
    def digest_command(self) -> str:
        """Prints the digest of what the proxy reads; for the shell of its container."""
        paths = " ".join(quoted_path(self.inside, path) for path, _ in self.files)
        return f"cat {paths} | sha256sum | cut -d' ' -f1"

    def same(self) -> str:
        """Succeeds where the proxy's files are these."""
        parts = (
            f"printf %s {shlex.quote(text)} | cmp -s - {quoted_path(self.folder, path)}"
            for path, text in self.files
        )
        given = (
            f"cmp -s {quoted_path(source)} {quoted_path(self.folder, path)}"
            for source, path in self.copied
        )
        return " && ".join((*parts, *given))

    @property
    def inside(self) -> str:
        """Where the proxy's container finds its configuration."""
        return INSIDE[self.server]

    @property
    def check(self) -> tuple[str, ...]:
        """The command, inside its container, that says whether it would take what was put."""
        new = f"{self.inside}/{NEW}"
        if self.server is Server.NGINX:
            return ("nginx", "-t", "-q", "-c", f"{new}/{nginx.MAIN}")
        return ("caddy", "validate", "--adapter", "caddyfile", "--config", f"{new}/Caddyfile")

    def put(self) -> str:
        """Lay the new files out beside those that run, as they will be."""
        folder, new = quoted_path(self.folder), quoted_path(self.folder, NEW)
        return (
            f"rm -rf -- {new} && mkdir -p {new} && "
            f"find {folder} -mindepth 1 -maxdepth 1 ! -name {NEW} -exec cp -r {{}} {new} ';' && "
            f"{self.write(NEW)}"
        )

    def write(self, within: str = "") -> str:
        """Write what it reads, in place or in a folder `within`."""
        folder = PurePosixPath(self.folder, within)
        # colleagues who may deploy as well lay it out anew, and must read it
        mode = f"$(if [ -g {quoted_path(self.folder)} ]; then echo 640; else echo 600; fi)"
        given = (
            f'install -D -m "{mode}" {quoted_path(source)} {quoted_path(folder, path)}'
            for source, path in self.copied
        )
        return " && ".join(
            (write_files((f"{folder}/{path}", text) for path, text in self.files), *given)
        )

    def drop(self) -> str:
        """Remove what was put."""
        return f"rm -rf -- {quoted_path(self.folder, NEW)}"

    def keep(self) -> str:
        """Have the proxy read what was put also when it starts the next time."""
        moves = (
            f"mkdir -p {quoted_path(self.folder, PurePosixPath(path).parent)} && "
            f"mv -T {quoted_path(self.folder, NEW, path)} {quoted_path(self.folder, path)}"
            for path in self.paths
        )
        return " && ".join((*moves, self.drop()))

    @property
    def own(self) -> tuple[str, ...]:
        """Of the files that it reads those that are one application's: paths in `folder`."""
        return tuple(path for path in self.paths if "/" in path and not path.startswith("ports/"))

    @property
    def paths(self) -> tuple[str, ...]:
        """All that it reads, in `folder`."""
        return (*(path for path, _ in self.files), *(path for _, path in self.copied))

    @property
    def ducks(self) -> str:
        """As `markers.ducks`, for the folders that the proxy looks at."""
        return ducks(self.markers)

    def validated(self, container: str) -> str:
        """Put it, and have the running proxy say whether it would take it."""
        return f"{self.put()} && {_exec(container, *self.check)}"

    def load(self, container: str, *, force: bool, lameduck: float) -> str:
        """Ask the clients to reconnect, wait until none is connected or `lameduck` seconds, load.

        What was put, and is valid. Prints how many were connected then, and when: wall seconds.
        Where the proxy does not take it, its files are as they were. One command, so that the host
        ends what it began although the deployer or its connection is gone: no marker stays up.
        """
        counting = shlex.quote(users_connected((ADMIN_PORT, *self.doors)))
        sockets = _exec(container, "cat", "/proc/net/tcp", "/proc/net/tcp6")
        connected = f"{sockets} 2>/dev/null | awk {counting}"
        return "\n".join(
            (
                f"{self.ducks}; trap 'ducks rm -f --' EXIT; trap '' PIPE; ducks touch --",
                f"end=$(($(date +%s%N) + {int(lameduck * 1e9)}))",
                f"while left=$({connected}); [ $left -gt 0 ] && [ $(date +%s%N) -lt $end ]",
                "do sleep 0.2; done",
                "at=$(date +%s.%N)",
                self._taken(container, force=force),
                'ducks rm -f --; echo "$left $at"',
            )
        )

    def _taken(self, container: str, *, force: bool) -> str:
        """Load what was put, and keep it; where it is not taken all is as it was, exit code 1."""
        if self.server is Server.CADDY:
            new = f"{self.inside}/{NEW}/Caddyfile"
            words = ("caddy", "reload", "--adapter", "caddyfile", "--config", new)
            loaded = _exec(container, *words, *(["--force"] if force else []))
            return f"if {loaded}; then {self.keep()}; else {self.drop()}; exit 1; fi"
        # nginx reads its files where they are, and says nothing of how it went
        paths = [quoted_path(self.folder, path) for path in self.paths]
        old = " && ".join(f"{{ [ ! -e {path} ] || cp -p {path} {path}{OLD}; }}" for path in paths)
        back = "; ".join(
            f"if [ -e {path}{OLD} ]; then mv -T {path}{OLD} {path}; else rm -f -- {path}; fi"
            for path in paths
        )
        gone = " ".join(f"{path}{OLD}" for path in paths)
        loaded = _exec(container, "sh", "-c", nginx.RELOAD)
        return "\n".join(
            (
                # no room for what one would go back to: nothing is begun
                f"{old} || {{ rm -f -- {gone}; {self.drop()}; exit 1; }}",
                f"if {self.keep()} && {loaded}; then rm -f -- {gone}",
                f"else {back}; {self.drop()}; exit 1; fi",
            )
        )


def configuration(settings: Settings) -> Configuration:
    """What the settings want the proxy to read. Raises UsageError where it cannot be read here."""
    of_nginx = settings.server is Server.NGINX
    if settings.adopted is None:
        root = settings.directory
        return Configuration(
            folder=f"{root}/shared/proxy",
            markers=quoted_path(root, "traffic"),
            doors=tuple(OWN_DOORS.values()),
            files=nginx.files(settings) if of_nginx else (("Caddyfile", settings.caddyfile_text),),
            server=settings.server,
            copied=nginx.certificates(settings),
        )
    root = settings.host_proxy.directory
    return Configuration(
        folder=f"{root}/config",
        markers=f"{quoted_path(root, 'traffic')}/*",
        doors=(settings.host_proxy.door,),
        files=nginx.files(settings) if of_nginx else caddyfile.files(settings),
        server=settings.server,
        copied=nginx.certificates(settings),
    )


def authority_command(settings: Settings, container: str) -> str:
    """The shell command that prints the certificate (PEM) by which a local name's users trust it.

    Caddy's own authority's; nginx's is what it was given.
    """
    own = f"{INSIDE[settings.server]}/{nginx.certificate(settings)}"
    path = own if settings.server is Server.NGINX else AUTHORITY
    return _exec(container, "cat", path)


def others_only(settings: Settings) -> Configuration:
    """What a host's proxy reads where an adopted application has left it."""
    wanted = configuration(settings)
    return replace(
        wanted, files=tuple(each for each in wanted.files if "/" not in each[0]), copied=()
    )


def _exec(container: str, *words: str) -> str:
    return shlex.join(("docker", "exec", container, *words))
