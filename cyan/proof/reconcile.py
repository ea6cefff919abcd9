"""From a run's folder to its judgement: read, join, check, measure, judge, write."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cyan.errors import ProofError

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.proof.checks import Further
    from cyan.proof.evidence import Bounds, Evidence
    from cyan.proof.verdict import Judgement


def reconcile(
    folder: Path, bounds: Bounds | None = None, more: tuple[Further, ...] = ()
) -> tuple[Evidence, Judgement]:
    """Judge the run in `folder` from its raw files and write everything but the report.

    `more` are checks of this kind of run beside those that every run has.
    Raises ProofError where the swarm left no log at all.
    """
    from cyan.proof import (  # noqa: PLC0415 - pandas is heavy
        calibration,
        checks,
        client_log,
        collected,
        verdict,
    )
    from cyan.proof.measures import measure  # noqa: PLC0415
    from cyan.proof.relay.plants import Draw  # noqa: PLC0415

    kept = _settings(folder)
    evidence = read_case(folder, bounds or _bounds(kept))
    with ThreadPoolExecutor(1) as pool:  # packing leaves the interpreter's lock
        packed = pool.submit(
            client_log.write_requests, evidence.requests, folder / "requests.parquet"
        )
        findings = checks.run_all(evidence, more)
        judgement = verdict.judge(
            int((~evidence.planted).sum()),
            findings,
            measure(evidence, findings),
            evidence.history,
            kept,
        )
        packed.result()
    verdict.write(judgement, folder, collected.digest(folder))
    refused = int(kept.get("refused", 0))
    drawn = Draw(**kept["drawn"]) if "drawn" in kept else None
    calibration.of_run(folder, evidence.requests, findings, refused, drawn)
    return evidence, judgement


def read_case(folder: Path, bounds: Bounds | None = None) -> Evidence:
    """All of a run's evidence, joined."""
    from cyan.proof import (  # noqa: PLC0415 - pandas is heavy
        client_log,
        collected,
        history,
        witnesses,
    )

    if not (folder / "acts.json").exists():
        raise ProofError("this is no run's folder: acts.json is missing", where=str(folder))
    from cyan.proof.evidence import Bounds, build  # noqa: PLC0415

    public = bounds.public if bounds else Bounds.public
    with ThreadPoolExecutor(1) as pool:  # so does parsing
        client = pool.submit(client_log.read_client, folder / "client")
        changed = collected.changed(folder)
        others = witnesses.read_witnesses(folder, public, frozenset(changed))
        told = history.load(folder, believed="journal.jsonl" not in changed)
        return build(client.result(), others, told, bounds, changed)


def _bounds(kept: dict[str, Any]) -> Bounds:
    """The bounds, with what the run's load could not live up to."""
    from cyan.proof.evidence import JOURNEYS, Bounds, Stall  # noqa: PLC0415 - pandas is heavy

    kinds = kept.get("connections", Bounds.connections)
    secure = ("secure",) if kept.get("http2") == "yes" else ()
    return Bounds(
        connections=tuple(kinds),
        workers=int(kept.get("workers", 1)),
        journeys=(*kept.get("journeys", JOURNEYS), *secure),
        methods=tuple(kept.get("methods", Bounds.methods)),
        required=tuple(kept.get("witnesses", Bounds.required)),
        writes=tuple(kept.get("writes", ())),
        planted=int(kept.get("planted", 0)),
        public=str(kept.get("public", Bounds.public)),
        stall=Stall(**kept.get("stall", {})),
    )


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "settings.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return kept
