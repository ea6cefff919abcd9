"""nginx as the proxy: its files, from the same routes as Caddy's, and its count of requests: pure.

The markers, their order and the words of its log are those of Caddy's configuration, so that no
part of a rotation knows which of the two it meets. What differs is how requests in flight are
counted, and how one waits: `connections` and the template app.conf.j2 say it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.application.color import upstream
from cyan.bundled import text_of
from cyan.names import Color
from cyan.proxies import caddy, markers
from cyan.proxies.front import LONGEST, OWN_DOORS, REQUESTS
from cyan.proxies.sites import Site, sites_of

if TYPE_CHECKING:
    from cyan.adopted import RouteSettings
    from cyan.settings import Settings

MAIN = "nginx.conf"

ALIVE = 2019
"""Where it answers its own container, for a check of its health: Caddy's admin API is there."""

INTERVAL = 250
"""Milliseconds after which a request that waits looks again whether it still has to."""

ROLLED = 512 * 2**20  # bytes of its log after which another begins: it does not roll it by itself
KEPT = 4  # of those that were rolled

TEMPLATES = Path(__file__).parent / "templates"

START = f"""\
# nginx does not roll its logs: here it is told to.
(
  while sleep 30; do
    for log in $(find /logs -name access.json -size +{ROLLED // 2**20 - 1}M); do
      mv "$log" "${{log%.json}}-$(date -u +%Y-%m-%dT%H-%M-%S.000).json"
      nginx -s reopen
      ls -1r "${{log%.json}}"-*.json | tail -n +{KEPT + 1} | xargs -r rm -f --
    done
  done
) &
exec nginx -g "daemon off;"
"""
RELOAD = """\
workers() {
  for each in /proc/[0-9]*; do
    if tr '\\0' ' ' <$each/cmdline 2>/dev/null | grep -q '^nginx: worker process *$'
    then echo "$each"
    fi
  done
}
before=$(workers)
nginx -s reload || exit
for _ in $(seq 100); do
  sleep 0.1
  now=$(workers)
  same=
  for each in $before; do case " $(echo $now) " in *" $each "*) same=1 ;; esac; done
  if [ "$now" ] && [ -z "$same" ]; then exit 0; fi
done
echo "nginx goes on with what it had; its log says why" >&2
exit 1
"""
"""Loads its files, for the shell of its container: others do its work then, or it was refused."""


@dataclass(frozen=True)
class _Server:
    """What users ask for by one name, in nginx's words.

    `routes` are (color, pattern of the path, backend) in the order in which they are tried,
    `others` the same with the backend of the other color; `redirect` is the plain port that leads
    to `secure`, ":PORT" or "".
    """

    name: str
    listen: tuple[str, ...]
    routes: tuple[tuple[str, str, str], ...]
    others: tuple[tuple[str, str, str], ...]
    tls: bool
    redirect: int | None
    secure: str


def files(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The files of an application, and those that include them: (path in its folder, text)."""
    app, adopted = settings.app, settings.adopted is not None
    doors = (settings.host_proxy.door,) if adopted else tuple(OWN_DOORS.values())
    main = _rendered(
        "nginx.conf.j2",
        alive=ALIVE,
        doors=doors,
        asked="$http_x_cyan_door" if adopted else "$server_port",
    )
    return (
        (MAIN, main),
        ("start.sh", START),
        *(_port(port, tls=tls) for port, tls in _shared_ports(settings)),
        (f"doors/{app}.conf", _doors(settings)),
        (f"apps/{app}.conf", _app(settings)),
    )


def in_front(settings: Settings) -> str:
    """A server block for an nginx of the user's own that stays in front of the host's proxy."""
    ports = {site.port: site.host or settings.site.host for site in sites_of(settings)}
    return _rendered(
        "in_front.conf.j2",
        app=settings.app,
        id=_identifier(settings.app),
        tls=settings.site.behind == "https",
        servers=[(port, name) for port, name in ports.items() if port],
    )


def certificates(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What it reads of the host's: (path of the host, path in its folder)."""
    site = settings.site
    if not (site.certificate and site.key):
        return ()
    return ((str(site.certificate), certificate(settings)), (str(site.key), _key(settings)))


def certificate(settings: Settings) -> str:
    """Its certificate, in its folder."""
    return f"certificates/{settings.app}.crt"


def _key(settings: Settings) -> str:
    return f"certificates/{settings.app}.key"


def _app(settings: Settings) -> str:
    app, adopted = settings.app, settings.adopted
    snippet = adopted.snippet if adopted else None
    return _rendered(
        "app.conf.j2",
        app=app,
        id=_identifier(app),
        traffic=markers.markers_of(settings),
        log=f"/logs/{app}/access.json" if adopted else "/logs/access.json",
        loopback=caddy.loopback(app),
        gate=caddy.GATE,
        held=[markers.held(color) for color in (None, *Color)],
        interval=INTERVAL,
        tries=1000 * LONGEST // INTERVAL,
        longest=LONGEST,
        requests=REQUESTS,
        servers=[_server(settings, site) for site in sites_of(settings)],
        certificate=certificate(settings),
        key=_key(settings),
        assets="|".join(f"^{_escaped(path)}$" for path in (adopted.assets if adopted else ())),
        tell_color=settings.site.tell_color,
        behind=settings.site.behind,
        snippet=text_of(snippet, "cyan.adopted.snippet", "") if snippet else "",
    )


def _server(settings: Settings, site: Site) -> _Server:
    given = settings.site
    tls = bool(given.certificate)
    default = "" if site.host else " default_server"
    listen = [f"{site.port}{default}"] if site.port else []
    if tls and (not site.port or settings.adopted is None):
        listen.append(f"{given.tls_port} ssl http2{default}")
    return _Server(
        name=site.host,
        listen=tuple(listen),
        routes=tuple(_routes(settings, site)),
        others=tuple(_routes(settings, site, other=True)),
        tls=tls,
        redirect=None if site.port else given.port,
        secure="" if given.tls_port == 443 else f":{given.tls_port}",  # noqa: PLR2004 - HTTPS
    )


def _routes(settings: Settings, site: Site, *, other: bool = False) -> list[tuple[str, str, str]]:
    return [
        (
            str(color),
            _pattern(route.path),
            _backend(settings, color.other if other else color, route),
        )
        for color in Color
        for route in site.ordered
    ]


def _doors(settings: Settings) -> str:
    """The lines of a map: who asks for which door, by which name, for which path; and who answers.

    The name counts only where the application has several.
    """
    sites = sorted(sites_of(settings), key=lambda site: not site.host)
    lines = []
    for color in Color:
        asked = settings.project(color) if settings.adopted else str(OWN_DOORS[color])
        for site in sites:
            host = re.escape(site.host) if site.host and len(sites) > 1 else "[^ ]*"
            lines += [
                f'"~*^{asked} {host} {_pattern(route.path)}" {_backend(settings, color, route)};\n'
                for route in site.ordered
            ]
    return "".join(lines)


def _backend(settings: Settings, color: Color, route: RouteSettings) -> str:
    host = upstream(settings.app, color, route.service) if settings.adopted else str(color)
    return f"{host}:{route.port}"


def _pattern(path: str) -> str:
    """A route's path as the end of a regular expression; "" is any."""
    if not path or path in {"/", "/*"}:
        return ""
    if "*" in path:
        return f"{_escaped(path)}$"
    return f"{_escaped(path.rstrip('/'))}(/|$)"


def _escaped(path: str) -> str:
    """A path of Caddy's, whose `*` is anything, as a regular expression in nginx's quotes."""
    return re.escape(path).replace(r"\*", ".*").replace('"', r"\"")


def _shared_ports(settings: Settings) -> list[tuple[int, bool]]:
    """The ports on which it is asked for names: (port, whether over TLS)."""
    named = [site for site in sites_of(settings) if site.host]
    ports = {(site.port or settings.site.port, False) for site in named}
    if settings.site.certificate and any(site.port is None for site in named):
        ports.add((settings.site.tls_port, True))
    return sorted(ports)


def _port(port: int, *, tls: bool) -> tuple[str, str]:
    """What a name gets that no application has."""
    answer = "ssl_reject_handshake on;" if tls else 'location / { return 404 "404: no such site"; }'
    listen = f"{port} ssl http2" if tls else str(port)
    return (
        f"ports/{port}.conf",
        f'server {{\n  listen {listen};\n  server_name "";\n  {answer}\n}}\n',
    )


def _identifier(app: str) -> str:
    """An application in the names of variables and zones; `$1…` would be what a regex found."""
    return f"in_{app.replace('-', '_')}"


def _rendered(template: str, **given: object) -> str:
    import jinja2  # noqa: PLC0415 - heavy, and only for who has nginx

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(  # noqa: S701 - no page: every value is validated where it enters
        loader=loader,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**given)


_COUNT = r"""
function number(hex, at, sum) {
  for (at = 1; at <= length(hex); at++)
    sum = 16 * sum + index("0123456789ABCDEF", substr(hex, at, 1)) - 1
  return sum
}
function address(hex) { # its bytes are in the machine's order
  return ((number(substr(hex, 7, 2)) * 256 + number(substr(hex, 5, 2))) * 256 \
    + number(substr(hex, 3, 2))) * 256 + number(substr(hex, 1, 2))
}
function within(ip, nets, each, part, at, size) {
  for (each = split(nets, part, " "); each; each--) {
    if (split(part[each], at, /[.\/]/) != 5) continue # of IPv6
    size = 2 ^ (32 - at[5])
    if (int(ip / size) == int((((at[1] * 256 + at[2]) * 256 + at[3]) * 256 + at[4]) / size))
      return 1
  }
}
BEGIN { # without the networks nothing would be counted, which is no zero
  lost = blue !~ /[0-9]\./ || green !~ /[0-9]\./
  if (lost) { print "the networks are not known"; exit }
}
$4 == "0A" { listens[substr($2, 10)] = 1 }
$4 ~ /^0[1238]$/ { here[++n] = substr($2, 10); there[n] = $3 }
END {
  if (lost) exit 1
  for (; n; n--) {
    if (there[n] == gate) waiting++
    if (here[n] in listens) continue
    ip = address(substr(there[n], 1, 8))
    if (within(ip, blue)) blues++
    if (within(ip, green)) greens++
  }
  form = "{\"address\":\"%s\",\"num_requests\":%d}"
  printf "[" form "," form "," form "]", "blue", blues, "green", greens, where, waiting
}
"""
"""Of /proc/net/tcp: established (01), being opened (02, 03), or closed by the other side (08).

https://docs.kernel.org/networking/proc_net_tcp.html. Those that came in lead from a port that it
listens on (0A).
"""


def connections(app: str) -> str:
    """Prints the requests in flight as Caddy's admin API does; for the shell of its container.

    Each has a connection of its own, to a color's network; those that wait, one to the gate.
    """
    ip = "".join(f"{int(part):02X}" for part in reversed(caddy.loopback(app).split(".")))
    given = {"gate": f"{ip}:{caddy.GATE:04X}", "where": caddy.waiting(app)}
    words = " ".join(f"-v {name}={shlex.quote(text)}" for name, text in given.items())
    nets = " ".join(f'-v {color}="${color.upper()}"' for color in Color)
    return f"awk {words} {nets} {shlex.quote(_COUNT)} /proc/net/tcp"


def networks(settings: Settings) -> str:
    """What `docker exec` is to tell `connections`: the colors' networks, as the host knows them."""
    form = shlex.quote("{{range .IPAM.Config}}{{.Subnet}} {{end}}")
    return " ".join(
        f'-e {color.upper()}="$(docker network inspect -f {form} {settings.project(color)})"'
        for color in Color
    )
