"""How quick the commands are: `inv --list`, `inv status`, and a rollback while warm.

Run it with the lab up: `.venv/bin/python benchmarks/commands.py`. Exits 1 where a median misses its
bar. A rollback is timed from its start to the journal's word that the new answers were verified.
Beside each median stands what it is of the two things that nobody can be quicker than, measured in
turns with it: the same Python doing nothing, and one command over a new SSH connection to the lab.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parent.parent
INV = str(PROJECT / ".venv/bin/inv")
JOURNAL = PROJECT / ".lab/host/journal.jsonl"
BARS = {"inv --list": 0.3, "inv status": 1.2, "inv rollback, verified": 2.0}


def inv(*words: str) -> None:
    """Run a command; it must succeed."""
    subprocess.run([INV, *words], check=True, capture_output=True, cwd=PROJECT)


def timed(*words: str) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    inv(*words)
    return time.perf_counter() - began


def seconds(words: list[str]) -> float:
    """Seconds that a program of the system takes."""
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, cwd=PROJECT)
    return time.perf_counter() - began


def nothing() -> float:
    """Seconds that Python takes to do nothing."""
    return seconds([sys.executable, "-c", "pass"])


def round_trip() -> float:
    """Seconds that one command on the lab takes over a new SSH connection."""
    host = yaml.safe_load((PROJECT / "invoke.yaml").read_text())["cyan"]["hosts"][0]
    options = ("-i", host["identity"], "-o", f"UserKnownHostsFile={host['known_hosts']}")
    return seconds(["ssh", *options, "-p", str(host["port"]), host["address"], "true"])


def rolled_back() -> float:
    """Seconds from the start of `inv rollback` until the new answers were verified."""
    began = time.time()
    inv("rollback")
    entries = [json.loads(line) for line in JOURNAL.read_text().splitlines() if line]
    verified = [e["at"] for e in entries if (e["step"], e["event"]) == ("verify", "done")]
    return float(verified[-1]) - began


def main() -> int:
    """Measure each, print the medians, and say whether all are within their bars."""
    inv("deploy", "--version", "v1")
    inv("deploy", "--version", "v2")
    measured: dict[str, Callable[[], float]] = {
        "inv --list": lambda: timed("--list"),
        "inv status": lambda: timed("status"),
        "inv rollback, verified": rolled_back,
    }
    missed = False
    for name, measure in measured.items():
        rounds = [(measure(), nothing(), round_trip()) for _ in range(9)]
        runs, bare, ssh = (sorted(column) for column in zip(*rounds, strict=True))
        median = statistics.median(runs)
        beside = median / statistics.median(bare), median / statistics.median(ssh)
        missed |= median > BARS[name]
        print(
            f"{name:24} median {median:.2f} s (from {runs[0]:.2f} to {runs[-1]:.2f}), "
            f"bar {BARS[name]} s; "
            f"{beside[0]:.1f} of python -c pass, {beside[1]:.1f} of an SSH command"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
