"""Drops that a fault excuses, and those that nothing does; switches that nobody wrote down."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cyan.chaos import acted, judging
from cyan.chaos.acted import Ran, Record
from cyan.chaos.catalogue import fault
from cyan.chaos.fault import Expectation
from cyan.chaos.judging import Controls
from cyan.journal import entries as journal
from cyan.proof import checks, measures, verdict
from cyan.proof.checks import acts
from cyan.proof.findings import DROPS, Finding, Kind, Verdict
from cyan.proof.history import SECOND, unrecorded
from cyan.proof.scenario import Traffic
from tests.chaos.test_invariants import BLUE, GREEN
from tests.lab.test_chaos import BROKEN_WAYS
from tests.proof import synthetic

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.chaos.world import World
    from cyan.proof.checks import Further
    from cyan.proof.verdict import Judgement
    from tests.proof.synthetic import Run

ACT = 1
FAULT = "database-restarted"
INSIDE = "drops inside the fault's window"


@pytest.fixture
def run() -> Run:
    """Clean evidence, in whose second act drops are allowed."""
    made = synthetic.run()
    performed = list(made.history.performed)
    act = replace(performed[ACT].act, allowed_drops=3)
    performed[ACT] = replace(performed[ACT], act=act)
    return replace(made, history=replace(made.history, performed=tuple(performed)))


def judged(run: Run, folder: Path, seen: Record) -> dict[str, Finding]:
    """The findings of the chaos checks about the act with the fault."""
    path = folder / judging.EXPERIMENTS / "it.json"
    path.parent.mkdir(exist_ok=True)
    acted.save(seen, path)
    kept = {"name": FAULT, "round": 0, "values": [], "file": "it"}
    told = {"services": ["platform"], "shared": [], "acts": {str(ACT): kept}}
    (folder / judging.DRAWN).write_text(json.dumps(told))
    usual = len(checks.run_all(run.evidence()))
    found = checks.run_all(run.evidence(), judging.checks(folder))[usual:]
    assert {each.act for each in found} == {ACT}
    return {each.check: each for each in found}


def fault_at(run: Run, row: int, after: World = GREEN) -> Record:
    """The record of a fault that was there around a request."""
    sent = int(run.requests["sent_ns"][row])
    ran = (Ran(("deploy",), 0, ""),)
    return Record("it", BLUE, after, sent - SECOND // 10, sent + SECOND // 10, "", ran)


def rows(run: Run) -> list[int]:
    """Requests of the act, in order."""
    act = run.evidence().requests["act"].to_numpy() == ACT
    return np.flatnonzero(act & (run.requests["journey"] == "items").to_numpy()).tolist()


def dropped(run: Run, *places: int) -> Run:
    for row in places:
        run = run.planted(row, failure="status", status=502, color="", version="")
    return run


def test_a_drop_while_the_fault_is_there_is_allowed_and_counted(run: Run, tmp_path: Path) -> None:
    row = rows(run)[3]
    bad = dropped(run, row)
    finding = judged(bad, tmp_path, fault_at(bad, row))[INSIDE]
    assert finding.verdict is Verdict.PASS
    assert finding.text.startswith("1 dropped, of 3 allowed; 0 of them outside")


def test_a_drop_outside_the_faults_window_is_found_with_its_id(run: Run, tmp_path: Path) -> None:
    last = rows(run)[-1]
    bad = dropped(run, last)
    seen = fault_at(bad, last)
    earlier = 10 * SECOND
    seen = replace(seen, injected_ns=seen.injected_ns - earlier, healed_ns=seen.healed_ns - earlier)
    finding = judged(bad, tmp_path, seen)[INSIDE]
    assert finding.verdict is Verdict.FAIL
    assert finding.ids == (f"{run.requests['id'][last]:016x}",)


def test_more_drops_than_the_bound_are_a_failure(run: Run, tmp_path: Path) -> None:
    places = rows(run)[:4]
    bad = dropped(run, *places)
    finding = judged(bad, tmp_path, fault_at(bad, places[0]))[INSIDE]
    assert (finding.verdict, finding.count) == (Verdict.FAIL, 1)


def test_a_lost_write_is_excused_by_no_fault(run: Run, tmp_path: Path) -> None:
    evidence = run.evidence()
    orders = (evidence.requests["act"].to_numpy() == ACT) & (evidence.requests["path"] == "/orders")
    row = int(np.flatnonzero(orders)[0])
    bad = run.without(row, "orders", "jobs")
    finding = judged(bad, tmp_path, fault_at(bad, row))[INSIDE]
    assert finding.verdict is Verdict.FAIL
    assert "1 lost write" in finding.text


def test_an_invariant_that_does_not_hold_is_a_finding_about_its_act(
    run: Run, tmp_path: Path
) -> None:
    row = rows(run)[0]
    two = replace(GREEN, markers=("blue", "green"))
    finding = judged(run, tmp_path, fault_at(run, row, two))["world whole"]
    assert finding.verdict is Verdict.FAIL
    assert finding.text == "markers of blue, green"


def kept(folder: Path, seen: Record, **more: object) -> tuple[Further, ...]:
    """The checks of a chaos run whose act had a release that fails its smoke, seen so."""
    path = folder / judging.EXPERIMENTS / "it.json"
    path.parent.mkdir(exist_ok=True)
    acted.save(seen, path)
    act = {"name": "fails-smoke", "round": 0, "values": [], "file": "it"}
    told = {"services": ["platform"], "shared": [], "acts": {str(ACT): act}, **more}
    (folder / judging.DRAWN).write_text(json.dumps(told))
    return judging.checks(folder)


def judgement(run: Run, more: tuple[Further, ...]) -> Judgement:
    """As `inv chaos` and `inv report` make it, of every check."""
    evidence = run.evidence()
    found = checks.run_all(evidence, more)
    return verdict.judge(4000, found, measures.measure(evidence, found), evidence.history, {})


SMOKE = "fails smoke: GET /items: answered 500"
GOOD = Record("it", BLUE, BLUE, 1, 2, "", (Ran(("deploy",), 1, SMOKE),))
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("fault healed", {"unhealed": "still there"}),
    ("deployer ended", {"ran": (Ran(("deploy",), 0, SMOKE),)}),
    ("deployer ended", {"ran": (Ran(("deploy",), 1, SMOKE, "did not end in 9 s"),)}),
    ("deployer says", {"ran": (Ran(("deploy",), 1, ""),)}),
    ("its own clients served", {"unserved": ("send: reset",)}),
    ("lock free", {"after": replace(BLUE, owner="ann")}),
    ("world whole", {"after": replace(BLUE, answering=("green", "v1"))}),
    ("standby removed", {"after": replace(BLUE, pieces=GREEN.pieces)}),
    ("live color untouched", {"before": replace(BLUE, pieces=())}),
]


@pytest.mark.parametrize(("name", "change"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_invariant_of_one_experiment_fails_the_whole_run_by_its_name(
    run: Run, tmp_path: Path, name: str, change: dict[str, Any]
) -> None:
    bad = judgement(run, kept(tmp_path, replace(GOOD, **change)))
    assert (bad.verdict, bad.verdict.exit_code) == (Verdict.FAIL, 1)
    failed = {(f.check, f.act) for f in bad.findings if f.verdict is Verdict.FAIL}
    assert failed == {(name, ACT)}
    assert f"{name} in “" in bad.sentence


def test_a_run_in_which_every_invariant_holds_passes(run: Run, tmp_path: Path) -> None:
    good = judgement(run, kept(tmp_path, GOOD))
    assert good.verdict is Verdict.PASS, good.sentence


def test_the_names_of_what_broken_deployers_are_found_by_are_those_that_fail_a_run() -> None:
    assert {found for _, _, found in BROKEN_WAYS} <= {name for name, _ in BROKEN}


CONTROLS = Controls((), "stop-then-start dropped 50", "x-controls")


@pytest.mark.parametrize(
    ("wrong", "unhealed", "found"),
    [
        ((), "", Verdict.PASS),
        (("“stop-then-start” was not carried out",), "", Verdict.UNKNOWN),
        (("“stop-then-start” was not carried out",), "still there", Verdict.FAIL),
    ],
)
def test_where_the_controls_are_bad_a_run_is_unknown_and_says_why_unless_it_failed(
    run: Run, tmp_path: Path, wrong: tuple[str, ...], unhealed: str, found: Verdict
) -> None:
    controls = replace(CONTROLS, wrong=wrong)
    more = kept(tmp_path, replace(GOOD, unhealed=unhealed), controls=controls.kept)
    told = judgement(run, more)
    assert told.verdict is found
    verdict.write(told, tmp_path)
    assert json.loads((tmp_path / "verdict.json").read_text())["verdict"] == str(found)
    assert ("was not carried out" in (tmp_path / "summary.md").read_text()) is bool(wrong)


def test_the_sentence_of_a_run_that_passes_does_not_call_its_drops_none(run: Run) -> None:
    bad = dropped(run, rows(run)[0])
    evidence = bad.evidence()
    found = checks.run_all(evidence)
    told = verdict.judge(4000, found, measures.measure(evidence, found), evidence.history, {})
    assert told.verdict is Verdict.PASS, [f for f in found if f.verdict is not Verdict.PASS]
    assert told.sentence.startswith("1 of 4,000 requests were dropped within what faults allow")
    assert Kind.STATUS in told.sentence


@pytest.mark.parametrize(
    ("traffic", "moved", "touched", "good"),
    [
        (Traffic.EITHER, False, False, True),
        (Traffic.EITHER, True, False, True),
        (Traffic.EITHER, False, True, False),
        (Traffic.BACK, False, False, True),
        (Traffic.BACK, True, False, False),
        (Traffic.BACK, False, True, False),
    ],
)
def test_what_may_become_of_the_live_color(
    run: Run, traffic: Traffic, moved: bool, touched: bool, good: bool
) -> None:
    performed = list(run.history.performed)
    item = performed[ACT]
    other = tuple(replace(c, id=f"new {c.id}") for c in item.before.containers)
    after = item.after if moved else item.before
    if touched:
        after = replace(item.before, containers=other)
    act = replace(item.act, traffic=traffic, version="")
    performed[ACT] = replace(item, act=act, after=after)
    made = replace(run, history=replace(run.history, performed=tuple(performed)))
    finding = acts.live_color(made.evidence())[ACT]
    assert (finding.verdict is Verdict.PASS) is good


def test_a_switch_that_a_killed_deployer_did_not_record_is_inferred_from_what_is_live(
    run: Run,
) -> None:
    item = run.history.performed[ACT]
    at = (item.begun_ns + item.ended_ns) / 2 / SECOND
    target = item.after.live
    begun = journal.Entry(at, "r9", "deploy", journal.Event.STEP, "switch", target, "v3")
    assert unrecorded((begun,), run.history.performed) == ()  # its command ended well
    item = replace(item, act=replace(item.act, program=("chaos",)))
    (switch,) = unrecorded((begun,), (item,))
    assert (switch.source, switch.target, switch.version) == (item.before.live, target, "v3")
    assert switch.begun_ns == round(at * SECOND)
    assert switch.done_ns == item.ended_ns
    done = replace(begun, event=journal.Event.DONE)
    assert unrecorded((begun, done), (item,)) == ()
    stayed = replace(item, after=item.before)
    assert unrecorded((begun,), (stayed,)) == ()


def test_a_way_back_that_a_killed_rollback_did_not_record_is_inferred_too(run: Run) -> None:
    item = run.history.performed[ACT]
    first, second = item.before.live, item.after.live
    item = replace(item, act=replace(item.act, program=("chaos",)), after=item.before)
    middle = (item.begun_ns + item.ended_ns) / 2 / SECOND
    moved = {"from": first, "to": second, "renamed_at": middle}
    step, done = journal.Event.STEP, journal.Event.DONE
    there = journal.Entry(middle, "r8", "deploy", done, "switch", second, "v3", "r8", moved)
    back = journal.Entry(middle + 0.001, "r9", "rollback", step, "switch", first, "v2")
    (switch,) = unrecorded((there, back), (item,))
    assert (switch.source, switch.target, switch.version) == (second, first, "v2")
    assert unrecorded((there, back), (replace(item, after=run.history.performed[ACT].after),)) == ()


@pytest.mark.parametrize("spared", [True, False])
@pytest.mark.parametrize("of_the_new_color", [True, False])
def test_only_the_color_that_was_hit_may_drop_what_it_was_asked(
    run: Run, spared: bool, of_the_new_color: bool
) -> None:
    row = rows(run)[3]
    after = run.history.performed[ACT].after.live
    bad = run.planted(
        row, failure="truncated", status=200, color=after if of_the_new_color else "", version=""
    )
    expects = Expectation(Traffic.SWITCH, outage=1.0, spared=spared)
    evidence = bad.evidence()
    found = [each for each in checks.run_all(evidence) if each.kind in DROPS]
    drops = judging.drops_of(evidence, found)
    finding = judging._attributed(evidence, ACT, fault_at(bad, row), expects, drops)
    wanted = Verdict.FAIL if spared and of_the_new_color else Verdict.PASS
    assert finding.verdict is wanted, finding.text


def test_of_a_container_that_is_killed_only_its_own_color_may_drop() -> None:
    assert fault("old-killed-while-it-drains").expects.spared
