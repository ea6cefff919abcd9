"""`inv nightly`: chaos, verification, calibration; each leaves its report, and one page sums up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.proof import calibration
from cyan.proof.findings import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

SUMMARY = "summary.md"
COMMAND = (sys.executable, "-m", "cyan")

Run = Callable[[tuple[str, ...], Path], int]
"""Runs a command of cyan's in the project's folder; its exit code."""


@dataclass(frozen=True)
class Part:
    """One part of a night: what it is called, its command, how its folders under reports/ end."""

    name: str
    words: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class Ended:
    """A part that ended, and the folder that it left; None where it left none."""

    part: Part
    verdict: Verdict
    folder: Path | None


def parts(minutes: float, seed: int) -> tuple[Part, ...]:
    """What a night consists of."""
    verify = ("verify-zero-downtime", "--seed", str(seed))
    return (
        Part("chaos", ("chaos", "--minutes", f"{minutes:g}", "--seed", str(seed)), "chaos"),
        Part("verification", verify, "verify"),
        Part("calibration", (*verify, "--calibrate"), "calibration"),
    )


def night(project: Path, wanted: Sequence[Part], run: Run) -> Verdict:
    """Run the parts one after the other, whatever becomes of each; writes reports/summary.md."""
    reports = project / "reports"
    ended = []
    for part in wanted:
        before = set(reports.glob(f"*-{part.kind}"))
        verdict = verdict_of(run(part.words, project))
        made = sorted(set(reports.glob(f"*-{part.kind}")) - before)
        ended.append(Ended(part, verdict, made[0] if made else None))
    (reports / SUMMARY).write_text(summary(ended), encoding="utf-8")
    return worst(each.verdict for each in ended)


def verdict_of(code: int) -> Verdict:
    """The verdict that an exit code stands for; any that is none's is a failure."""
    known = {verdict.exit_code: verdict for verdict in Verdict}
    return known.get(code, Verdict.FAIL)


def summary(ended: Sequence[Ended]) -> str:
    """The night as Markdown, for a CI job's summary page."""
    night_ = worst(each.verdict for each in ended)
    lines = [f"# The night: {str(night_).upper()}", ""]
    for each in ended:
        lines += [
            f"# {each.part.name}: {each.verdict}",
            "",
            f"`inv {' '.join(each.part.words)}`",
            "",
        ]
        lines += [_told(each.folder), ""]
    return "\n".join(lines)


def _told(folder: Path | None) -> str:
    """A part's own summary; of a calibration, whose run has to fail, which drops it found."""
    if folder is None or not (folder / SUMMARY).exists():
        return "It left no report."
    kept = folder / calibration.NAME
    text = _found(kept) if kept.exists() else (folder / SUMMARY).read_text(encoding="utf-8")
    return f"reports/{folder.name}/report.html\n\n{text}"


def _found(kept: Path) -> str:
    made = json.loads(kept.read_text(encoding="utf-8"))
    missed = [f"- missed: {each['plant']}" for each in made["planted"] if not each["found"]]
    extra = [f"- planted by nobody: {each['check']} `{each['id']}`" for each in made["extra"]]
    return "\n".join([made["sentence"], "", *missed, *extra])


def called(words: tuple[str, ...], project: Path) -> int:
    """Run one of our own commands as an operator would."""
    return subprocess.run((*COMMAND, *words), cwd=project, check=False).returncode  # noqa: S603
