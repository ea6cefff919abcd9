"""A night: every part is run, the worst verdict counts, and one page sums up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cyan.chaos.night import Part, night, parts, verdict_of
from cyan.proof.findings import Verdict

if TYPE_CHECKING:
    from pathlib import Path

PARTS = (Part("chaos", ("chaos",), "chaos"), Part("verification", ("verify",), "verify"))


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ((0, 0), Verdict.PASS),
        ((0, 3), Verdict.UNKNOWN),
        ((3, 1), Verdict.FAIL),
        ((2, 0), Verdict.FAIL),
        ((-9, 3), Verdict.FAIL),
    ],
)
def test_the_worst_verdict_is_the_nights_and_every_part_is_run(
    tmp_path: Path, codes: tuple[int, ...], worst: Verdict
) -> None:
    (tmp_path / "reports").mkdir()
    left = list(codes)
    assert night(tmp_path, PARTS, lambda _words, _folder: left.pop(0)) is worst
    assert left == []
    assert str(worst).upper() in (tmp_path / "reports/summary.md").read_text()


def test_the_summary_holds_what_each_part_left_and_says_where_one_left_nothing(
    tmp_path: Path,
) -> None:
    old = tmp_path / "reports/20260101-000000-chaos"
    old.mkdir(parents=True)
    (old / "summary.md").write_text("of another night")

    def run(words: tuple[str, ...], project: Path) -> int:
        if words == ("chaos",):
            made = project / "reports/20260102-000000-chaos"
            made.mkdir()
            (made / "summary.md").write_text("of this night")
        return 0

    night(tmp_path, PARTS, run)
    text = (tmp_path / "reports/summary.md").read_text()
    assert "of this night" in text
    assert "of another night" not in text
    assert "It left no report." in text


@pytest.mark.parametrize(
    ("found", "said"), [(True, "All 9 were found."), (False, "- missed: reset")]
)
def test_the_drops_that_a_calibration_planted_are_not_told_as_the_nights_own(
    tmp_path: Path, found: bool, said: str
) -> None:
    made = {
        "sentence": "All 9 were found." if found else "8 of 9 were found.",
        "planted": [{"plant": "reset", "found": found}],
        "extra": [],
    }

    def run(_words: tuple[str, ...], project: Path) -> int:
        folder = project / "reports/20260102-000000-calibration"
        folder.mkdir(parents=True)
        (folder / "summary.md").write_text("## FAIL: 9 of 40,000 requests were dropped")
        (folder / "calibration.json").write_text(json.dumps(made))
        return 0

    night(tmp_path, (Part("calibration", ("verify",), "calibration"),), run)
    text = (tmp_path / "reports/summary.md").read_text()
    assert text.startswith("# The night: PASS\n")
    assert said in text
    assert "FAIL" not in text


def test_a_night_consists_of_chaos_verification_and_calibration() -> None:
    assert [part.words for part in parts(20, 7)] == [
        ("chaos", "--minutes", "20", "--seed", "7"),
        ("verify-zero-downtime", "--seed", "7"),
        ("verify-zero-downtime", "--seed", "7", "--calibrate"),
    ]
    assert verdict_of(0) is Verdict.PASS
