"""The relay as a run uses it: a process between swarm and proxy while a block runs."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cyan.errors import ProofError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyan.proof.load import Load
    from cyan.proof.relay.plants import Draw

END_WITHIN = 10.0


@dataclass(frozen=True)
class RelayOptions:
    """What stands between swarm and proxy: a relay that adds a round trip, in seconds, and plants.

    The round trip is `jitter` seconds longer or shorter at most.
    It plants once the file `planted` exists, what is `drawn` or one of each kind, and notes there
    what it planted on which request.
    """

    rtt: float = 0.0
    planted: Path | None = None
    jitter: float = 0.0
    drawn: Draw | None = None


@contextmanager
def relayed(url: str, relay: RelayOptions, connect: str = "") -> Iterator[str]:
    """The URL by which the site is reached through a relay, while the block runs.

    Over TLS the site must be a name of this machine, such as localhost: it is kept.
    Raises ProofError where the relay does not start.
    """
    site = urlsplit(url)
    usual = 443 if site.scheme == "https" else 80
    there = connect or f"{site.hostname}:{site.port or usual}"
    command = [sys.executable, "-m", "cyan.proof.relay"]
    command += ["--to", there, "--rtt", str(relay.rtt)]
    command += ["--jitter", str(relay.jitter)]
    command += ["--planted", str(relay.planted)] if relay.planted else []
    if draw := relay.drawn:
        command += ["--draw", str(draw.count), str(draw.within), str(draw.seed)]
    with subprocess.Popen(  # noqa: S603 - our own command line
        command,
        stdin=subprocess.PIPE,  # it ends when this does, however we end
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is ours: the load ends in order first
    ) as process:
        assert process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        assert process.stdout is not None  # noqa: S101
        port = process.stdout.readline().strip()
        if not port:
            raise ProofError("the relay before the site did not start", where=" ".join(command))
        try:
            yield f"{site.scheme}://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            _end(process)


@contextmanager
def led(load: Load, relay: RelayOptions | None) -> Iterator[Load]:
    """The load, through its relay where it has one; TLS has its own, which never plants."""
    with ExitStack() as relays:
        given = load
        if relay:
            way = relays.enter_context(relayed(load.url, relay, load.connect))
            there = urlsplit(way).netloc
            secure = load.url.startswith("https:")
            load = replace(load, connect=there) if secure else replace(load, url=way, connect="")
        if relay and load.secure:
            only = replace(relay, planted=None)
            there = urlsplit(load.through).netloc or given.connect
            way = relays.enter_context(relayed(load.secure, only, there))
            load = replace(load, through=way)
        elif load.secure and load.connect and not load.through:
            load = replace(load, through=f"https://{load.connect}")
        yield load


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def nobody() -> Iterator[str]:
    """A URL of this machine at which nobody listens, and nobody else can while the block runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
