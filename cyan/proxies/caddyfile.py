"""The files of the host's one proxy where it is Caddy, from an application's routes: pure.

Each application has two files of its own: its sites, for users, and its colors' private doors. All
doors are one port on the host's loopback; the header `X-Cyan-Door: shop-blue` says which. To move
an application's traffic cyan renames a file in its folder of /traffic, as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.application.color import upstream
from cyan.bundled import text_of
from cyan.names import Color
from cyan.proxies import caddy, markers, sticky
from cyan.proxies.caddy import indented
from cyan.proxies.front import DOOR, DYING, GRACE, LONGEST, REQUESTS
from cyan.proxies.sites import USUAL
from cyan.proxies.sites import sites_of as sites_of_routes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cyan.adopted import RouteSettings
    from cyan.proxies.sites import Site
    from cyan.settings import Settings

DIAL = "8s"
"""To connect to a color: where its backlog is full the first asking is dropped, and the kernel asks
again after one second and after three (RFC 6298, section 2; Linux: tcp_syn_retries)."""

KEEPS = 1.0
"""Seconds that an idle connection is kept to a color that was seen to keep it for longer."""

AGAIN = 8  # seconds that a second try may take

_MAIN = f"""\
# The host's one proxy. Each application adds its sites and its doors; see apps/ and doors/.
{{
	# Within the proxy's container only: whoever reaches the admin API can rewrite the proxy.
	admin localhost:2019
	skip_install_trust
	# A proxy that ends asks its clients to connect anew, then finishes what it has begun.
	shutdown_delay {DYING}s
	grace_period {GRACE}s
	log {{
		level WARN
	}}
}}
import apps/*.caddy
http://:DOOR {{
	import doors/*.caddy
	respond "404: no such door" 404
}}
"""


def files(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The files of an application, and the one that includes them: (path below config/, text)."""
    return (
        ("Caddyfile", _MAIN.replace("DOOR", str(settings.host_proxy.door))),
        (f"apps/{settings.app}.caddy", sites_of(settings)),
        (f"doors/{settings.app}.caddy", doors_of(settings)),
    )


def sites_of(settings: Settings) -> str:
    """An application's sites, as Caddyfile, and where their requests wait."""
    sites = (_site(settings, site) for site in sites_of_routes(settings))
    return "".join((*sites, _waiting(settings.app)))


def doors_of(settings: Settings) -> str:
    """The private doors of an application's colors, as the part of a Caddyfile's site."""
    return "".join(
        f"@{settings.app}-{color} header {DOOR} {settings.app}-{color}\n"
        f"handle @{settings.app}-{color} {{\n"
        f"\trequest_header -{DOOR}\n"
        f"{indented(_by_host(settings, color), 1)}"
        "}\n"
        for color in Color
    )


def _site(settings: Settings, site: Site) -> str:
    app = settings.app
    body = "\n".join(
        (
            _log(app),
            _identity(settings, site.routes),
            _LAMEDUCK.replace("APP", app),
            *_snippet(settings),
            _errors(settings),
            _marker(settings, site.routes),
        )
    )
    made = f"{site.address} {{\n{indented(body, 1)}}}\n"
    plain = settings.site.port
    if site.port or plain == USUAL[0]:  # from there Caddy redirects by itself
        return made
    return f"{made}http://{site.host}:{plain} {{\n\tredir https://{site.address}{{uri}} 308\n}}\n"


def _waiting(app: str) -> str:
    """Where an application's requests wait, and the gate: it opens where none is to wait.

    A request is led here as a GET without a body, so that its own stays with who sent it, and goes
    on when the gate is open. Those in flight to this place are those that wait.
    """
    here = caddy.loopback(app)
    return f"""\
http://{here}:{caddy.WAITING} {{
	bind {here}
	reverse_proxy {here}:{caddy.GATE} {{
		header_up Host {{upstream_hostport}}
		health_uri /
		health_interval 100ms
		lb_try_duration {LONGEST}s
		lb_try_interval 100ms
	}}
}}
http://{here}:{caddy.GATE} {{
	bind {here}
	root * /traffic/{app}
	@hold file {_HELD}
	abort @hold
	respond 204
}}
"""


def _snippet(settings: Settings) -> Iterator[str]:
    """What the user adds to each site. Raises UsageError where the file cannot be read."""
    if settings.adopted and settings.adopted.snippet:
        yield text_of(settings.adopted.snippet, "cyan.adopted.snippet", "")


def _errors(settings: Settings) -> str:
    """What is no fault of the proxy's.

    An asset which no color has, where only one color is up; and more requests than may wait.
    """
    gone = ""
    if settings.adopted and settings.adopted.assets:
        paths = " ".join(settings.adopted.assets)
        gone = (
            "\t@gone {\n"
            f"\t\tpath {paths}\n"
            "\t\tvars {http.error.status_code} 502\n"
            "\t}\n"
            "\trespond @gone 404\n"
        )
    return (
        f"handle_errors {{\n{gone}"
        "\t@full vars {http.error.status_code} 503\n"
        "\theader @full Retry-After 5\n"
        '\trespond @full "503: more requests wait than may" 503\n'
        "}\n"
    )


def _log(app: str) -> str:
    return (
        f"log {{\n\toutput file /logs/{app}/access.json {{\n"
        "\t\troll_size 512MiB\n\t\troll_keep 4\n\t}\n}\n"
    )


def _identity(settings: Settings, routes: Iterable[RouteSettings]) -> str:
    """A request id where the client has none; color, id and latency as the log's `user_id`.

    Caddy logs {http.auth.user.id} so, also of what is upgraded or fails.
    """
    asked = sorted({(route.service, route.port) for route in routes})
    lines = [
        f'\t{upstream(settings.app, color, service)}:{port} "{color} '
        '{http.request.header.X-Request-ID} {http.reverse_proxy.upstream.latency_ms}"'
        for color in Color
        for service, port in asked
    ]
    return "\n".join(
        (
            "@norid not header X-Request-ID *",
            "request_header @norid X-Request-ID {http.request.uuid}",
            "map {http.reverse_proxy.upstream.hostport} {http.auth.user.id} {",
            *lines,
            "\tdefault -",
            "}\n",
        )
    )


_LAMEDUCK = """\
# Clients are asked to connect anew before a reload, or before this proxy ends; not those who ask
# for a WebSocket, whose handshake would be none with that.
@lameduck {
	file {
		root /traffic/APP
		try_files lameduck
	}
	not header Connection *pgrade*
}
header @lameduck Connection close
@dying {
	vars {http.shutting_down} true
	not header Connection *pgrade*
}
header @dying Connection close
"""


def _marker(settings: Settings, routes: tuple[RouteSettings, ...]) -> str:
    """Which color is live: the first of these markers that exists.

    The switch is a rename that may fall between the looks at green and at blue; the second look,
    also of what has waited, finds where it went.
    """
    to = {color: _to(settings, routes, color) for color in (Color.GREEN, Color.BLUE)}
    colors = "".join(
        f"\thandle @{color} {{\n{indented(sticky.giving(settings, color, text), 2)}\t}}\n"
        for color, text in to.items()
    )
    return (
        f"root * /traffic/{settings.app}\n"
        f"@maintenance file {markers.MAINTENANCE}\n"
        f"@green file {Color.GREEN}\n"
        f"@blue file {Color.BLUE}\n"
        f"@hold file {_HELD}\n"
        f"{_kept(settings)}"
        f"{sticky.matchers(settings)}"
        "route {\n"
        "\thandle @maintenance {\n"
        "\t\theader Retry-After 60\n"
        '\t\trespond "503: the site is in maintenance" 503\n'
        "\t}\n"
        f"{indented(sticky.leading(settings, to), 1)}"
        f"{colors}"
        f"{indented(_hold(settings.app), 1)}"
        f"{colors}"
        f'\trespond "503: no color of {settings.app} is live" 503\n'
        "}\n"
    )


_HELD = " ".join(map(markers.held, (None, *Color)))


def _kept(settings: Settings) -> str:
    """The matchers of colors whose idle connections may be kept, where that is for cyan to see."""
    by_itself = Color if settings.site.keepalive == "auto" else ()
    return "".join(f"@{markers.kept(color)} file {markers.kept(color)}\n" for color in by_itself)


def _hold(app: str) -> str:
    """Have a request wait where it is to; it is then led as if it had come just now."""
    return f"""\
reverse_proxy @hold {caddy.loopback(app)}:{caddy.WAITING} {{
	method GET
	rewrite /
	header_up Host {{upstream_hostport}}
	unhealthy_request_count {REQUESTS}
	max_fails 1
	@open status 204
	handle_response @open {{
		header -X-None
	}}
	@late status 5xx
	handle_response @late {{
		header Retry-After 60
		respond "503: a new version takes longer than it should" 503
	}}
}}
"""


def _by_host(settings: Settings, color: Color) -> str:
    """What a color's door leads to, by the host that is asked for where that matters."""
    sites = sites_of_routes(settings)
    if len(sites) == 1:
        return _to(settings, sites[0].routes, color, door=True)
    parts = []
    for number, site in enumerate(sites):
        host = site.routes[0].host
        name = f"{settings.app}-{color}-{number}"
        inner = indented(_to(settings, site.routes, color, door=True), 1)
        asked = f"@{name} host {host}\nhandle @{name}" if host else "handle"
        parts.append((not host, f"{asked} {{\n{inner}}}\n"))
    return "".join(text for _, text in sorted(parts, key=lambda each: each[0]))


def _to(
    settings: Settings, routes: Iterable[RouteSettings], color: Color, *, door: bool = False
) -> str:
    """The services of a color, by path: the longest first."""
    ordered = sorted(routes, key=lambda route: len(route.path), reverse=True)
    return "".join(
        _handle(settings, route, color, f"{settings.app}-{color}-path{number}", door=door)
        for number, route in enumerate(ordered)
    )


def _handle(
    settings: Settings, route: RouteSettings, color: Color, matcher: str, *, door: bool
) -> str:
    name = f"{upstream(settings.app, color, route.service)}:{route.port}"
    proxied = _proxied(settings, name, color, door=door)
    if settings.adopted and settings.adopted.assets and not door:
        proxied = f"{_with_assets(settings, route, color)}{proxied}"
    if not route.path or route.path in {"/", "/*"}:
        return f"handle {{\n{indented(proxied, 1)}}}\n"
    paths = [route.path] if "*" in route.path else [route.path, f"{route.path.rstrip('/')}/*"]
    return f"@{matcher} path {' '.join(paths)}\nhandle @{matcher} {{\n{indented(proxied, 1)}}}\n"


def _with_assets(settings: Settings, route: RouteSettings, color: Color) -> str:
    """What the live color has not, the other one is asked for: its pages are still open."""
    assert settings.adopted is not None  # noqa: S101 - for the type checker: see files
    mine, theirs = (
        f"reverse_proxy {upstream(settings.app, each, route.service)}:{route.port}"
        for each in (color, color.other)
    )
    plain = f"transport http {{\n\tdial_timeout {DIAL}\n\tkeepalive off\n}}\n"
    other = indented(f"{theirs} {{\n{indented(plain, 1)}}}\n", 1)
    asked = f"{plain}@none status 404\nhandle_response @none {{\n{other}}}\n"
    inner = f"{mine} {{\n{indented(asked, 1)}}}\n"
    paths = " ".join(settings.adopted.assets)
    return f"@assets path {paths}\nhandle @assets {{\n{indented(inner, 1)}}}\n"


def _proxied(settings: Settings, name: str, color: Color, *, door: bool) -> str:
    keeps = settings.site.keepalive
    if keeps != "auto":
        return "\n".join(_upstream(settings, name, color, keeps, door=door))
    none = "\n".join(_upstream(settings, name, color, 0, door=door))
    if door:  # asked now and then: nothing would be kept
        return none
    some = "\n".join(_upstream(settings, name, color, KEEPS))
    return (
        f"handle @{markers.kept(color)} {{\n{indented(some, 1)}}}\n"
        f"handle {{\n{indented(none, 1)}}}\n"
    )


def _upstream(
    settings: Settings, name: str, color: Color, keeps: float, *, door: bool = False
) -> Iterator[str]:
    told = settings.site.tell_color and not door
    if told:
        yield f"header X-Color {color}"
    yield f"reverse_proxy {name} {{"
    if told:
        yield "\theader_down -X-Color"
    if (
        door or settings.site.behind
    ):  # what a check says of how a user comes (X-Forwarded-Proto: https) is passed on
        yield "\ttrusted_proxies private_ranges"
    within = settings.site.answers_within
    if within:  # what asks only is asked again of another replica
        yield f"\tlb_try_duration {within + AGAIN:g}s"
        yield "\tlb_try_interval 100ms"
    yield "\ttransport http {"
    yield f"\t\tdial_timeout {DIAL}"
    if within:
        yield f"\t\tresponse_header_timeout {within:g}s"
    yield (
        "\t\tkeepalive off"
        if not keeps
        else (f"\t\tkeepalive {keeps:g}s\n\t\tkeepalive_idle_conns_per_host 256")
    )
    yield "\t}"
    yield "}"
