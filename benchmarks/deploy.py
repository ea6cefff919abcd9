"""What a deploy costs beside `docker compose up -d --wait` of the same services alone.

Run it with the lab up and idle: `.venv/bin/python benchmarks/deploy.py`. Both replace the standby,
pair by pair; the bake is left out, and nothing is in flight that a drain would wait for. Exits 1
where the median ratio is over 2.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
HOST = PROJECT / ".lab/host"
INV = str(PROJECT / ".venv/bin/inv")
PAIRS = 5
BAR = 2.0


def run(*words: str) -> float:
    """Seconds that a command takes; it must succeed."""
    began = time.perf_counter()
    environment = {**os.environ, "INVOKE_CYAN_BAKE_SECONDS": "0"}
    subprocess.run(words, check=True, capture_output=True, cwd=PROJECT, env=environment)
    return time.perf_counter() - began


def deployed() -> float:
    """Seconds of a deploy into an empty standby."""
    run(INV, "cleanup")
    return run(INV, "deploy", "--version", "v2")


def composed() -> float:
    """Seconds of `docker compose up --wait` of the standby's last release, from nothing."""
    run(INV, "cleanup")
    live = next(name for name in ("green", "blue") if (HOST / "traffic" / name).exists())
    color = {"green": "blue", "blue": "green"}[live]
    release = max(
        entry["release"]
        for entry in map(json.loads, (HOST / "journal.jsonl").read_text().splitlines())
        if entry["step"] == "switch" and entry["color"] == color and entry["event"] == "done"
    )
    folder = HOST / "releases" / release
    files = ("-f", str(folder / "compose.yml"), "--env-file", str(folder / ".env"))
    return run("docker", "compose", "-p", f"demo-{color}", *files, "up", "-d", "--wait")


def main() -> int:
    """Measure the pairs and print the median ratio."""
    run(INV, "deploy", "--version", "v1")
    run(INV, "deploy", "--version", "v2")
    pairs = [(deployed(), composed()) for _ in range(PAIRS)]
    ratios = sorted(deploy / compose for deploy, compose in pairs)
    for deploy, compose in pairs:
        print(f"deploy {deploy:.2f} s, compose up --wait {compose:.2f} s")
    median = statistics.median(ratios)
    print(f"ratio: median {median:.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f}), bar {BAR}")
    return int(median > BAR)


if __name__ == "__main__":
    sys.exit(main())
