"""What the marker costs: the proxy's throughput with it against the same Caddyfile without it.

Run alone: `.venv/bin/python benchmarks/marker.py`. Needs Docker, the lab's proxy image and wrk (its
Debian package). One Caddy answers both ways on two ports of 127.0.0.1: the site of the Caddyfile,
and the same site whose routes are those of blue's private door, which looks at no marker. Its
upstream is Caddy itself, the fastest there is, so that the proxy and not the application is
measured. Pairs of short runs alternate; the result is the median of the pairs' ratios. Blue is
live: it is the color that costs more looks. Exits 0 at the bar or above, 1 below, 3 where it could
not be measured.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "cyan-demo/proxy:1"
BAR = 0.98
UNKNOWN = 3
DOOR = 8001
CONNECTIONS = 64


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


WITH, WITHOUT, UPSTREAM = free_port(), free_port(), free_port()


def output(*argv: str, timeout: float = 60) -> str:
    """The standard output of a command. Raises subprocess.SubprocessError."""
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=timeout)
    return done.stdout


def adapted(caddyfile: Path) -> dict[str, Any]:
    """The Caddyfile as Caddy's JSON, its site on port WITH and its upstreams on UPSTREAM."""
    text = output(
        *("docker", "run", "--rm", "-v", f"{caddyfile.parent}:/etc/caddy:ro"),
        *("-e", f"SITE_ADDRESS=http://:{WITH}", "-e", f"PUBLIC_PORT={UPSTREAM}", IMAGE),
        *("caddy", "adapt", "--config", f"/etc/caddy/{caddyfile.name}", "--adapter", "caddyfile"),
    )
    config: dict[str, Any] = json.loads(text)
    return config


def both_ways(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with three servers on loopback: the site, the same without, an upstream."""
    servers = {server["listen"][0]: server for server in config["apps"]["http"]["servers"].values()}
    site, door = servers[f":{WITH}"], servers[f":{DOOR}"]
    hello = {"handle": [{"handler": "static_response", "body": "hello"}]}
    three = {
        "with": {**site, "listen": [f"127.0.0.1:{WITH}"]},
        "without": {**site, "listen": [f"127.0.0.1:{WITHOUT}"], "routes": door["routes"]},
        "upstream": {"listen": [f"127.0.0.1:{UPSTREAM}"], "routes": [hello]},
    }
    for server in three.values():
        server["automatic_https"] = {"disable": True}
    return {**config, "admin": {"disabled": True}, "apps": {"http": {"servers": three}}}


@contextmanager
def proxy(config: dict[str, Any]) -> Iterator[None]:
    """Caddy with this configuration while the block runs; blue is live."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for sub, mode in (("traffic", 0o755), ("logs", 0o777)):
            (folder / sub).mkdir()
            (folder / sub).chmod(mode)
        (folder / "traffic" / "blue").touch()
        (folder / "caddy.json").write_text(json.dumps(config))
        container = output(
            *("docker", "run", "-d", "--rm", "--network", "host"),
            *("--add-host", "blue:127.0.0.1", "--add-host", "green:127.0.0.1"),
            *("-v", f"{folder}/traffic:/traffic:ro", "-v", f"{folder}/logs:/logs"),
            *("-v", f"{folder}/caddy.json:/etc/caddy.json:ro", IMAGE),
            *("caddy", "run", "--config", "/etc/caddy.json"),
        ).strip()
        try:
            wait_for(WITH)
            wait_for(WITHOUT)
            yield
        finally:
            output("docker", "stop", "--time", "2", container)


def wait_for(port: int, seconds: float = 10) -> None:
    """Return when the port answers `hello`. Raises the last error after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                if answer.read() == b"hello":
                    return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def throughput(port: int, seconds: int) -> float:
    """Requests per second that wrk gets. Raises RuntimeError where any request failed."""
    url = f"http://127.0.0.1:{port}/"
    text = output("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url, timeout=seconds + 30)
    if "Socket errors" in text or "Non-2xx" in text:
        raise RuntimeError(f"requests failed:\n{text}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not found:
        raise RuntimeError(f"wrk said:\n{text}")
    return float(found[1])


def pair(number: int, seconds: int) -> float:
    """The ratio of two runs, one after the other; which is first alternates."""
    order = (WITH, WITHOUT) if number % 2 == 0 else (WITHOUT, WITH)
    rate = {port: throughput(port, seconds) for port in order}
    ratio = rate[WITH] / rate[WITHOUT]
    print(f"  with {rate[WITH]:8,.0f}/s   without {rate[WITHOUT]:8,.0f}/s   {ratio:.3f}")
    return ratio


def measure(pairs: int, seconds: int, caddyfile: Path) -> int:
    """Measure, print, and return the exit code."""
    with proxy(both_ways(adapted(caddyfile))):
        throughput(WITH, 1)
        throughput(WITHOUT, 1)
        ratios = [pair(number, seconds) for number in range(pairs)]
    median = statistics.median(ratios)
    word = "passes" if median >= BAR else "fails"
    print(f"marker: {median:.3f} of the throughput without it (median of {pairs} pairs),", end=" ")
    print(f"bar {BAR}: {word}")
    return 0 if median >= BAR else 1


def main() -> int:
    """Read the flags and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--caddyfile", type=Path, default=ROOT / "Caddyfile")
    flags = parser.parse_args()
    missing = [tool for tool in ("docker", "wrk") if not shutil.which(tool)]
    if missing:
        print(f"unknown: {' and '.join(missing)} not found (Debian package: wrk)")
        return UNKNOWN
    try:
        return measure(flags.pairs, flags.seconds, flags.caddyfile.resolve())
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        print(f"unknown: {error} {getattr(error, 'stderr', '') or ''}")
        return UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
