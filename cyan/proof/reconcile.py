"""From a run's folder to its judgement: read, join, check, measure, judge, write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cyan.errors import ProofError

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.proof.case import Bounds, Case
    from cyan.proof.verdict import Judgement


def reconcile(folder: Path, bounds: Bounds | None = None) -> tuple[Case, Judgement]:
    """Judge the run in `folder` from its raw files and write everything but the report.

    Raises ProofError where the swarm left no log at all.
    """
    from cyan.proof import checks, evidence, verdict  # noqa: PLC0415 - pandas is heavy
    from cyan.proof.measures import measure  # noqa: PLC0415

    case = read_case(folder, bounds)
    findings = checks.run_all(case)
    kept = _settings(folder)
    judgement = verdict.judge(
        len(case.requests), findings, measure(case, findings), case.history, kept
    )
    evidence.write_requests(case.requests, folder / "requests.parquet")
    verdict.write(judgement, folder)
    return case, judgement


def read_case(folder: Path, bounds: Bounds | None = None) -> Case:
    """All of a run's evidence, joined."""
    from cyan.proof import case, evidence, history, witnesses  # noqa: PLC0415 - pandas is heavy

    if not (folder / "acts.json").exists():
        raise ProofError("this is no run's folder: acts.json is missing", where=str(folder))
    return case.build(
        evidence.read_client(folder / "client"),
        witnesses.read_witnesses(folder),
        history.load(folder),
        bounds,
    )


def _settings(folder: Path) -> dict[str, object]:
    path = folder / "settings.json"
    kept: dict[str, object] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return kept
