"""Reconcile many synthetic requests from three logs: seconds, memory, and how both grow.

    .venv/bin/python benchmarks/reconcile.py [REQUESTS ...]

Writes raw files as a run leaves them (the swarm's rows, the proxy's and the application's JSON
lines, the ledger, each in the order in which it is written), then reads, joins, checks and measures
them in a process of its own. Without sizes it takes 1, 2, 5 and 10 million: that wants the machine
for itself and 15 GiB of disk. With `--mixed` ids and so every join are in random order.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from cyan.proof import collected
from tests.proof import synthetic

RATE = 2000
ALLOWED_SECONDS = 60
ALLOWED_GIB = 6
FULL = 10_000_000
SIZES = (1_000_000, 2_000_000, 5_000_000, FULL)
ALLOWED_GROWTH = 1.5
"""How much more a request may cost in the largest run than in the smallest."""
CHUNK = 500_000
MILLION = 1_000_000
MIXED = "--mixed" in sys.argv

PROXY = (
    '{{"level":"info","ts":{at:.7f},"logger":"http.log.access.log0","msg":"handled request",'
    '"request":{{"remote_ip":"172.18.0.1","remote_port":"51234","proto":"HTTP/1.1",'
    '"method":"{method}","host":"127.0.0.1:8080","uri":"{path}","headers":{{"User-Agent":["cyan"],'
    '"Accept":["*/*"],"X-Request-Id":["{id:016x}"]}}}},"user_id":"","duration":{took:.9f},'
    '"size":{size},"status":{status},"resp_headers":{{"Server":["Caddy","uvicorn"],'
    '"Date":["Sat, 21 Nov 2026 02:00:00 GMT"],"Content-Type":["application/json"],'
    '"X-Color":["{color}"],"X-Version":["{version}"],"X-Request-Id":["{id:016x}"],'
    '"Content-Length":["{size}"],'
    '"Content-Digest":["sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:"]}}}}\n'
)
APPLICATION = (
    '{{"id":"{id:016x}","event":"{event}","at_ns":{at},"color":"{color}","version":"{version}",'
    '"service":"platform","path":"/items","status":{status}}}\n'
)


def lay_out(requests: int, folder: Path) -> int:
    """Write the raw files of a clean run; their size in bytes."""
    made = synthetic.run(requests, RATE, mixed=MIXED)
    synthetic.write(made, folder, witnesses=False)
    (folder / "application").mkdir(exist_ok=True)
    lines = folder / "application" / "app-blue-platform-platform0.jsonl"
    with (folder / "proxy.jsonl").open("w") as proxy, lines.open("w") as application:
        for start in range(0, requests, CHUNK):
            piece = made.requests.iloc[start : start + CHUNK]
            proxy.write("".join(_proxy(piece.sort_values("end_ns"))))
            application.write("".join(_application(piece)))
    for name in synthetic.LOGS:
        (folder / "application" / name).touch()
    collected.write(folder)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _proxy(piece: pd.DataFrame) -> list[str]:
    rows: Any = piece.itertuples()
    return [
        PROXY.format(
            id=row.id, method=row.method, path=row.path, at=row.end_ns / 1e9,
            took=(row.end_ns - row.sent_ns) / 1e9,
            size=row.received_bytes, status=row.status, color=row.color, version=row.version,
        )
        for row in rows
    ]  # fmt: skip


def _application(piece: pd.DataFrame) -> list[str]:
    started = piece.assign(event="start", at=piece["sent_ns"], told=0)
    ended = piece.assign(event="end", at=piece["end_ns"], told=piece["status"])
    rows: Any = pd.concat([started, ended]).sort_values("at").itertuples()
    return [
        APPLICATION.format(
            id=row.id, event=row.event, at=row.at, status=row.told, color=row.color,
            version=row.version,
        )
        for row in rows
    ]  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What reconciling took: seconds, GiB of memory at most, the verdict; `size` GiB of logs."""

    seconds: float
    gib: float
    verdict: str
    size: float = 0.0


def reconciled(folder: Path) -> Measured:
    """Reconcile `folder` in this process."""
    from cyan.proof.reconcile import reconcile  # noqa: PLC0415 - its import is not measured

    began = time.perf_counter()
    _, judgement = reconcile(folder)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Measured(seconds, peak, str(judgement.verdict))


def measured(requests: int) -> Measured:
    """Lay out and reconcile `requests`, the latter in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="cyan-reconcile-"))
    try:
        size = lay_out(requests, folder)
        command = (sys.executable, __file__, "--folder", str(folder))
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return Measured(size=size / 2**30, **json.loads(said))
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Print a line per size; 1 where one is too slow or too big, does not pass, or costs grow."""
    if sys.argv[1:2] == ["--folder"]:
        made = reconciled(Path(sys.argv[2]))
        print(json.dumps({"seconds": made.seconds, "gib": made.gib, "verdict": made.verdict}))
        return 0
    bad, each = 0, []
    for requests in sorted(int(word) for word in sys.argv[1:] if word != "--mixed") or SIZES:
        found = measured(requests)
        each.append(found.seconds / requests * MILLION)
        print(
            f"{requests:>12,} requests, {found.size:.1f} GiB of logs: {found.seconds:.1f} s "
            f"({each[-1]:.2f} s a million), {found.gib:.2f} GiB at most, {found.verdict}",
            flush=True,
        )
        slow = found.seconds > ALLOWED_SECONDS or found.gib > ALLOWED_GIB
        bad += found.verdict != "pass" or slow
    growth = each[-1] / each[0]
    print(f"a request of the largest run costs {growth:.2f} of one of the smallest")
    return int(bad > 0 or growth > ALLOWED_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
