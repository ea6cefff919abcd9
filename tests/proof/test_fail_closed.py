"""What is taken away from the evidence makes the verdict unknown, never pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from cyan.proof import checks
from cyan.proof.findings import Finding, Verdict, worst
from cyan.proof.history import Observation
from tests.proof.synthetic import MS, Run, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.proof.evidence import Evidence


def judged(run: Run, **bounds: Any) -> tuple[Verdict, list[str]]:
    """The run's verdict and the checks that did not pass."""
    findings = checks.run_all(run.evidence(**bounds))
    names = dict.fromkeys(f.check for f in findings if f.verdict is not Verdict.PASS)
    return worst(finding.verdict for finding in findings), list(names)


def signed(run: Run, **counts: int) -> Run:
    return replace(run, signoffs=(replace(run.signoffs[0], **counts),))


def test_an_intent_without_a_result_is_unknown(clean: Run) -> None:
    run = clean.planted(7, answered=False, end_ns=0, first_ns=0, status=0)
    run = replace(run, signoffs=clean.signoffs)
    assert judged(run) == (Verdict.UNKNOWN, ["rows balance", "none lost"])


def test_rows_taken_away_are_unknown(clean: Run) -> None:
    fewer = replace(clean, requests=clean.requests.drop(index=[5, 6]).reset_index(drop=True))
    wanted = ["known to the client", "every row there", "rows balance"]
    assert judged(fewer) == (Verdict.UNKNOWN, wanted)
    without_their_counters = replace(fewer, signoffs=counted(fewer.requests))
    assert judged(without_their_counters) == (Verdict.UNKNOWN, wanted[:2])


@pytest.mark.parametrize(
    "counts",
    [{"scheduled": 4001}, {"abandoned": 1}, {"sent": 3999}, {"answered": 3999}, {"failed": 1}],
    ids=lambda counts: next(iter(counts)),
)
def test_a_worker_that_counted_otherwise_is_unknown(clean: Run, counts: dict[str, int]) -> None:
    assert judged(signed(clean, **counts)) == (Verdict.UNKNOWN, ["rows balance"])


def test_one_arrival_that_was_never_sent_is_unknown(clean: Run) -> None:
    run = signed(clean, scheduled=4001, abandoned=1)
    assert judged(run) == (Verdict.UNKNOWN, ["rows balance"])
    run = clean.planted(1500, failure="unsent", status=0, color="", version="", first_ns=0)
    run = run.without(1500, "proxy", "application")
    run = signed(run, sent=3999, abandoned=1, failed=0)
    assert judged(run) == (Verdict.UNKNOWN, ["schedule sent"])


def test_a_worker_that_did_not_sign_off_is_unknown(clean: Run) -> None:
    verdict, names = judged(replace(clean, signoffs=()))
    assert (verdict, names) == (Verdict.UNKNOWN, ["signed off"])


@pytest.mark.parametrize("done", [0, 3])
def test_acts_that_were_never_performed_are_unknown(clean: Run, done: int) -> None:
    told = replace(clean.history, performed=clean.history.performed[:done])
    verdict, names = judged(replace(clean, history=told))
    homeless = [] if done else ["switches told"]
    assert (verdict, names) == (Verdict.UNKNOWN, [*homeless, "every act performed"])


def test_an_act_during_which_the_load_ended_is_unknown(clean: Run) -> None:
    last = clean.history.performed[-1]
    ended = int(clean.requests["sent_ns"].max()) + MS
    performed = (*clean.history.performed[:-1], replace(last, ended_ns=ended))
    run = replace(clean, history=replace(clean.history, performed=performed))
    verdict, names = judged(run)
    assert (verdict, names) == (Verdict.UNKNOWN, ["every act performed"])


@pytest.mark.parametrize("code", [1, 3, -9])
def test_a_swarm_that_says_it_must_not_be_believed_is_not(clean: Run, code: int) -> None:
    run = replace(clean, history=replace(clean.history, swarm_exit=code))
    assert judged(run) == (Verdict.UNKNOWN, ["swarm ended"])


def test_a_worker_that_left_nothing_at_all_is_unknown(clean: Run) -> None:
    assert judged(clean, workers=2) == (Verdict.UNKNOWN, ["signed off"])


@pytest.mark.parametrize("fault", ["duplicates", "orphans", "torn"])
def test_rows_that_are_not_whole_are_unknown(clean: Run, fault: str) -> None:
    assert judged(replace(clean, client={fault: 1})) == (Verdict.UNKNOWN, ["rows whole"])


@pytest.mark.parametrize("name", ["proxy", "application", "orders", "jobs", "job_runs"])
def test_a_log_taken_away_is_unknown(clean: Run, name: str) -> None:
    gone: dict[str, Any] = {name: None}
    run = replace(clean, witnesses=replace(clean.witnesses, **gone))
    jobs = ["lost job", "double job"] if name.startswith("job") else []
    assert judged(run) == (Verdict.UNKNOWN, [*jobs, "logs present"])


@pytest.mark.parametrize("received", [0, 300])
def test_a_good_answer_whose_end_nobody_could_know_is_unknown(clean: Run, received: int) -> None:
    row = int(np.flatnonzero(clean.requests["journey"] == "items")[0])
    values = {"expected_bytes": -1, "received_bytes": received, "digest": -1}
    run = clean.planted(row, framing="close", **values)
    assert judged(run) == (Verdict.UNKNOWN, ["answers measured"])


@pytest.mark.parametrize(
    ("journey", "promise"),
    [("socket", {"digest": -1, "expected_bytes": -1}), ("events", {"expected_bytes": -1})],
)
def test_a_stream_needs_no_length_and_a_socket_no_digest_either(
    clean: Run, journey: str, promise: dict[str, int]
) -> None:
    row = int(np.flatnonzero(clean.requests["journey"] == journey)[0])
    assert judged(clean.planted(row, **promise)) == (Verdict.PASS, [])


@pytest.mark.parametrize("of", ["host", "workers"])
def test_clocks_that_may_be_far_apart_are_unknown(clean: Run, of: str) -> None:
    clock = replace(clean.history.clock, uncertainty_ns=101 * MS)
    run = replace(clean, history=replace(clean.history, clock=clock))
    if of == "workers":
        run = replace(clean, client={"uncertainty_ns": 101 * MS})
    assert judged(run) == (Verdict.UNKNOWN, ["clock known"])
    assert judged(run, clock_ns=102 * MS) == (Verdict.PASS, [])


def test_a_steady_state_without_a_request_is_unknown(clean: Run) -> None:
    run = clean.only((clean.evidence().requests["act"] >= 0).to_numpy())
    found = [f for f in checks.run_all(run.evidence()) if f.verdict is not Verdict.PASS]
    assert {f.check for f in found} >= {"no class empty"}
    assert "steady" in {f.about for f in found}


@pytest.mark.parametrize("journey", ["order", "me", "ask"])
def test_an_act_long_enough_for_a_journey_that_has_none_of_it_is_unknown(
    clean: Run, journey: str
) -> None:
    acts = clean.evidence().requests["act"]
    run = clean.only(~((acts == 3) & (clean.requests["journey"] == journey)).to_numpy())
    found = [f for f in checks.run_all(run.evidence()) if f.verdict is not Verdict.PASS]
    assert [(f.check, f.act, f.text) for f in found] == [
        ("no class empty", 3, f"no request of journey {journey}")
    ]


def test_an_act_too_short_for_a_rare_journey_needs_none_of_it(clean: Run) -> None:
    acts = clean.evidence().requests["act"]
    run = clean.only(~((acts == 3) & (clean.requests["journey"] == "download")).to_numpy())
    assert judged(run) == (Verdict.PASS, [])


def test_an_act_needs_no_log_in_for_each_user_sends_one_at_the_beginning(clean: Run) -> None:
    """Although the run has so many that a journey which is spread over it would be expected."""
    acts, frame = clean.evidence().requests["act"], clean.requests
    early = (acts != 3) & (frame["journey"] == "me") & (frame.index % 2 == 0)
    many = replace(clean, requests=frame.assign(journey=frame["journey"].mask(early, "login")))
    assert (many.requests["journey"] == "login").sum() > 8 * many.evidence().bounds.journey_n
    logged_in = many.requests["journey"] == "login"
    assert judged(many.only(~((acts == 3) & logged_in).to_numpy())) == (Verdict.PASS, [])
    assert judged(many.only(~logged_in.to_numpy())) == (Verdict.UNKNOWN, ["no class empty"])


def test_a_log_that_could_not_be_fetched_whole_is_unknown(clean: Run) -> None:
    told = replace(clean.witnesses, faults=("access.json cannot be read to its end",))
    assert judged(replace(clean, witnesses=told)) == (Verdict.UNKNOWN, ["logs present"])


def test_a_log_that_a_run_does_not_need_may_be_missing(clean: Run) -> None:
    run = replace(clean, witnesses=replace(clean.witnesses, proxy=None))
    assert judged(run, required=("journal",)) == (Verdict.PASS, [])


def test_a_missing_journal_is_unknown(clean: Run) -> None:
    told = replace(clean.history, switches=(), drains=(), journal_present=False)
    assert judged(replace(clean, history=told)) == (Verdict.UNKNOWN, ["journal", "logs present"])


def test_a_journey_without_a_request_is_unknown(clean: Run) -> None:
    kept = clean.requests["journey"] != "ask"
    run = clean.only(kept)
    assert judged(run) == (Verdict.UNKNOWN, ["no class empty"])


@pytest.mark.parametrize(("column", "value"), [("method", "POST"), ("connection", "new")])
def test_an_act_without_a_method_or_sort_of_connection_is_unknown(
    clean: Run, column: str, value: str
) -> None:
    acts = clean.evidence().requests["act"]
    kept = ~((acts == 3) & (clean.requests[column] == value))
    run = clean.only(kept)
    findings = [f for f in checks.run_all(run.evidence()) if f.verdict is Verdict.UNKNOWN]
    ((check, act, text),) = [(f.check, f.act, f.text) for f in findings]
    assert (check, act) == ("no class empty", 3)
    assert text.startswith(f"no request of {column} {value}")


def test_a_generator_that_was_overrun_is_unknown(clean: Run) -> None:
    late = clean.requests.assign(due_ns=clean.requests["due_ns"] - 200 * MS)
    assert judged(replace(clean, requests=late)) == (Verdict.UNKNOWN, ["schedule kept"])


def test_an_answer_that_names_no_color_is_unknown(clean: Run) -> None:
    verdict, names = judged(clean.planted(3, color=""))
    assert (verdict, names) == (Verdict.UNKNOWN, ["answers named"])


def test_a_request_that_the_proxy_saw_twice_is_unknown(clean: Run) -> None:
    assert judged(clean.doubled(9, "proxy")) == (Verdict.UNKNOWN, ["sent once"])


def test_an_act_that_could_not_be_carried_out_is_unknown(clean: Run) -> None:
    performed = list(clean.history.performed)
    performed[2] = replace(performed[2], error="the preparation failed", exit_code=-1)
    run = replace(clean, history=replace(clean.history, performed=tuple(performed)))
    assert judged(run) == (Verdict.UNKNOWN, ["command"])


def test_a_check_that_crashes_is_unknown_and_named(clean: Run) -> None:
    def broken_check(evidence: Evidence, _drops: Sequence[Finding]) -> tuple[Finding, ...]:
        raise ZeroDivisionError(len(evidence.requests))

    finding = checks.run_all(clean.evidence(), [broken_check])[-1]
    assert (finding.check, finding.verdict) == ("broken check", Verdict.UNKNOWN)
    assert "ZeroDivisionError" in finding.text


def test_no_finding_at_all_is_unknown() -> None:
    assert worst(()) is Verdict.UNKNOWN


def test_fail_beats_unknown_beats_pass() -> None:
    assert worst((Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)) is Verdict.FAIL
    assert worst((Verdict.PASS, Verdict.UNKNOWN)) is Verdict.UNKNOWN
    assert [verdict.exit_code for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)] == [
        0, 1, 3,
    ]  # fmt: skip


def test_foreign_traffic_is_counted_and_not_judged(clean: Run) -> None:
    proxy = clean.witnesses.proxy
    assert proxy is not None
    more = pd.concat([proxy, proxy.head(1).assign(id=np.uint64(5))], ignore_index=True)
    run = replace(clean, witnesses=replace(clean.witnesses, proxy=more))
    assert judged(run) == (Verdict.PASS, [])
    (line,) = [f for f in checks.run_all(run.evidence()) if f.check == "foreign traffic"]
    assert line.count == 1


def acted(run: Run, number: int, **changes: Any) -> tuple[Verdict, list[str]]:
    performed = list(run.history.performed)
    performed[number] = replace(performed[number], **changes)
    return judged(replace(run, history=replace(run.history, performed=tuple(performed))))


@pytest.mark.parametrize(("number", "code"), [(0, 1), (3, 0), (3, 2), (3, 130)])
def test_an_act_that_exits_otherwise_than_it_must_fails(clean: Run, number: int, code: int) -> None:
    assert acted(clean, number, exit_code=code) == (Verdict.FAIL, ["command"])


def test_a_failed_deploy_that_touched_the_live_containers_fails(clean: Run) -> None:
    after = clean.history.performed[3].after
    restarted = tuple(replace(item, started_at="later") for item in after.containers)
    verdict, names = acted(clean, 3, after=replace(after, containers=restarted))
    assert (verdict, names) == (Verdict.FAIL, ["live color"])


def test_a_deploy_that_left_the_old_color_live_fails(clean: Run) -> None:
    before = clean.history.performed[2].before
    verdict, names = acted(clean, 2, after=before)
    assert verdict is Verdict.FAIL
    assert {"live color", "who answers"} <= set(names)


def test_a_failed_deploy_that_switched_nevertheless_fails(clean: Run) -> None:
    act = clean.history.performed[3]
    moved = replace(clean.history.switches[-1], begun_ns=act.begun_ns, done_ns=act.begun_ns + MS)
    told = replace(clean.history, switches=(*clean.history.switches, moved))
    verdict, names = judged(replace(clean, history=told))
    assert (verdict, "journal" in names) == (Verdict.FAIL, True)


def test_a_version_that_nobody_deployed_fails_who_answers(clean: Run) -> None:
    after = clean.history.performed[0].after
    other = tuple(replace(item, version="v9") for item in after.containers)
    verdict, names = acted(clean, 0, after=Observation(after.live, other))
    assert (verdict, names) == (Verdict.FAIL, ["live color", "who answers"])
