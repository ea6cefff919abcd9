"""What the marker costs: the proxy's throughput with it against the same Caddyfile without it.

Run alone: `.venv/bin/python benchmarks/marker.py`. Needs Docker, the lab's images and wrk (its
Debian package). One Caddy answers both ways on two ports of 127.0.0.1: the site of the Caddyfile,
and the same site with the route of blue's private door in the place of the marker's. Pairs of short
runs alternate; the result is the median of the pairs' ratios. Blue is live: it is the color that
costs more looks.

The bar is for the chain that users meet, Caddy before the demo's cheapest answer. For
information, the worst case is measured too: Caddy is its own upstream, so that nothing but the
proxy takes time, and both cores are spent. Exits 0 at the bar or above, 1 below, 3 where it
could not be measured, as on a machine that is busy.
"""

from __future__ import annotations

import argparse
import json
import math
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
PROXY, SITE = "cyan-demo/proxy:1", "cyan-demo/site:v1"
BAR = 0.98
PRECISION = 0.03  # what the result may be off by and still be one
UNKNOWN = 3
DOOR = 8001
CONNECTIONS = 64
PATH = "/healthz"


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
        *("-e", f"SITE_ADDRESS=http://:{WITH}", "-e", f"PUBLIC_PORT={UPSTREAM}", PROXY),
        *("caddy", "adapt", "--config", f"/etc/caddy/{caddyfile.name}", "--adapter", "caddyfile"),
    )
    config: dict[str, Any] = json.loads(text)
    return config


def looks(route: dict[str, Any]) -> bool:
    """Whether the route is the marker's: it looks for a file named after a color."""
    return "blue" in json.dumps(route.get("match", []))


def both_ways(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with these servers on loopback: the site, and the same without."""
    servers = {server["listen"][0]: server for server in config["apps"]["http"]["servers"].values()}
    site, door = servers[f":{WITH}"], servers[f":{DOOR}"]
    others = [route for route in site["routes"] if route.get("match") and not looks(route)]
    routes = [*others, *door["routes"]]
    servers = {
        "with": {**site, "listen": [f"127.0.0.1:{WITH}"]},
        "without": {**site, "listen": [f"127.0.0.1:{WITHOUT}"], "routes": routes},
    }
    for server in servers.values():
        server["automatic_https"] = {"disable": True}
    return {**config, "admin": {"disabled": True}, "apps": {"http": {"servers": servers}}}


def with_upstream(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with an upstream of its own that answers at once."""
    hello = {"handle": [{"handler": "static_response", "body": "hello"}]}
    upstream = {"listen": [f"127.0.0.1:{UPSTREAM}"], "routes": [hello]}
    servers = {**config["apps"]["http"]["servers"], "upstream": upstream}
    return {**config, "apps": {"http": {"servers": servers}}}


@contextmanager
def container(*argv: str) -> Iterator[None]:
    """`docker run` these words in the host's network while the block runs."""
    name = output("docker", "run", "-d", "--rm", "--network", "host", *argv).strip()
    try:
        yield
    finally:
        output("docker", "stop", "--time", "2", name)


@contextmanager
def application() -> Iterator[None]:
    """The demo's rag, the service that needs no other, as the upstream."""
    serve = f"python3 -m uvicorn rag_app:app --port {UPSTREAM} --no-access-log --log-level warning"
    with container(
        *("-e", "COLOR=blue", "-e", "LOGS=/tmp", "--tmpfs", "/tmp", SITE),  # noqa: S108
        *serve.split(),
    ):
        wait_for(UPSTREAM)
        yield


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
        with container(
            *("--add-host", "blue:127.0.0.1", "--add-host", "green:127.0.0.1"),
            *("-v", f"{folder}/traffic:/traffic:ro", "-v", f"{folder}/logs:/logs"),
            *("-v", f"{folder}/caddy.json:/etc/caddy.json:ro", PROXY),
            *("caddy", "run", "--config", "/etc/caddy.json"),
        ):
            wait_for(WITH)
            wait_for(WITHOUT)
            yield


def wait_for(port: int, seconds: float = 10) -> None:
    """Return when the port answers with 200. Raises the last error after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{PATH}", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def throughput(port: int, seconds: int) -> float:
    """Requests per second that wrk gets. Raises RuntimeError where any request failed."""
    url = f"http://127.0.0.1:{port}{PATH}"
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


def ratios(pairs: int, seconds: int) -> tuple[float, float]:
    """The median of the ratios of pairs of runs, after a warm-up, and how far it may be off.

    The latter is the notch of McGill, Tukey and Larsen (1978): 1.57 interquartile ranges by the
    root of the count.
    """
    throughput(WITH, 1)
    throughput(WITHOUT, 1)
    seen = [pair(number, seconds) for number in range(pairs)]
    low, median, high = statistics.quantiles(seen, n=4)
    return median, 1.57 * (high - low) / math.sqrt(pairs)


def verdict(ratio: float, notch: float) -> tuple[str, int]:
    """The word and the exit code; a busy machine gives neither pass nor fail."""
    if notch > PRECISION:
        return "unknown, the machine is busy with something else", UNKNOWN
    return ("passes", 0) if ratio >= BAR else ("fails", 1)


def measure(pairs: int, seconds: int, caddyfile: Path) -> int:
    """Measure, print, and return the exit code."""
    config = both_ways(adapted(caddyfile))
    print("before the demo's application:")
    with application(), proxy(config):
        ratio, notch = ratios(pairs, seconds)
    print("for information, nothing but the proxy takes time:")
    with proxy(with_upstream(config)):
        alone, alone_notch = ratios(max(4, pairs // 2), seconds)
    word, code = verdict(ratio, notch)
    print(
        f"marker: {ratio:.3f} ± {notch:.3f} of the throughput without it ({pairs} pairs),", end=" "
    )
    print(f"proxy alone {alone:.3f} ± {alone_notch:.3f}; bar {BAR}: {word}")
    return code


def main() -> int:
    """Read the flags and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=1)
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
