"""Every kind of drop is planted singly; exactly its id and kind are found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cyan.proof import checks
from cyan.proof.checks import client, order
from cyan.proof.findings import MOST_IDS, Finding, Kind, Verdict
from cyan.proof.history import SECOND, History
from cyan.proof.measures import drop_ids
from cyan.proof.requestlog import STREAMS, SignOff
from tests.proof import synthetic
from tests.proof.synthetic import MS, Run, counted

Plant = Callable[[Run], tuple[Run, int]]


def troubles(run: Run) -> list[Finding]:
    return [f for f in checks.run_all(run.evidence()) if f.verdict is not Verdict.PASS]


def row_of(run: Run, chosen: pd.Series[bool], act: int = 1) -> int:
    """The first row of `chosen` in the window of an act, well after its switch."""
    since = run.history.switches[act].done_ns + 200 * MS
    until = run.history.performed[act].ended_ns
    sent = run.requests["sent_ns"]
    return int(np.flatnonzero(chosen & (sent > since) & (sent < until))[0])


def reads(run: Run) -> pd.Series[bool]:
    return run.requests["journey"] == "items"


def writes(run: Run) -> pd.Series[bool]:
    return run.requests["path"] == "/orders"


def refused(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    gone = run.planted(row, failure="refused", status=0, color="", version="", first_ns=0)
    return gone.without(row, "proxy", "application"), row


def reset(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, failure="reset", status=0, color="", version="", first_ns=0), row


def reset_of_a_write(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    return run.planted(row, failure="reset", status=0, color="", version="", first_ns=0), row


def timeout(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, failure="timeout", status=0, color="", version=""), row


def status(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, failure="status", status=502, color="", version=""), row


def server_error_that_the_swarm_took_for_good(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, status=503), row


def truncated(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, failure="truncated", received_bytes=7), row


def short_body_that_the_swarm_took_for_good(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, received_bytes=7), row


def wrong_digest_that_the_swarm_took_for_good(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, digest=0), row


def stale(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.planted(row, color="green", version="v2"), row


def stale_between_two_others_of_its_connection(run: Run) -> tuple[Run, int]:
    frame = run.requests
    last = frame["connection"].eq("reused").groupby(frame["user"], observed=True).shift(-1)
    row = row_of(run, reads(run) & frame["connection"].eq("reused") & last.eq(other=True))
    return run.planted(row, color="green", version="v2"), row


def backwards(run: Run) -> tuple[Run, int]:
    """Within the 5 ms in which a stale answer cannot be told, a connection goes back."""
    switch = run.history.switches[1]
    at = switch.done_ns
    row = row_of(run, reads(run))
    first = row - 1
    user = run.requests["user"][row]
    made = run.planted(
        first, user=user, connection="new", sent_ns=at - 2 * MS, due_ns=at - 2 * MS,
        first_ns=at - MS, end_ns=at - MS, journey="items", method="GET", path="/items", status=200,
    )  # fmt: skip
    made = made.planted(
        row, connection="reused", sent_ns=at + MS, due_ns=at + MS, end_ns=at + 2 * MS,
        color="green", version="v2",
    )  # fmt: skip
    others = (made.requests["user"] == user) & (abs(made.requests["sent_ns"] - at) < 2 * SECOND)
    for other in np.flatnonzero(others):
        if other not in (first, row):
            made = made.planted(int(other), user=59 if user != 59 else 58, connection="new")
    return made, row


def session_lost(run: Run) -> tuple[Run, int]:
    row = row_of(run, run.requests["journey"] == "me")
    return run.planted(row, failure="status", status=401), row


def mixed_colors(run: Run) -> tuple[Run, int]:
    row = row_of(run, run.requests["journey"] == "ask")
    return run.planted(row, failure="status", status=409), row


def mixed_colors_that_the_site_missed(run: Run) -> tuple[Run, int]:
    row = row_of(run, run.requests["journey"] == "ask")
    return run.planted(row, failure="status", status=200), row


def ask_that_erred(run: Run) -> tuple[Run, int]:
    row = row_of(run, run.requests["journey"] == "ask")
    return run.planted(row, failure="status", status=500), row


def cut_by_a_drain(run: Run) -> tuple[Run, int]:
    return _cut(run, reads(run))


def _cut(run: Run, chosen: pd.Series[bool]) -> tuple[Run, int]:
    row = int(np.flatnonzero(chosen)[0])
    return _letting_go(_dying(run, row), cut=1), row


def _dying(run: Run, row: int, after: int = 50 * MS, **look: str) -> Run:
    """The run in which a request of the drained color dies `after` ns from that drain's end."""
    at = run.history.drains[1].done_ns
    look = {"color": "green", "version": "v2", **look}
    return run.planted(
        row, failure="reset", status=0, sent_ns=at - MS, due_ns=at - MS, end_ns=at + after, **look
    )


def _letting_go(run: Run, **drain: Any) -> Run:
    """The run whose second drain was otherwise."""
    drains = list(run.history.drains)
    drains[1] = replace(drains[1], **drain)
    return replace(run, history=replace(run.history, drains=tuple(drains)))


def lost_write(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    return run.without(row, "orders", "jobs"), row


def unseen_by_the_ledger_that_has_its_job(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    return run.without(row, "orders"), row


def double_write(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    return run.doubled(row, "orders"), row


def lost_job(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    return run.without(row, "jobs"), row


def job_that_never_ran(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    jobs, runs = run.witnesses.jobs, run.witnesses.job_runs
    assert jobs is not None
    assert runs is not None
    job = jobs["job"][jobs["id"] == run.requests["id"][row]].iloc[0]
    kept = replace(run.witnesses, job_runs=runs[runs["job"] != job])
    return replace(run, witnesses=kept), row


def double_job(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    jobs, runs = run.witnesses.jobs, run.witnesses.job_runs
    assert jobs is not None
    assert runs is not None
    job = jobs["job"][jobs["id"] == run.requests["id"][row]].iloc[0]
    twice = pd.concat([runs, pd.DataFrame({"job": [job]})])
    return replace(run, witnesses=replace(run.witnesses, job_runs=twice)), row


def two_jobs_for_one_order_each_done_once(run: Run) -> tuple[Run, int]:
    row = row_of(run, writes(run))
    jobs, runs = run.witnesses.jobs, run.witnesses.job_runs
    assert jobs is not None
    assert runs is not None
    second = pd.DataFrame({"job": [len(jobs)], "id": [run.requests["id"][row]], "done": [True]})
    more = replace(
        run.witnesses,
        jobs=pd.concat([jobs, second], ignore_index=True).astype(jobs.dtypes),
        job_runs=pd.concat([runs, second[["job"]]], ignore_index=True),
    )
    return replace(run, witnesses=more), row


def executed_twice(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.doubled(row, "application"), row


def unseen_by_the_proxy(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.without(row, "proxy"), row


def unseen_by_the_application(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.without(row, "application"), row


def unseen_by_both(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.without(row, "proxy", "application"), row


def answered_otherwise_by_the_proxy(run: Run) -> tuple[Run, int]:
    row = row_of(run, reads(run))
    return run.answered_by_the_proxy(row, 502), row


PLANTS: tuple[tuple[Plant, Kind], ...] = (
    (refused, Kind.REFUSED),
    (reset, Kind.RESET),
    (reset_of_a_write, Kind.RESET),
    (timeout, Kind.TIMEOUT),
    (status, Kind.STATUS),
    (server_error_that_the_swarm_took_for_good, Kind.STATUS),
    (truncated, Kind.TRUNCATED),
    (short_body_that_the_swarm_took_for_good, Kind.TRUNCATED),
    (wrong_digest_that_the_swarm_took_for_good, Kind.TRUNCATED),
    (stale, Kind.STALE),
    (stale_between_two_others_of_its_connection, Kind.STALE),
    (backwards, Kind.BACKWARDS),
    (session_lost, Kind.SESSION_LOST),
    (mixed_colors, Kind.MIXED),
    (mixed_colors_that_the_site_missed, Kind.MIXED),
    (ask_that_erred, Kind.STATUS),
    (cut_by_a_drain, Kind.CUT),
    (lost_write, Kind.LOST_WRITE),
    (double_write, Kind.DOUBLE_WRITE),
    (lost_job, Kind.LOST_JOB),
    (job_that_never_ran, Kind.LOST_JOB),
    (double_job, Kind.DOUBLE_JOB),
    (two_jobs_for_one_order_each_done_once, Kind.DOUBLE_JOB),
    (executed_twice, Kind.TWICE),
    (unseen_by_both, Kind.UNEXPLAINED),
    (answered_otherwise_by_the_proxy, Kind.UNEXPLAINED),
)


DOUBTS = (
    unseen_by_the_proxy,
    unseen_by_the_application,
    unseen_by_the_ledger_that_has_its_job,
)


@pytest.mark.parametrize("plant", DOUBTS)
def test_a_good_answer_that_two_of_three_witnesses_tell_of_is_a_doubt_and_no_drop(
    clean: Run, plant: Plant
) -> None:
    run, row = plant(clean)
    found = [(f.kind, f.verdict, f.act, f.count, f.ids) for f in troubles(run)]
    number = f"{int(run.requests['id'][row]):016x}"
    assert found == [(Kind.DOUBT, Verdict.UNKNOWN, 1, 1, (number,))]
    assert drop_ids(troubles(run)) == ()


def test_a_clean_run_has_no_finding_that_is_not_a_pass(clean: Run) -> None:
    assert troubles(clean) == []


@pytest.mark.parametrize(("plant", "kind"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_a_planted_drop_is_found_by_its_id_and_kind_and_nothing_else_is(
    clean: Run, plant: Plant, kind: Kind
) -> None:
    run, row = plant(clean)
    found = [(f.kind, f.verdict, f.act, f.count, f.ids) for f in troubles(run)]
    number = f"{int(run.requests['id'][row]):016x}"
    assert found == [(kind, Verdict.FAIL, 1, 1, (number,))]


def allowing(run: Run, drops: int, *, loses_lines: bool = False) -> Run:
    """The run, in whose second act that many drops are allowed."""
    performed = list(run.history.performed)
    act = replace(performed[1].act, allowed_drops=drops, loses_lines=loses_lines)
    performed[1] = replace(performed[1], act=act)
    return replace(run, history=replace(run.history, performed=tuple(performed)))


FAILED_AT_THE_CLIENT = (
    refused,
    reset,
    reset_of_a_write,
    timeout,
    status,
    truncated,
    ask_that_erred,
    cut_by_a_drain,
)


@pytest.mark.parametrize(("plant", "kind"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_only_what_failed_at_the_client_is_excused_by_an_act_that_may_drop_requests(
    clean: Run, plant: Plant, kind: Kind
) -> None:
    run, _ = plant(allowing(clean, 5))
    found = [(f.kind, f.verdict) for f in troubles(run)]
    assert found == ([] if plant in FAILED_AT_THE_CLIENT else [(kind, Verdict.FAIL)])


@pytest.mark.parametrize("plant", [unseen_by_the_proxy, unseen_by_the_application])
def test_an_act_that_kills_a_witness_excuses_what_that_one_did_not_write_down(
    clean: Run, plant: Plant
) -> None:
    run, _ = plant(allowing(clean, 5, loses_lines=True))
    assert troubles(run) == []


def test_one_grave_drop_among_excused_ones_fails(clean: Run) -> None:
    run, first = truncated(allowing(clean, 5))
    rows = np.flatnonzero(run.evidence().requests["act"] == 1)
    hidden = int(rows[rows > first][0])
    found = troubles(run.planted(hidden, received_bytes=7))
    assert [(f.kind, f.verdict, f.count) for f in found] == [(Kind.TRUNCATED, Verdict.FAIL, 2)]


def test_drops_of_several_kinds_are_allowed_together_and_not_each(clean: Run) -> None:
    run = allowing(clean, 2)
    rows = np.flatnonzero(reads(run) & (run.evidence().requests["act"] == 1).to_numpy())
    for row, failure in zip(rows, ("reset", "timeout", "refused"), strict=False):
        assert troubles(run) == []
        run = run.planted(int(row), failure=failure, status=0, color="", version="", first_ns=0)
    (found,) = troubles(run)
    assert (found.check, found.verdict, found.act, found.count) == (
        "drops allowed", Verdict.FAIL, 1, 1,
    )  # fmt: skip
    assert len(found.ids) == 3


def test_every_kind_of_drop_is_planted() -> None:
    planted = {kind for _, kind in PLANTS}
    assert planted == set(Kind) - {Kind.NONE, Kind.STREAM_CUT, Kind.DOUBT}


@pytest.mark.parametrize("journey", STREAMS)
def test_a_stream_cut_by_a_drain_is_told_on_its_own_line_and_is_no_drop(
    clean: Run, journey: str
) -> None:
    run, _ = _cut(clean, clean.requests["journey"] == journey)
    findings = checks.run_all(run.evidence())
    assert all(finding.verdict is Verdict.PASS for finding in findings)
    (line,) = [f for f in findings if f.kind is Kind.STREAM_CUT and f.count]
    assert (line.about, line.count) == ("deploy v3", 1)


def test_every_one_of_very_many_drops_is_counted() -> None:
    many = synthetic.run(MOST_IDS + 5000, rate=10_000)
    failure = pd.Categorical(["reset"] * len(many.requests), ["", "reset"])
    told = replace(many.history, performed=())  # so that one finding holds them all
    bad = replace(many, requests=many.requests.assign(failure=failure), history=told)
    (found,) = client.reset(bad.evidence())
    assert found.count == len(drop_ids([found])) == len(many.requests)


def test_a_check_counts_only_what_it_could_have_found(clean: Run) -> None:
    found = {(f.kind, f.act): f for f in checks.run_all(clean.evidence()) if f.kind}
    frame, last = clean.evidence().requests, clean.history.switches[-1].done_ns
    late = frame["sent_ns"] > last + 5 * MS
    assert found[Kind.STALE, 3].n == int((late & (frame["act"] == 3)).sum())
    assert found[Kind.STALE, 0].n < int((frame["act"] == 0).sum())  # only after its own switch
    reused = (frame["connection"] == "reused") & (frame["act"] == 3)
    assert 0 < found[Kind.BACKWARDS, 3].n <= int(reused.sum())
    run, _ = unseen_by_the_application(clean)
    twice = {f.act: f for f in checks.run_all(run.evidence()) if f.kind is Kind.TWICE}
    assert twice[1].n == found[Kind.TWICE, 1].n - 1


@pytest.mark.parametrize(
    "answer",
    [
        {"color": "green"},
        {"color": "green", "version": "v2"},
        {"version": "v0"},
        {"color": "mauve", "version": "v1"},
    ],
    ids=lambda answer: "-".join(answer.values()),
)
def test_before_the_first_switch_only_the_release_that_was_live_may_answer(
    clean: Run, answer: dict[str, str]
) -> None:
    row = int(np.flatnonzero(reads(clean))[0])
    (found,) = troubles(clean.planted(row, **answer))
    assert (found.kind, found.verdict, found.count) == (Kind.STALE, Verdict.FAIL, 1)


@pytest.mark.parametrize("answer", [{"version": "v1"}, {"color": "mauve"}, {"version": "v0"}])
def test_after_a_switch_color_and_version_are_the_targets(
    clean: Run, answer: dict[str, str]
) -> None:
    row = row_of(clean, reads(clean))
    (found,) = troubles(clean.planted(row, **answer))
    assert (found.kind, found.verdict, found.count) == (Kind.STALE, Verdict.FAIL, 1)


def test_without_a_journal_nothing_is_stale(clean: Run) -> None:
    told = replace(clean.history, switches=(), journal_present=False)
    run = replace(clean, history=told)
    assert {(f.n, f.count) for f in order.stale(run.evidence())} == {(0, 0)}


def reopened(run: Run, wait: int, **values: Any) -> str:
    """What is said of a stream that was cut and asked for again `wait` ns later."""
    run, row = _cut(run, run.requests["journey"] == "events")
    again = int(np.flatnonzero(run.requests["journey"] == "events")[-1])
    at = int(run.requests["end_ns"][row]) + wait
    first, end = at + 800 * MS, at + 900 * MS
    values = {"user": run.requests["user"][row], "first_ns": first, "end_ns": end, **values}
    run = run.planted(again, sent_ns=at, due_ns=at, **values)
    (line,) = [f for f in checks.run_all(run.evidence()) if f.kind is Kind.STREAM_CUT and f.count]
    return line.text


def test_the_time_to_reconnect_is_counted_to_the_answer_of_the_stream_opened_again(
    clean: Run,
) -> None:
    assert "back after 1.50 s" in reopened(clean, 700 * MS)


@pytest.mark.parametrize(
    ("wait", "values"),
    [(-20 * MS, {}), (MS, {"failure": "refused", "first_ns": 0}), (MS, {"user": 9999})],
    ids=["sent before it was cut", "refused", "of somebody else"],
)
def test_what_is_no_stream_opened_again_is_no_time_to_reconnect(
    clean: Run, wait: int, values: dict[str, Any]
) -> None:
    assert "none of them was opened again" in reopened(clean, wait, **values)


def test_streams_of_the_new_color_that_die_while_a_drain_cuts_one_are_drops(clean: Run) -> None:
    sockets = np.flatnonzero(clean.requests["journey"] == "socket")[:10].tolist()
    run = _letting_go(clean, cut=1)
    for row in sockets:
        run = _dying(run, row, color="blue", version="v3")
    (found,) = troubles(run)
    assert (found.kind, found.count) == (Kind.RESET, 10)


@pytest.mark.parametrize("color", ["green", ""])
def test_a_drain_is_no_excuse_for_more_than_it_cut(clean: Run, color: str) -> None:
    early, late = np.flatnonzero(clean.requests["journey"] == "events")[:2].tolist()
    run = _dying(_dying(clean, early, 60 * MS), late, 40 * MS)
    run = run.planted(early, color=color).planted(late, color=color)  # the proxy knows it
    (found,) = troubles(_letting_go(run, cut=1))
    assert (found.kind, found.ids) == (Kind.RESET, (f"{int(run.requests['id'][early]):016x}",))
    assert troubles(_letting_go(run, cut=2)) == []


def test_a_drain_is_no_excuse_for_what_was_refused_or_nobody_knows_to_be_its_color_s(
    clean: Run,
) -> None:
    row = int(np.flatnonzero(clean.requests["journey"] == "events")[0])
    run = _letting_go(_dying(clean, row), cut=3)
    assert troubles(run) == []
    (found,) = troubles(run.planted(row, failure="refused"))
    assert (found.kind, found.verdict) == (Kind.REFUSED, Verdict.FAIL)
    blue = run.planted(row, color="blue", version="v3").planted(row, color="", version="")
    (found,) = troubles(blue)
    assert (found.kind, found.verdict) == (Kind.RESET, Verdict.FAIL)


def test_a_reload_cuts_streams_of_both_colors(clean: Run) -> None:
    row = int(np.flatnonzero(clean.requests["journey"] == "socket")[0])
    run = _dying(clean, row, color="blue", version="v3")
    assert troubles(_letting_go(run, cut=1, step="reload")) == []


@pytest.mark.parametrize("status", [0, 101])
def test_of_a_socket_the_proxy_may_log_its_status_or_none(clean: Run, status: int) -> None:
    row = int(np.flatnonzero(clean.requests["journey"] == "socket")[0])
    assert troubles(clean.answered_by_the_proxy(row, status)) == []
    (found,) = troubles(clean.answered_by_the_proxy(row, 200))
    assert found.kind is Kind.UNEXPLAINED


def test_a_stream_that_dies_without_a_drain_is_a_drop(clean: Run) -> None:
    row = row_of(clean, clean.requests["journey"] == "events")
    (found,) = troubles(clean.planted(row, failure="reset"))
    assert found.kind is Kind.RESET


def test_equal_numbers_of_users_of_two_workers_are_two_connections(clean: Run) -> None:
    run, row = backwards(clean)
    assert troubles(run.planted(row, worker=1)) == []


def test_a_load_that_two_workers_shared_is_judged_as_that_of_one(clean: Run) -> None:
    run = clean
    for plant in (backwards, double_write, session_lost, mixed_colors):
        run, _ = plant(run)
    user = run.requests["user"]
    frame = run.requests.assign(worker=(user % 2).astype(np.int16), user=user // 2)
    shared = replace(run, requests=frame, signoffs=counted(frame))
    one, two = (
        [f for f in checks.run_all(each.evidence()) if f.check != "signed off"]
        for each in (run, shared)
    )
    assert two == one
    assert {f.kind for f in two if f.verdict is Verdict.FAIL} == {
        Kind.BACKWARDS, Kind.DOUBLE_WRITE, Kind.SESSION_LOST, Kind.MIXED,
    }  # fmt: skip


def test_idle_connections_that_were_replaced_are_counted_and_not_judged(clean: Run) -> None:
    (one,) = clean.signoffs
    two = (replace(one, replaced_idle=7), SignOff(1, 0, 0, 0, 0, 0, 5))
    findings = checks.run_all(replace(clean, signoffs=two).evidence())
    (told,) = [f for f in findings if f.check == "idle replaced"]
    assert (told.verdict, told.count, told.n) == (Verdict.PASS, 12, len(clean.requests))
    assert told.text.startswith("12 idle connections")


def test_a_write_that_is_there_without_acknowledgement_is_counted_as_recovered(clean: Run) -> None:
    run, _ = reset_of_a_write(clean)
    counts = [f.count for f in checks.run_all(run.evidence()) if f.check == "recovered write"]
    assert sum(counts) == 1


def test_a_drop_outside_every_act_is_of_the_steady_state(clean: Run) -> None:
    run = clean.planted(3, failure="reset", status=0)
    (found,) = troubles(run)
    assert (found.about, found.act) == ("steady", -1)


def test_an_answer_of_the_old_color_within_five_milliseconds_is_not_stale(clean: Run) -> None:
    switch = clean.history.switches[1]
    row = row_of(clean, reads(clean))
    at = switch.done_ns + 4 * MS
    run = clean.planted(
        row, sent_ns=at, due_ns=at, end_ns=at + MS, color="green", version="v2", connection="new"
    )
    assert troubles(run) == []


def test_the_clocks_uncertainty_widens_the_time_in_which_an_answer_is_not_stale(
    clean: Run,
) -> None:
    switch = clean.history.switches[1]
    row = row_of(clean, reads(clean))
    at = switch.done_ns + 20 * MS
    run = clean.planted(
        row, sent_ns=at, due_ns=at, end_ns=at + MS, color="green", version="v2", connection="new"
    )
    clock = replace(clean.history.clock, uncertainty_ns=30 * MS)
    told: History = replace(clean.history, clock=clock)
    assert [f.kind for f in troubles(run)] == [Kind.STALE]
    assert troubles(replace(run, history=told)) == []
