"""`inv hammer`: only the swarm, against any URL, and what its clients saw."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cyan.errors import ProofError, UsageError
from cyan.names import names_a_path
from cyan.proof.load import Load, Swarm
from cyan.proof.requestlog import OVERWHELMED

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from cyan.settings import Settings

TICK = 1.0  # seconds between two lines


@dataclass(frozen=True)
class HammerOptions:
    """What to load: requests a second on so many connections, for so many seconds."""

    url: str
    rate: float
    sessions: int
    seconds: float
    path: str = ""
    seed: int = 1


def hammer(settings: Settings, project: Path, options: HammerOptions, console: Console) -> None:
    """Load a site and print the swarm's own figures each second; its logs are kept.

    Raises UsageError for a load that is none, ProofError where the swarm does not start or end.
    """
    _check(options)
    folder = project / "reports" / f"{time.strftime('%Y%m%d-%H%M%S')}-hammer"
    path = options.path or (settings.public.ready if settings.adopted else "")
    extra: tuple[str, ...] = ("--journeys", "get", "--path", path) if path else ()
    if settings.verify.load and not options.path:
        extra = ("--load", str(settings.verify.load))
    load = Load(
        url=options.url,
        locustfile=settings.verify.locustfile,
        rate=options.rate,
        sessions=options.sessions,
        seed=options.seed,
        limit=options.seconds + 60,
        extra=extra,
        in_flight=settings.verify.in_flight,
    )
    with Swarm(load, folder) as swarm:
        swarm.wait_ready()
        _watch(swarm, options.seconds, console)
        if swarm.exit_code == OVERWHELMED:
            raise ProofError(
                f"the site or this machine was overwhelmed: {load.in_flight:,} requests were in "
                "flight, and the swarm stopped by itself",
                where=options.url,
                todo="a lower --rate; the bound is verify.in_flight",
            )
        swarm.finish()
    console.print(_line(swarm))
    console.print(f"[dim]logs: {folder}[/dim]")


def _check(options: HammerOptions) -> None:
    if not _is_site(options.url):
        raise UsageError(
            f"{options.url!r} is no URL of a site",
            todo="for example: http://127.0.0.1:8080, and its path by --path",
        )
    if options.path and not names_a_path(options.path):
        raise UsageError(
            f"{options.path!r} is not the path of a request",
            todo="begin with one '/', without spaces (%20), line breaks or '#'",
        )
    for name in ("rate", "sessions", "seconds"):
        value = getattr(options, name)
        if not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name} cannot be {value:g}", todo="give a number above 0")


def _is_site(url: str) -> bool:
    """Whether it is scheme, host and port, and nothing else that would be left out silently."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return False
    plain = f"{parts.scheme}://{parts.netloc}"
    return (
        bool(named)
        and "@" not in url
        and url.isprintable()
        and url in {plain, f"{plain}/"}
        and " " not in url
    )


def _watch(swarm: Swarm, seconds: float, console: Console) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and swarm.alive:
        time.sleep(min(TICK, max(0.0, deadline - time.monotonic())))
        console.print(_line(swarm))


def _line(swarm: Swarm) -> str:
    pace = swarm.pace()
    return (
        f"sent {pace.sent:>8,}  answered {pace.answered:>8,}  failed {pace.failed:>6,}  "
        f"in flight {pace.in_flight:>4}  lag p99 {pace.lag_p99_ms:6.1f} ms"
    )
