"""Stands in for the swarm: the same flags and files, and answers made up from a world's marker.

`--host` is the folder of the made-up world: its file `live` holds "color version".
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from cyan.proof.requestlog import STREAMS, SignOff
from tests.proof.synthetic import JOURNEYS, PATHS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", type=Path)
    parser.add_argument("--log-dir", type=Path)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--run-limit", type=float)
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--deaf", action="store_true")
    given, _ = parser.parse_known_args()
    hammer(given)


def hammer(given: argparse.Namespace) -> None:
    log, limit = given.log_dir, time.monotonic() + given.run_limit
    sent, begun = 0, time.monotonic_ns()
    with (log / "intents-0.tsv").open("w") as intents, (log / "results-0.tsv").open("w") as results:
        while time.monotonic() < limit and (given.deaf or not (log / "stop").exists()):
            due = begun + round(sent * 1e9 / given.rate)
            time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
            send(sent, due, given.host, intents.write, results.write)
            sent += 1
            if sent == 20:
                (log / "ready.json").write_text("{}")
            if given.die_after and sent >= given.die_after:
                raise SystemExit(9)
            (log / "progress.json").write_text(json.dumps({"sent": sent, "answered": sent}))
    signoff = SignOff(0, sent, sent, 0, sent, 0, 0, begun, given.rate)
    (log / "signoff-0.json").write_text(json.dumps(asdict(signoff)))


def send(number: int, due: int, world: Path, intend, result) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    color, version = (world / "live").read_text().split()
    journey = JOURNEYS[number % len(JOURNEYS)]
    post = journey in {"order", "login"}
    path, method = PATHS[journey], "POST" if post else "GET"
    now, wall = time.monotonic_ns(), time.time_ns()
    user = number + 10 if journey in STREAMS else number % 7
    intent = (number + 1, user, journey, method, path, due, now, wall)
    intend("\t".join(map(str, intent)) + "\n")
    status = 201 if journey == "order" else 200
    connection = "new" if number % 5 < 2 else "reused"
    row = (
        number + 1,
        now + 500,
        now + 900,
        status,
        10,
        10,
        1,
        connection,
        5,
        color,
        version,
        "length",
        "",
        "",
    )
    result("\t".join(map(str, row)) + "\n")


if __name__ == "__main__":
    main()
