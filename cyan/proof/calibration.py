"""Calibration: were the planted drops found, each by its check, and nothing else?

`python -m cyan.proof.calibration FILE COUNT` is the act in which the relay plants: it makes FILE
and waits until so many plants are noted there; none, and it does not wait.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cyan.proof.findings import DROPS, Kind, Verdict
from cyan.proof.relay.plants import PLANTS, REFUSED, SENT_TWICE
from cyan.proof.statistics import upper_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from cyan.proof.findings import Finding
    from cyan.proof.relay.plants import Draw

NAME = "calibration.json"
PLANTED = "planted.jsonl"
WITHIN = 90.0  # seconds in which a request for every plant must have come by
POLL = 0.1
NONE_CAME = "none came by"
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Sought:
    """One plant: the request that it hit ("", and the reason, where none), whether it was found."""

    plant: str
    check: str
    id: str
    found: bool
    why_not: str = ""


@dataclass(frozen=True)
class Calibration:
    """What became of every plant, and the (check, id) pairs that nobody had planted.

    `doubts` are what else went wrong in the run: it does not rate the instrument then. Plants that
    were `drawn`, kinds and requests, say how many of such drops are found.
    """

    sought: tuple[Sought, ...]
    extra: tuple[tuple[str, str], ...]
    doubts: tuple[str, ...] = ()
    drawn: bool = False

    @property
    def found(self) -> int:
        """How many plants were found."""
        return sum(each.found for each in self.sought)

    @property
    def verdict(self) -> Verdict:
        """Fail where one was missed or something else was found.

        Unknown where one could not be planted, of those that were drawn a tenth, and where the
        run's evidence or acts are in doubt.
        """
        if self.extra or any(each.id and not each.found for each in self.sought):
            return Verdict.FAIL
        left = sum(not each.id for each in self.sought)
        enough = left <= len(self.sought) / 10 if self.drawn else not left
        sure = enough and not self.doubts
        return Verdict.PASS if sure else Verdict.UNKNOWN

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        total = len(self.sought)
        planted = sum(bool(each.id) and each.plant != REFUSED.name for each in self.sought)
        if self.verdict is Verdict.PASS and self.drawn:
            least = 1 - upper_bound(0, planted)
            return (  # of the one that was refused nobody drew the request
                f"{planted} of {planted} drops that were planted at random, at any time of deploys "
                f"and a rollback, were found, each by its own check, and nothing else was: at "
                f"least {least:.0%} of such drops are found (95 %)."
            )
        if self.verdict is Verdict.PASS:
            return (
                f"All {total} drops that were planted were found, each by its own check, "
                "and nothing else was."
            )
        unplanted = sum(not each.id for each in self.sought)
        doubts = f" The run itself is in doubt: {'; '.join(self.doubts)}." if self.doubts else ""
        return (
            f"{self.found} of {total} planted drops were found; {unplanted} could not be planted, "
            f"{len(self.extra)} findings were planted by nobody.{doubts}"
        )


def calibrate(
    planted: Mapping[str, str],
    findings: Iterable[Finding],
    why_not: Mapping[str, str] = NOTHING,
    drawn: Draw | None = None,
) -> Calibration:
    """Compare what was planted (request ids by the plant's name) with what the checks found.

    `why_not` says of plants without an id why they could not be planted. Every other check must
    have passed, those of the evidence and those of the acts.
    """
    findings = tuple(findings)
    found = {
        (finding.check, number)
        for finding in findings
        if _of_plants(finding)
        for number in finding.ids
    }
    sought = []
    plants = tuple(plant for _, plant in drawn.plants) if drawn else PLANTS
    for plant in (*plants, REFUSED):
        number = planted.get(plant.name, "")
        reason = "" if number else why_not.get(plant.name, NONE_CAME)
        hit = (plant.check, number) in found
        sought.append(Sought(plant.name, plant.check, number, hit, reason))
    wanted = {(each.check, each.id) for each in sought}
    doubts = tuple(
        f"{finding.check}, {finding.about}: {finding.text}"
        for finding in findings
        if finding.verdict is not Verdict.PASS
        and not _of_plants(finding)
        and not (finding.ids and set(finding.ids) <= set(planted.values()))
    )
    extra = tuple(sorted(found - wanted))
    return Calibration(tuple(sought), extra, doubts, drawn=drawn is not None)


def _of_plants(finding: Finding) -> bool:
    """Whether a check looks for what can be planted."""
    return finding.kind in DROPS or finding.kind is Kind.DOUBT or finding.check == SENT_TWICE


def of_run(
    folder: Path,
    requests: pd.DataFrame,
    findings: Iterable[Finding],
    refused: int,
    drawn: Draw | None = None,
) -> Calibration | None:
    """The calibration of a run's folder, kept there too; None where nothing was planted in it.

    The swarm itself planted the refused connection, on the `refused`-th request that its first
    worker sent; a worker counts its ids upwards.
    """
    path = folder / PLANTED
    if not path.exists():
        return None
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    planted = {line["plant"]: line["id"] for line in lines}
    first = sorted(requests["id"][requests["worker"] == 0].tolist())
    if 0 < refused <= len(first):
        planted[REFUSED.name] = f"{first[refused - 1]:016x}"
    why_not = {line["plant"]: line["why_not"] for line in lines}
    made = calibrate(planted, findings, why_not, drawn)
    (folder / NAME).write_text(json.dumps(as_json(made), indent=1) + "\n", encoding="utf-8")
    return made


def newest(project: Path) -> str:
    """What the newest calibration under the project's reports/ says, and when it was made."""
    found = sorted((project / "reports").glob(f"*-calibration/{NAME}"))
    if not found:
        return "none yet: inv verify-zero-downtime --calibrate"
    sentence = json.loads(found[-1].read_text(encoding="utf-8"))["sentence"]
    return f"{found[-1].parent.name}: {sentence}"


def as_json(made: Calibration) -> dict[str, Any]:
    """The calibration as it is kept."""
    return {
        "verdict": str(made.verdict),
        "sentence": made.sentence,
        "planted": [asdict(each) for each in made.sought],
        "extra": [{"check": check, "id": number} for check, number in made.extra],
        "doubts": list(made.doubts),
    }


def main() -> int:
    """Let the relay plant; 0 once everything is, 1 where too little came by in time."""
    path, count, deadline = Path(sys.argv[1]), int(sys.argv[2]), time.monotonic() + WITHIN
    path.touch()
    while time.monotonic() < deadline:
        if path.read_text(encoding="utf-8").count("\n") >= count:
            return 0
        time.sleep(POLL)
    return 1


if __name__ == "__main__":
    sys.exit(main())
