"""What cyan's proxy carries of what plain Caddy does: marker, identity and log, beside a stock log.

Run alone: `.venv/bin/python benchmarks/throughput.py`. Needs Docker, the lab's images and wrk (its
Debian package). An upstream answers at once; before it are two Caddys of the same image: one with
an adopted application's sites as cyan writes them and starts them, its color live and seen to keep
idle connections, and one with no more than `log` and `reverse_proxy`. Pairs of short runs
alternate; the result is the median of the pairs' ratios. The wanted ratio is 1.0, and the bar of
the exit code 0.8: a look at a file costs Caddy 2.6.2 some 5 µs, of 120 for a request.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.application.color import upstream
from cyan.configured import load
from cyan.names import Color
from cyan.proxies import caddyfile, front, markers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cyan.settings import Settings

PROXY = "cyan-demo/proxy:1"
UPSTREAM, PLAIN, OURS = 19701, 19702, 19703
BAR = 0.8
UNKNOWN = 3
HEAD = "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel WARN\n\t}\n}\n"
LOG = (
    "log {\n\t\toutput file /logs/shop/access.json {\n\t\t\troll_size 512MiB\n"
    "\t\t\troll_keep 4\n\t\t}\n\t}"
)
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "session=0123456789abcdef",
}


def adopted() -> Settings:
    """An application of one service, which somebody adopted."""
    route = {"service": "web", "port": UPSTREAM, "published": OURS}
    section = {
        "app": "shop",
        "hosts": [{"address": "127.0.0.1"}],
        "directory": "/srv/cyan/shop",
        "adopted": {"project": "shop", "services": {"web": "web"}, "routes": [route]},
    }
    return load(section, {}, Path.cwd())


def environment(settings: Settings) -> Mapping[str, str]:
    """What the host's proxy is started with."""
    service = json.loads(front.compose_file(settings.host_proxy, {}))["services"]["cyan-proxy"]
    return service.get("environment", {})  # type: ignore[no-any-return]


@contextmanager
def caddy(folder: Path, config: str, port: int, given: Mapping[str, str]) -> Iterator[None]:
    """Caddy with this configuration in the host's network, while the block runs."""
    for name, raised in (("traffic", (Color.BLUE, markers.kept(Color.BLUE))), ("logs", ())):
        (folder / name / "shop").mkdir(parents=True)
        (folder / name / "shop").chmod(0o777)
        for each in raised:
            (folder / name / "shop" / each).touch()
    (folder / "Caddyfile").write_text(config)
    folder.chmod(0o755)
    settings = adopted()
    names = [upstream(settings.app, color, "web") for color in Color]
    words = [word for name in names for word in ("--add-host", f"{name}:127.0.0.1")]
    words += [word for item in given.items() for word in ("-e", "=".join(item))]
    words += [w for each in ("traffic", "logs") for w in ("-v", f"{folder}/{each}:/{each}")]
    words += ["-v", f"{folder}/Caddyfile:/etc/Caddyfile:ro", PROXY, "caddy", "run"]
    words += ["--config", "/etc/Caddyfile", "--adapter", "caddyfile"]
    started = ("docker", "run", "-d", "--rm", "--network", "host", *words)
    name = subprocess.run(started, check=True, capture_output=True, text=True).stdout.strip()
    try:
        answers(port)
        yield
    finally:
        subprocess.run(("docker", "stop", "--time", "1", name), check=False, capture_output=True)


def answers(port: int) -> None:
    """Return when the port answers. Raises the last error after ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def throughput(port: int, connections: int, seconds: int) -> float:
    """Requests per second that wrk gets. Raises RuntimeError where any request failed."""
    sent = [word for item in BROWSER.items() for word in ("-H", ": ".join(item))]
    words = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *sent, f"http://127.0.0.1:{port}/")
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not found or "Socket errors" in text or "Non-2xx" in text:
        raise RuntimeError(f"requests failed:\n{text}")
    return float(found[1])


def ratios(pairs: int, connections: int, seconds: int) -> list[float]:
    """The ratio of each pair of runs, the first of which alternates."""
    found = []
    for number in range(pairs):
        order = (OURS, PLAIN) if number % 2 == 0 else (PLAIN, OURS)
        rate = {port: throughput(port, connections, seconds) for port in order}
        found.append(rate[OURS] / rate[PLAIN])
        print(f"  cyan {rate[OURS]:8,.0f}/s   plain {rate[PLAIN]:8,.0f}/s   {found[-1]:.3f}")
    return found


def measured(pairs: int, connections: int, seconds: int) -> float:
    """The median ratio of the pairs."""
    settings = adopted()
    proxied = f"{LOG}\n\treverse_proxy 127.0.0.1:{UPSTREAM}"
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        for each, port, config, given in (
            ("upstream", UPSTREAM, f":{UPSTREAM} {{\n\trespond hello\n}}\n", {}),
            ("plain", PLAIN, f":{PLAIN} {{\n\t{proxied}\n}}\n", {}),
            ("ours", OURS, caddyfile.sites_of(settings), environment(settings)),
        ):
            folder = Path(name) / each
            folder.mkdir()
            Path(name).chmod(0o755)
            stack.enter_context(caddy(folder, HEAD + config, port, given))
        for port in (OURS, PLAIN):
            throughput(port, connections, 1)
        return statistics.median(ratios(pairs, connections, seconds))


def main() -> int:
    """Read the flags and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64)
    flags = parser.parse_args()
    if missing := [tool for tool in ("docker", "wrk") if not shutil.which(tool)]:
        print(f"unknown: {' and '.join(missing)} not found (Debian package: wrk)")
        return UNKNOWN
    try:
        ratio = measured(flags.pairs, flags.connections, flags.seconds)
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        print(f"unknown: {error} {getattr(error, 'stderr', '') or ''}")
        return UNKNOWN
    print(f"throughput: {ratio:.3f} of plain Caddy's, {flags.connections} connections, bar {BAR}")
    return int(ratio < BAR)


if __name__ == "__main__":
    sys.exit(main())
