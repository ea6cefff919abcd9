"""A proxy that takes the place of another on the same ports: its files, and the scripts, as text.

The one that stands in meanwhile starts beside it, with the new image, definition and configuration,
on ports of its own, and is asked as users do. Then new connections are redirected to it, the old
one asks its clients to connect anew, finishes and ends, and the new one starts in its place; the
redirection ends, and so does the stand-in, in the same way. Nobody is refused meanwhile, and where
the new one does not come up the old one does, while users are served by the stand-in.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan.hosts import handover, sharing
from cyan.hosts.handover import AS_BEFORE, KEPT, NO_RIGHT, RIGHT, UNTOUCHED, redirecting
from cyan.proxies import front
from cyan.proxies.configuration import NEW
from cyan.proxies.front import DYING
from cyan.settings import FRONT
from cyan.world.shell import quoted_path, write_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cyan.adopted import HostProxySettings
    from cyan.hosts.sharing import Joined
    from cyan.proxies.configuration import Configuration

OLD = ".old"  # how the name of a file ends that is kept until the new one has proven itself
STANDS = 13
"""Exit code where neither proxy comes up in its place: the one that stands in goes on serving."""

ENDING = 40  # seconds that the stand-in may take to end: its lame duck, its grace, and some

ENDS = f"""\
ends() {{ # a container: its clients are asked to connect anew, and what it has begun ends
  left=$(kept "$1")
  asked "$1"
  docker stop -t {ENDING} "$1" >/dev/null
  ducks rm -f --
  echo "$left $(date -d "$(docker inspect -f '{{{{.State.FinishedAt}}}}' "$1")" +%s.%N)"
}}
"""
"""Prints how many connections it had, and when it had ended, in wall seconds."""


@dataclass(frozen=True)
class Port:
    """A port that users reach: on which address of the host ("": any), and inside the container."""

    bind: str
    published: int
    target: int


@dataclass(frozen=True)
class Upgrade:
    """What takes the place of what.

    `project` is the proxy's, of Compose; `main` and `second` are the shell words that begin a
    Compose command of the proxy's, and of the one that stands in for it, whose `service` is called
    alike; `network` is one that leads to it. `files` of the host are written for the proxy, (path,
    text), beside its `configuration`; `second_file` is the stand-in's.
    """

    project: str
    main: str
    second: str
    service: str
    network: str
    ports: tuple[Port, ...]
    configuration: Configuration
    files: tuple[tuple[str, str], ...]
    second_file: tuple[str, str]

    @property
    def stand_in(self) -> str:
        """Start the one that stands in; prints a line for each port: it, and where it is open.

        Exits with NO_RIGHT where nothing can be redirected, with UNTOUCHED where it does not start.
        """
        asked = "\n".join(f"echo {each.target} $(published {each.target})" for each in self.ports)
        return f"""\
{RIGHT} || exit {NO_RIGHT}
{redirecting(self.project)}
{self._second}
unredirect # first, or what a script that was killed has left would lead users to nobody
{self.call_off}
{self.configuration.put()} && {write_files([self.second_file])} || exit {UNTOUCHED}
if ! second up -d --wait --no-build --pull missing >&2; then
  second logs --no-log-prefix --tail 5 >&2
  {self.call_off}
  exit {UNTOUCHED}
fi
{asked}"""

    @property
    def call_off(self) -> str:
        """End the stand-in, to which nobody was led, and leave nothing of what was tried."""
        return (
            f"{self.second} down -t {ENDING} >/dev/null 2>&1; "
            f"rm -f -- {quoted_path(self.second_file[0])}; {self.configuration.drop()}"
        )

    @property
    def script(self) -> str:
        """Hand over to the new one. Prints of the old one, and of the stand-in, a line each.

        How many connections were open when it was told to end, and when it had, in wall seconds of
        the host. One command: the host ends what it began although its deployer is gone. Exits with
        UNTOUCHED where nothing was, AS_BEFORE where the old one is up again, STANDS where none is.
        """
        redirected = "\n".join(
            f'redirect {each.published} "{each.bind}" "$ip" "$(published {each.target})" '
            f'{each.target} "$(six "$stands" {each.target})" || exit {UNTOUCHED}'
            for each in self.ports
        )
        address = f'{{{{(index .NetworkSettings.Networks "{self.network}").IPAddress}}}}'
        runs = f"{self.main} ps -q --status running {self.service}"
        up = f"up -d --wait --no-build --pull missing --no-deps --force-recreate {self.service}"
        return f"""\
trap '' PIPE HUP
{RIGHT} || exit {NO_RIGHT}
{redirecting(self.project)}{KEPT}{self._asked}{ENDS}
{self._second}
ended() {{
  ducks rm -f --
  [ "$({runs})" ] || {self.main} {up} >&2 || exit {STANDS} # users stay with who stands in
  unredirect
  {self.call_off}
}}
trap ended EXIT
unredirect
stands=$(second ps -q {self.service})
[ "$stands" ] || exit {UNTOUCHED}
ip=$(docker inspect -f {shlex.quote(address)} "$stands")
{redirected}
sleep 1 # what was being connected has come
if ! {{ {self._save}; }}; then {self._forget}; exit {UNTOUCHED}; fi # no room to go back with
# a host whose power fails now has it again: one that restarts always does, though it was stopped
docker update --restart always "$({runs})" >/dev/null
ends "$({runs})"
if ! {{ {self._swap} && {self.main} {up} >&2; }}; then
  {self.main} logs --no-log-prefix --tail 5 {self.service} >&2
  {self._restore}
  exit {AS_BEFORE} # once `ended` has started it
fi
{self._forget}
unredirect
sleep 1
ends "$stands"
"""

    @property
    def _asked(self) -> str:
        """Defines `asked`: who ends asks for it by itself or, nginx, by the marker."""
        asks = f"ducks touch --; sleep {DYING}"
        by_marker = 'docker exec "$1" sh -c "command -v nginx" >/dev/null 2>&1'
        return f"{self.configuration.ducks}\nasked() {{ ! {by_marker} || {{ {asks}; }}; }}\n"

    @property
    def _second(self) -> str:
        return (
            f'second() {{ {self.second} "$@"; }}\n'
            f"published() {{ second port {self.service} \"$1\" | sed 's/.*://'; }}"
        )

    @property
    def _paths(self) -> tuple[str, ...]:
        read = (f"{self.configuration.folder}/{path}" for path in self.configuration.paths)
        return (*(path for path, _ in self.files), *read)

    @property
    def _save(self) -> str:
        pairs = ((quoted_path(path), quoted_path(path + OLD)) for path in self._paths)
        return " && ".join(f"{{ [ ! -e {path} ] || cp -p {path} {old}; }}" for path, old in pairs)

    @property
    def _swap(self) -> str:
        return f"{write_files(self.files)} && {self.configuration.write()}"

    @property
    def _restore(self) -> str:
        return "; ".join(
            f"if [ -e {quoted_path(path + OLD)} ]; "
            f"then mv -T {quoted_path(path + OLD)} {quoted_path(path)}; fi"
            for path in self._paths
        )

    @property
    def _forget(self) -> str:
        return f"rm -f -- {' '.join(quoted_path(path + OLD) for path in self._paths)}"


def of_the_host(
    host: HostProxySettings,
    joined: Mapping[str, Joined],
    wanted: Configuration,
    more: tuple[tuple[str, str], ...] = (),
) -> Upgrade:
    """The upgrade of the host's one proxy, for who has joined it; `more` files are written as well.

    `joined` wants a port at least: one that nobody can reach has nobody to lose.
    """
    published, ports = sharing.published(joined), sharing.ports(joined)
    path = str(host.directory / handover.SECOND)
    beside = front.compose_file(host, published, ports)
    read = f":{wanted.inside}:ro"
    text = beside.replace(f"{wanted.folder}{read}", f"{wanted.folder}/{NEW}{read}")
    main = (str(host.directory / handover.COMPOSE), front.compose_file(host, published))
    return Upgrade(
        project=host.project,
        main=handover.compose(host, host.project),
        second=handover.compose(host, f"{host.project}-second", handover.SECOND),
        service=FRONT,
        network=front.NETWORK,
        ports=tuple(
            Port(each.rpartition(":")[0], sharing.number(each), sharing.number(each))
            for each in ports
        ),
        configuration=wanted,
        files=(main, *more),
        second_file=(path, text),
    )


def standing_in(resolved: str, service: str, folder: str, doors: Iterable[int]) -> str:
    """The Compose file of a stand-in, JSON: what Compose resolved of a proxy's, on free ports.

    Without its `doors`; it reads the new configuration beside the one in `folder`, and has no
    label by which it would be taken for the proxy.
    """
    told: dict[str, Any] = json.loads(resolved)
    proxy = told["services"][service]
    left_out = ("container_name", "depends_on", "profiles", "labels", "hostname")
    made = {key: value for key, value in proxy.items() if key not in left_out}
    made["restart"] = "no"  # nobody is led to one that comes back with the engine
    made["ports"] = [
        {key: value for key, value in each.items() if key != "published"}
        for each in proxy.get("ports", ())
        if int(each["target"]) not in {*doors}
    ]
    made["volumes"] = [
        {**each, "source": f"{folder}/{NEW}"} if each.get("source") == folder else each
        for each in proxy.get("volumes", ())
    ]
    external = {
        kind: {
            key: {"name": each["name"], "external": True}
            for key, each in (told.get(kind) or {}).items()
        }
        for kind in ("networks", "volumes")
    }
    return json.dumps({"services": {service: made}, **external}, indent=1)


def ports_of(resolved: str, service: str, doors: Iterable[int]) -> tuple[Port, ...]:
    """The ports that users reach a proxy at, by what Compose resolved of its file."""
    told: dict[str, Any] = json.loads(resolved)
    anywhere = ("", "0.0.0.0", "::")  # noqa: S104 - what the file says
    return tuple(
        Port(
            "" if each.get("host_ip", "") in anywhere else each["host_ip"],
            int(each["published"]),
            int(each["target"]),
        )
        for each in told["services"][service].get("ports", ())
        if int(each["target"]) not in {*doors}
    )
