"""Moving ports of a host to its proxy, or away from it, while users keep coming: shell scripts.

A second proxy with the same configuration starts beside all that runs, and new connections to the
ports are redirected to it. Then whoever had the ports is stopped, the proxy itself starts with
them, the redirection ends, and the second one asks its clients to connect anew and ends. Nothing is
refused meanwhile. Each script is one command: the host ends what it began although its deployer
is gone. The redirection wants root, or sudo without a password; where that is missing there is the
slow way, in which for about a second connections are refused.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.names import Server
from cyan.proxies import front, markers
from cyan.settings import FRONT
from cyan.world.shell import quoted_path, write_files

if TYPE_CHECKING:
    from cyan.adopted import HostProxySettings

COMPOSE = "compose.json"
SECOND = "second.json"
RULES = "cyan-handover"
"""How the comment of each rule begins, which ends with the proxy's Compose project.

What a script that was killed has left is found by it, and no other proxy's of this host.
"""

NO_RIGHT = 10
UNTOUCHED = 11
AS_BEFORE = 12

RIGHT = """\
if [ "$(id -u)" = 0 ]; then as=; else as="sudo -n"; fi
$as iptables -w 5 -t nat -S >/dev/null 2>&1"""
"""Succeeds where new connections can be redirected; sets `as`."""

_NAT = f"""\
tables=iptables
! $as ip6tables -w 5 -t nat -S >/dev/null 2>&1 || tables="iptables ip6tables"
nat() {{ $as iptables -w 5 -t nat "$@"; }}
unredirect() {{
  mine='/--comment {RULES}--PROJECT /s/^-A/-D/p'
  for each in $tables; do
    $as "$each" -w 5 -t nat -S | sed -n "$mine" | while read -r rule; do
      echo "$rule" | xargs -r $as "$each" -w 5 -t nat
    done
  done
}}
six() {{ # where the engine's own process listens by IPv6 for a port of a container: another port
  docker port "$1" "$2" | sed -n 's/^\\[::\\]://p'
}}
redirect6() {{
  case $tables in *ip6tables) ;; *) return 0 ;; esac
  [ "$passing6" ] || return 0
  for chain in "OUTPUT -o lo" "PREROUTING -m addrtype --dst-type LOCAL"; do
    $as ip6tables -w 5 -t nat -I $chain "$@" --syn -j REDIRECT --to-ports "$passing6" || return
  done
}}
redirect() {{ # a port, the address that it is open on or "", the second proxy's address, the port
  # there that is published, the one that it listens on, and the one that is published by IPv6
  inside=$5 passing6=$6
  set -- "$1" "$2" "$3" "$4" -p tcp --dport "$1" ${{2:+-d "$2"}} \
    -m comment --comment {RULES}--PROJECT
  port=$1 bind=$2 second_=$3 passing=$4
  shift 4
  if [ "$bind" ]; then to="DNAT --to-destination $bind:$passing"
  else to="REDIRECT --to-ports $passing"; fi
  nat -I OUTPUT -o lo "$@" -j $to || return
  case $bind in 127.*) return ;; '') redirect6 "$@" || return ;; esac
  nat -I PREROUTING -m addrtype --dst-type LOCAL "$@" -j DNAT --to-destination "$second_:$inside" ||
    return
  for bridge in /sys/class/net/*/bridge; do
    bridge=${{bridge%/bridge}}
    nat -I PREROUTING -i "${{bridge##*/}}" -m addrtype --dst-type LOCAL "$@" -j $to || return
  done
}}
"""
"""Connections from outside are redirected to the second proxy itself, which keeps their addresses;
those of the host itself, and of its containers, to the port that it publishes: from one of the
engine's networks to another there is no way. A port that is open on one address stays so. Those by
IPv6 go where the engine's own process listens for it, as they do at any time; by their first packet
alone, as nobody may have followed those that are open already."""


def redirecting(project: str) -> str:
    """The shell functions that redirect new connections, for a proxy of that Compose project."""
    return _NAT.replace("PROJECT", project)


KEPT = """\
kept() {
  for each in "$@"; do
    pid=$(docker inspect -f '{{.State.Pid}}' "$each")
    format='{{range $p, $_ := .HostConfig.PortBindings}}{{$p}} {{end}}'
    listens=$(docker inspect -f "$format" "$each")
    for port in $listens; do
      cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null |
        awk -v p="$(printf ':%04X' "${port%/*}")" \\
          '$4 == "01" && substr($2, length($2) - 4) == p { print }'
    done
  done | wc -l
}
"""
"""How many connections users have to containers, by the ports that these publish."""

_SETTLED = """\
settled() { # until their number stays as it is for a second: what came before has been answered
  was=-1 same=0
  for _ in $(seq 40); do
    now=$(kept "$@")
    if [ "$now" = "$was" ]; then same=$((same + 1)); else same=0; fi
    [ "$same" -lt 4 ] || break
    was=$now
    sleep 0.25
  done
}
"""
"""Waits at most ten seconds or so for requests that began before the redirection."""

_READY = """\
ready() { # until each is healthy or, where it has no check, takes connections
  for each in "$@"; do
    docker inspect "$each" >/dev/null 2>&1 || continue
    format='{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'
    address=$(docker inspect -f "$format" "$each" | cut -d' ' -f1)
    format='{{range $p, $_ := .HostConfig.PortBindings}}{{$p}} {{end}}'
    listens=$(docker inspect -f "$format" "$each" | cut -d/ -f1)
    format='{{if .State.Health}}{{.State.Health.Status}}{{end}}'
    for _ in $(seq 300); do
      health=$(docker inspect -f "$format" "$each")
      [ "$health" != healthy ] || break
      [ "$health$listens" ] || break # it answers nobody
      if [ -z "$health" ] && [ "$listens" ]; then
        timeout 1 bash -c "exec 3<>/dev/tcp/$address/$listens" 2>/dev/null && break
      fi
      sleep 0.2
    done
  done
}
"""
"""Waits at most a minute for each container that begins."""


@dataclass(frozen=True)
class Handover:
    """What the proxy shall publish from now on for each application, and what makes way for it.

    `ports` of the host, as PORT or ADDRESS:PORT, are redirected meanwhile: those that change hands
    and those that the proxy has already. `stopped` are the containers that end for it, `started`
    those that begin after it: names; each has `grace` seconds to end. Where those are not there any
    more, `again` makes them.
    `then` is a command that writes down how it is, as soon as it is so: the deployer may be gone.
    While the folder `held` has a marker by which requests wait, the second proxy stays: some wait
    in it.
    """

    settings: HostProxySettings
    published: front.Published
    ports: tuple[str, ...]
    stopped: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    grace: int = 10
    again: str = ":"
    then: str = ":"
    held: str = ""

    @property
    def script(self) -> str:
        """Hand over. Prints how many connections were cut, and when, wall seconds of the host.

        Exits with NO_RIGHT where nothing can be redirected, with UNTOUCHED where nothing was
        touched, with AS_BEFORE where all is again as it was.
        """
        redirected = "\n".join(
            f'redirect {port} "{bind}" "$ip" "$(published {port})" {port} '
            f'"$(six "$stands" {port})" || exit {UNTOUCHED}'
            for bind, _, port in (each.rpartition(":") for each in self.ports)
        )
        address = f'{{{{(index .NetworkSettings.Networks "{front.NETWORK}").IPAddress}}}}'
        return f"""\
trap '' PIPE HUP
{RIGHT} || exit {NO_RIGHT}
{redirecting(self.settings.project)}{KEPT}{_SETTLED}{_READY}
{self._second_is}
published() {{ second port {FRONT} "$1" | sed 's/.*://'; }}
ended() {{
  unredirect
  {self._ended}
  {self._unwritten}
}}
trap ended EXIT
unredirect
{self._written}
second up -d --wait --no-build --pull missing >&2 || exit {UNTOUCHED}
stands=$(second ps -q {FRONT})
ip=$(docker inspect -f {shlex.quote(address)} "$stands")
{redirected}
settled {shlex.join(self.stopped)}
{self._moved}"""

    @property
    def slow(self) -> str:
        """The same for who may redirect nothing: for about a second connections are refused."""
        return f"""\
trap '' PIPE HUP
{KEPT}{_READY}
ended() {{ {self._unasked}; {self._unwritten}; }}
trap ended EXIT
{self._written}
{self._moved}"""

    @property
    def _moved(self) -> str:
        """The ports change hands; where the proxy does not come up, they are given back."""
        stop = _docker(("stop", "-t", str(self.grace)), self.stopped)
        start, back = _docker(("start",), self.started), _docker(("start",), self.stopped)
        front_ = self._compose(self.settings.project, COMPOSE)
        return f"""\
{self._asked}
left=$(kept {shlex.join(self.stopped)})
at=$(date +%s.%N)
{stop} >&2
if ! {front_} up -d --wait --no-build --pull missing >&2; then
  {front_} rm -sf >&2
  {back} >&2
  if [ -e {self._old} ]; then {self._unwritten}; {front_} up -d --wait >&2; fi
  exit {AS_BEFORE}
fi
{self._unasked}
{self.then}
{start} >&2 || {self.again} >&2
ready {shlex.join(self.started)}
rm -f -- {self._old}
echo "$left $at"
"""

    @property
    def _ended(self) -> str:
        """The second proxy ends: now, or as soon as nothing waits in it any more."""
        down = (
            f"{self._asked}; second down -t 40 >/dev/null 2>&1; {self._unasked}; "
            f"rm -f -- {self._second}"
        )
        if not self.held:
            return down
        waits = f"ls {quoted_path(self.held)} | grep -q ^{markers.HOLD}"
        late = f"for _ in $(seq 500); do {waits} || break; sleep 0.2; done; {down}"
        script = shlex.quote(f"{self._second_is}; {late}")
        return f"setsid -f bash -c {script} </dev/null >/dev/null 2>&1"

    @property
    def _second_is(self) -> str:
        """Defines `second`, which begins a Compose command of the second proxy's."""
        return f'second() {{ {self._compose(f"{self.settings.project}-second", SECOND)} "$@"; }}'

    @property
    def _asked(self) -> str:
        """Has clients connect anew before a proxy ends that, nginx, does not ask it by itself."""
        if self.settings.server is Server.CADDY:
            return ":"
        return f"{self._ducks}; ducks touch --; sleep {front.DYING}"

    @property
    def _unasked(self) -> str:
        return f"{self._ducks}; ducks rm -f --"

    @property
    def _ducks(self) -> str:
        return markers.ducks(f"{quoted_path(self.settings.directory, 'traffic')}/*")

    @property
    def _old(self) -> str:
        return quoted_path(self.settings.directory, f"{COMPOSE}.old")

    @property
    def _second(self) -> str:
        return quoted_path(self.settings.directory, SECOND)

    @property
    def _unwritten(self) -> str:
        """Has the proxy's file be the one that ran, unless the other took its place for good."""
        current = quoted_path(self.settings.directory, COMPOSE)
        return f"if [ -e {self._old} ]; then mv -T {self._old} {current}; fi"

    @property
    def _written(self) -> str:
        """Writes both Compose files, and keeps the one that ran."""
        folder = self.settings.directory
        current = quoted_path(folder, COMPOSE)
        files = [
            (f"{folder}/{SECOND}", front.compose_file(self.settings, self.published, self.ports)),
            (f"{folder}/{COMPOSE}", front.compose_file(self.settings, self.published)),
        ]
        keep = f"{{ [ ! -e {current} ] || cp {current} {self._old}; }}"
        return f"{keep} && {write_files(files)} || exit {UNTOUCHED}"

    def _compose(self, project: str, file: str) -> str:
        return compose(self.settings, project, file)


def compose(settings: HostProxySettings, project: str, file: str = COMPOSE) -> str:
    """The shell words that begin a Compose command of the proxy's."""
    path = str(settings.directory / file)
    return shlex.join(("docker", "compose", "--progress", "quiet", "-p", project, "-f", path))


def _docker(words: tuple[str, ...], containers: tuple[str, ...]) -> str:
    """A command on containers; nothing to do where there are none."""
    return shlex.join(("docker", *words, *containers)) if containers else ":"
