"""What has users of several hosts stay with the color that answered them, in Caddy's words: pure.

A cookie holds the name of a run's marker. Where the host has that marker, who has the cookie is led
to the color that the host has for the run, whoever is live there: `cyan.proxies.markers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.names import Color
from cyan.proxies import markers
from cyan.proxies.caddy import indented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.settings import Settings


def cookie(app: str) -> str:
    """The name of the cookie."""
    return f"cyan-{app}"


def matchers(settings: Settings) -> str:
    """Whether sessions are pinned, and whether this one is.

    A value is looked for as a file: it is none but a marker's name (the matcher takes patterns).
    """
    if not settings.site.sticky:
        return ""
    name = cookie(settings.app)
    lines = (
        f"@has-pin header Cookie *{name}=*",
        "@pinned {",
        f'\theader_regexp Cookie "(^|; ?){name}=/?{markers.pin("[A-Za-z0-9._-]+")}(;|$)"',
        "\tfile {",
        f"\t\ttry_files {{http.request.cookie.{name}}}",
        "\t}",
        "}",
        f"@pin file {markers.pin('*')}",
        *(f"@{markers.pinned(color)} file {markers.pinned(color)}" for color in Color),
    )
    return "".join(f"{line}\n" for line in lines)


def leading(settings: Settings, to: Mapping[Color, str]) -> str:
    """Lead who is pinned to a color there; all others go on. `to` has what leads to each color."""
    if not settings.site.sticky:
        return ""
    each = "".join(
        f"handle @{markers.pinned(color)} {{\n{indented(text, 1)}}}\n" for color, text in to.items()
    )
    return f"route @has-pin {{\n\troute @pinned {{\n{indented(each, 2)}\t}}\n}}\n"


def giving(settings: Settings, color: Color, to: str) -> str:
    """What leads `to` a color, and has a session that it answers stay with it while it is to.

    The marker is looked for by its pattern only where there is one.
    """
    if not settings.site.sticky:
        return to
    value = f"{cookie(settings.app)}={{http.matchers.file.relative}}; Path=/; HttpOnly"
    return (
        "route {\n"
        f"\troute @{markers.pinned(color)} {{\n"
        f'\t\theader @pin +Set-Cookie "{value}; SameSite=Lax"\n'
        "\t}\n"
        f"{indented(to, 1)}"
        "}\n"
    )
