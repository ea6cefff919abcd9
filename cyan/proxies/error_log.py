"""What the proxy said of errors; only there is told of an answer that was not ended."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime
from typing import TYPE_CHECKING

from cyan.names import Server

if TYPE_CHECKING:
    from cyan.settings import Settings

ABORTED = "aborting with incomplete response"
"""What Caddy says of an answer that the application did not end, which Caddy 2.6 itself then ends
as if it were whole: https://github.com/caddyserver/caddy/blob/v2.6.2/modules/caddyhttp/reverseproxy/reverseproxy.go."""

OF_CADDY = re.compile(rf'\{{"level":"(error"|warn".*"msg":"{ABORTED}")')
"""A line of Caddy's that tells of an error."""

OWN_FAULT = "use of closed network connection"
"""What it says where it cut the answer off itself, as 2.6 does with one in some 8,000 that come in
parts after a POST (8 of 60,000; 2.11 none of 132,000): https://github.com/caddyserver/caddy/issues/5431."""

CUT = re.compile(
    r"upstream prematurely closed connection while (?:reading upstream|sending to client)"
)
"""The same in nginx's words, with and without buffering."""

OF_NGINX = re.compile(r"(?P<at>\S+) \S+ \S+ \[(?:error|crit|alert|emerg)\] (?P<says>.*)")
"""A line of its error log after the engine's own time, which is finer than nginx's second."""


def command(settings: Settings, container: str, since: float) -> str:
    """The shell command that prints what a proxy's container said since then, wall seconds."""
    told = ("-t",) if settings.server is Server.NGINX else ()
    words = ("docker", "logs", *told, "--since", f"{max(since, 0):.6f}", container)
    return f"{shlex.join(words)} 2>&1"


def lines(settings: Settings, said: str) -> list[str]:
    """The errors in what `command` printed, a JSON object each, in Caddy's words: pure.

    With `level`, `ts` in wall seconds, and `msg`, which is ABORTED for an answer that was cut off:
    later Caddys call that a warning.
    """
    if settings.server is Server.CADDY:
        return [line for line in said.splitlines() if OF_CADDY.match(line)]
    found = (OF_NGINX.match(line) for line in said.splitlines())
    return [_told(each["at"], each["says"]) for each in found if each]


def _told(at: str, says: str) -> str:
    # of nine digits only six are Python's
    when = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", at)).timestamp()
    message = ABORTED if CUT.search(says) else says
    return json.dumps({"level": "error", "ts": when, "msg": message})
