"""What the marker costs: the proxy's throughput with it against the same Caddyfile without it.

Run alone: `.venv/bin/python benchmarks/marker.py`. Needs Docker, the lab's images and wrk (its
Debian package). One Caddy answers both ways on two ports of 127.0.0.1: the site of the Caddyfile,
and the same site with the route of blue's private door in the place of the marker's. Pairs of short
runs alternate; the result is the median of the pairs' ratios. As in a site's life, each color is
live half of the time; blue costs a look more than green.

The bar is for what users meet: Caddy before the demo's public service, which reads an order from
PostgreSQL. For information two workloads that nobody has are measured too: an answer that costs
the application next to nothing, and Caddy as its own upstream, where nothing but the proxy takes
time and both cores are spent. A look costs Caddy 2.6.2 about 5 µs of CPU (a glob, an lstat, where
the file exists a stat and its placeholders): three looks with blue live, two with green. Exits 0 at
the bar or above, 1 below, 3 where it could not be measured, as on a machine that is busy.
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
PROXY, SITE, DATABASE = "cyan-demo/proxy:1", "cyan-demo/site:v1", "cyan-demo/database:1"
BAR = 0.98
PRECISION = 0.03  # what the result may be off by and still be one
UNKNOWN = 3
DOOR = 8001
CONNECTIONS = 64
READ, CHEAPEST = "/orders/benchmark", "/healthz"


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


WITH, WITHOUT, UPSTREAM, POSTGRES = (free_port() for _ in range(4))


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
    """The demo's public service with its database, as the upstream."""
    postgres = f"postgres -c listen_addresses=127.0.0.1 -c port={POSTGRES}"
    account = f"host=127.0.0.1 port={POSTGRES} user=demo password=demo dbname=demo"
    serve = f"uvicorn platform_app:app --port {UPSTREAM} --no-access-log --log-level warning"
    with (
        container(
            *("-e", "POSTGRES_USER=demo", "-e", "POSTGRES_PASSWORD=demo", "-e", "POSTGRES_DB=demo"),
            *(DATABASE, *postgres.split(), "-c", "unix_socket_directories=/tmp"),
        ),
        container(
            *("-e", "COLOR=blue", "-e", "SERVICE=platform", "-e", f"DATABASE={account}"),
            *("-e", "LOGS=/tmp", "--tmpfs", "/tmp", SITE, "python3", "-m", *serve.split()),  # noqa: S108
        ),
    ):
        wait_for(UPSTREAM, CHEAPEST, 60)
        place_order()
        yield


def place_order() -> None:
    """Write the order that READ asks for; the application is patient with its database."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{UPSTREAM}/orders",
        data=b'{"item": "lamp", "quantity": 1}',
        headers={"Content-Type": "application/json", "X-Request-ID": READ.rpartition("/")[2]},
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - it is http, as above
        pass


@contextmanager
def proxy(config: dict[str, Any]) -> Iterator[Path]:
    """Caddy with this configuration while the block runs; yields its folder of markers."""
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
            wait_for(WITH, CHEAPEST)
            wait_for(WITHOUT, CHEAPEST)
            yield folder / "traffic"


def wait_for(port: int, path: str, seconds: float = 10) -> None:
    """Return when the port answers with 200. Raises the last error after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def throughput(port: int, path: str, seconds: int) -> float:
    """Requests per second that wrk gets. Raises RuntimeError where any request failed."""
    url = f"http://127.0.0.1:{port}{path}"
    text = output("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url, timeout=seconds + 30)
    if "Socket errors" in text or "Non-2xx" in text:
        raise RuntimeError(f"requests failed:\n{text}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not found:
        raise RuntimeError(f"wrk said:\n{text}")
    return float(found[1])


def switch(traffic: Path, color: str) -> None:
    """Make a color live."""
    for marker in traffic.iterdir():
        marker.rename(traffic / color)


def pair(number: int, traffic: Path, path: str, seconds: int) -> float:
    """The ratio of two runs, one after the other; which is first alternates, and who is live."""
    switch(traffic, ("blue", "green")[number // 2 % 2])
    order = (WITH, WITHOUT) if number % 2 == 0 else (WITHOUT, WITH)
    rate = {port: throughput(port, path, seconds) for port in order}
    ratio = rate[WITH] / rate[WITHOUT]
    print(f"  with {rate[WITH]:8,.0f}/s   without {rate[WITHOUT]:8,.0f}/s   {ratio:.3f}")
    return ratio


def ratios(pairs: int, traffic: Path, path: str, seconds: int) -> tuple[float, float]:
    """The median of the ratios of pairs of runs, after a warm-up, and how far it may be off.

    The latter is the notch of McGill, Tukey and Larsen (1978): 1.57 interquartile ranges by the
    root of the count.
    """
    throughput(WITH, path, 1)
    throughput(WITHOUT, path, 1)
    seen = [pair(number, traffic, path, seconds) for number in range(pairs)]
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
    fewer = max(4, pairs // 2)
    with application(), proxy(config) as traffic:
        print(f"before the demo, a read: {READ}")
        ratio, notch = ratios(pairs, traffic, READ, seconds)
        print(f"for information, its cheapest answer: {CHEAPEST}")
        cheapest, cheapest_notch = ratios(fewer, traffic, CHEAPEST, seconds)
    print("for information, nothing but the proxy takes time:")
    with proxy(with_upstream(config)) as traffic:
        alone, alone_notch = ratios(fewer, traffic, CHEAPEST, seconds)
    word, code = verdict(ratio, notch)
    print(
        f"marker: {ratio:.3f} ± {notch:.3f} of the throughput without it ({pairs} pairs), "
        f"cheapest answer {cheapest:.3f} ± {cheapest_notch:.3f}, "
        f"proxy alone {alone:.3f} ± {alone_notch:.3f}; bar {BAR}: {word}"
    )
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
