"""Stands in for the command line: acts on the made-up world that CYAN_FAKE_WORLD names."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from cyan.journal import entries as journal
from cyan.journal.entries import Event


def main() -> int:
    world = Path(os.environ["CYAN_FAKE_WORLD"])
    what, *rest = sys.argv[1:]
    if what == "hang":
        time.sleep(60)
    if any(word.startswith("FAULT=") for word in rest) or what == "fail":
        return 1
    if what == "cleanup":
        return 0
    color, version = (world / "live").read_text().split() or ("green", "")
    target = "green" if color == "blue" else "blue"
    new = rest[rest.index("--version") + 1] if "--version" in rest else (world / "old").read_text()
    (world / "old").write_text(version)
    switch(world, color, target, new)
    return 0


def switch(world: Path, color: str, target: str, version: str) -> None:
    begun = time.time()
    (world / "next").write_text(f"{target} {version}")
    (world / "next").rename(world / "live")
    done = time.time()
    moved = {"from": color, "to": target, "renamed_at": done}
    run = str(time.time_ns())
    entries = (
        journal.Entry(begun, run, "deploy", Event.STEP, "switch", target, version),
        journal.Entry(done, run, "deploy", Event.DONE, "switch", target, version, detail=moved),
    )
    with (world / "journal.jsonl").open("a") as written:
        written.writelines(journal.dump(entry) + "\n" for entry in entries)
    time.sleep(0.3)


if __name__ == "__main__":
    sys.exit(main())
