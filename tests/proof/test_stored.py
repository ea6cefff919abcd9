"""Runs beside each other: the bound per rotation, what got worse, what differs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from cyan.proof import compare, stored, trend
from cyan.proof.report import write_report
from cyan.proof.stored import StoredAct, StoredRun
from tests.proof import synthetic

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = StoredAct("deploy v2", "pass", True, 4.0, 1000, 0, 8.0, 40.0, 39.0, 25.0)
FAILED = StoredAct("never healthy", "pass", False, 9.0, 3000, 0, 8.0, 30.0, 29.0, 20.0)
RUN = StoredRun(
    "20261121-010000-verify", "2026-11-21T01:00:00+00:00", "pass", "Not one.", 50_000, 0, 6e-5,
    20.0, (DEPLOY, FAILED), (), (("machine cores", "2"),),
)  # fmt: skip


def with_act(run: StoredRun, **changes: object) -> StoredRun:
    return replace(run, acts=(replace(run.acts[0], **changes), *run.acts[1:]))  # type: ignore[arg-type]


def test_only_judged_switches_under_load_count_as_rotations() -> None:
    unknown = with_act(RUN, verdict="unknown")
    unloaded = with_act(RUN, n=0)
    found = stored.rotations([RUN, RUN, unknown, unloaded])
    assert (found.counted, found.dropped) == (2, 0)


def test_nothing_counts_of_a_run_that_is_unknown() -> None:
    overrun = replace(RUN, verdict="unknown")
    assert stored.rotations([RUN, overrun]).counted == 1
    chaos = replace(
        RUN, name="20261121-020000-chaos", acts=(replace(DEPLOY, name="ssh-cut (drain step)"),)
    )
    unknown = replace(chaos, verdict="unknown")
    assert stored.survivals([chaos, unknown]) == (stored.Survival("ssh-cut", 1, 1, 0),)


def test_the_time_of_a_deploy_is_that_of_plain_deploys() -> None:
    acts = (
        replace(DEPLOY, name="deployer-killed (drain step)", seconds=30.0),
        replace(DEPLOY, name="the deploy after it", seconds=5.0),
        replace(DEPLOY, name="rollback while warm", seconds=1.0),
    )
    assert replace(RUN, acts=acts).deploy_seconds == 5.0


def test_each_kind_of_run_has_a_line_of_its_own() -> None:
    chaos = replace(RUN, name="20261121-020000-chaos", drops=9)
    drops, *_ = trend.figures([RUN, chaos, RUN])["trend"]
    assert [(line["name"], line["y"]) for line in drops["data"]] == [
        ("verify", [0, 0]), ("chaos", [9]),
    ]  # fmt: skip
    assert len(trend.figures([RUN])["trend"][0]["data"]) == 1


def test_clean_rotations_bound_the_probability_at_about_three_by_their_number() -> None:
    found = stored.rotations([RUN] * 100)
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / 100))
    assert found.bound == pytest.approx(3 / 100, rel=0.02)


def test_one_rotation_that_dropped_raises_the_bound() -> None:
    dropped = with_act(RUN, drops=3, verdict="fail")
    found = stored.rotations([*[RUN] * 99, dropped])
    assert (found.counted, found.dropped) == (100, 1)
    assert found.bound == pytest.approx(0.0466, abs=1e-4)  # Clopper-Pearson, 1 of 100


def test_without_rotations_nothing_is_claimed() -> None:
    assert stored.rotations([]).bound == 1


def test_a_run_is_worse_only_than_every_one_of_the_ten_before() -> None:
    slow = with_act(RUN, p99=41.0)
    assert stored.worse(slow, [RUN] * 10) == ("p99 at the switch",)
    assert stored.worse(slow, [RUN] * 9 + [slow]) == ()
    assert stored.worse(slow, [slow, *[RUN] * 10]) == ("p99 at the switch",)
    assert stored.worse(RUN, [RUN] * 10) == ()
    assert stored.worse(replace(RUN, drops=1), [RUN]) == ("drops",)
    assert stored.worse(with_act(RUN, seconds=4.1), [RUN]) == ("deploy time",)
    assert stored.worse(RUN, []) == ()


def test_what_was_not_measured_is_neither_worse_nor_better() -> None:
    none = with_act(RUN, p99=math.nan)
    assert stored.worse(none, [RUN]) == ()
    assert stored.worse(RUN, [none]) == ()


def test_acts_are_compared_by_name_and_a_missing_one_with_nothing() -> None:
    other = replace(RUN, name="b", acts=(replace(DEPLOY, p99=80.0),), kinds=(("reset", 2),))
    found = compare.compare(RUN, other)
    figures = {(pair.what, pair.name): pair for pair in found.pairs}
    assert figures["deploy v2", "p99, ms"].ratio == 2
    assert math.isnan(figures["never healthy", "p99, ms"].b)
    assert [(pair.name, pair.a, pair.b) for pair in found.kinds] == [("reset", 0, 2)]


def test_only_surroundings_that_differ_are_named() -> None:
    other = replace(RUN, measured_on=(("machine cores", "4"), ("seed", "7")))
    assert compare.compare(RUN, RUN).differences == ()
    assert compare.compare(RUN, other).differences == (
        ("machine cores", "2", "4"),
        ("seed", "", "7"),
    )


def test_stored_runs_are_read_listed_and_compared(tmp_path: Path) -> None:
    names = ("20261120-010000-verify", "20261121-010000-verify")
    for name in names:
        synthetic.write(synthetic.run(), tmp_path / name)
        write_report(tmp_path / name)
    (tmp_path / "20261119-010000-verify").mkdir()
    (tmp_path / "20261119-010000-verify" / "verdict.json").write_text('{"schema": "other"}')
    runs, unreadable = stored.read(tmp_path)
    assert [run.name for run in runs] == list(names)
    assert unreadable == ("20261119-010000-verify",)
    page = trend.write(tmp_path).read_text()
    assert all(f"{name}/report.html" in page for name in names)
    assert "Not readable: 20261119-010000-verify" in page
    found = compare.compare(*runs)
    console = Console(width=200, record=True, quiet=True)
    console.print(compare.table(found))
    assert names[1] in compare.write(found, tmp_path / "x.html").read_text()


def test_a_verdict_of_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cyan\.verdict/0 is not"):
        stored.parse("x", json.loads('{"schema": "cyan.verdict/0"}'))
    assert stored.read(tmp_path) == ((), ())


def test_a_switch_in_which_a_fault_may_drop_requests_proves_nothing_of_rotations() -> None:
    excused = with_act(RUN, drops=9, allowed=60)
    assert stored.rotations([RUN, excused]).counted == 1


def test_a_run_is_compared_with_runs_of_its_own_kind(tmp_path: Path) -> None:
    chaos = replace(RUN, name="20261121-020000-chaos", drops=9)
    assert stored.worse(RUN, [chaos]) == ()
    assert stored.worse(chaos, [RUN]) == ()
    assert stored.worse(chaos, [RUN, replace(chaos, drops=8)]) == ("drops",)
    synthetic.write(synthetic.run(), tmp_path / chaos.name)
    write_report(tmp_path / chaos.name)
    assert [run.kind for run in stored.read(tmp_path)[0]] == ["chaos"]


def test_faults_are_counted_by_name_with_what_they_cost_and_only_of_chaos_runs() -> None:
    acts = (
        replace(DEPLOY, name="deploy before"),
        replace(DEPLOY, name="ssh-cut (healthy step)"),
        replace(DEPLOY, name="ssh-cut (drain step)", verdict="fail", drops=2),
        replace(DEPLOY, name="disk-full", verdict="unknown"),
        replace(DEPLOY, name="the deploy after it"),
    )
    chaos = replace(RUN, name="20261121-020000-chaos", acts=acts)
    assert stored.survivals([RUN, chaos, chaos]) == (stored.Survival("ssh-cut", 4, 2, 4),)
