"""Evidence that somebody has edited, its manifest with it: never a pass, and no drop by itself.

Each of these passed once, or was called a drop where a witness had lost something.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from cyan.journal.entries import Entry, Event
from cyan.proof import checks, collected, report
from cyan.proof.evidence import Bounds
from cyan.proof.findings import Finding, Verdict, worst
from cyan.proof.history import SECOND, Hold, holds_of
from cyan.proof.measures import drop_ids
from cyan.proof.reconcile import read_case, reconcile
from cyan.proof.requestlog import INTENT_COLUMNS, RESULT_COLUMNS, SignOff
from tests.proof import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.proof.synthetic import Run

INTENTS, RESULTS = "client/intents-0.tsv", "client/results-0.tsv"


@pytest.fixture
def folder(clean: Run, tmp_path: Path) -> Path:
    synthetic.write(clean, tmp_path)
    return tmp_path


def judged(folder: Path, **bounds: Any) -> tuple[Verdict, dict[str, Finding]]:
    """The verdict on a folder whose manifest is made anew, and what did not pass, by its check."""
    collected.write(folder)
    found = checks.run_all(read_case(folder, Bounds(**bounds)))
    troubles = {each.check: each for each in found if each.verdict is not Verdict.PASS}
    return worst(each.verdict for each in found), troubles


def dropped(folder: Path) -> int:
    return len(drop_ids(checks.run_all(read_case(folder))))


def table(folder: Path, name: str) -> pd.DataFrame:
    columns = INTENT_COLUMNS if name == INTENTS else RESULT_COLUMNS
    return pd.read_csv(
        folder / name, sep="\t", names=list(columns), dtype={"id": np.uint64}, na_filter=False
    )


def kept(folder: Path, frame: pd.DataFrame, name: str) -> None:
    frame.to_csv(folder / name, sep="\t", header=False, index=False)


def without_rows(folder: Path, gone: Callable[[pd.DataFrame], Any]) -> None:
    """Take rows out of both of the client's files, and out of its sign-off."""
    intents, results = table(folder, INTENTS), table(folder, RESULTS)
    left = intents[~np.asarray(gone(intents))]
    kept(folder, left, INTENTS)
    kept(folder, results[results["id"].isin(left["id"])], RESULTS)
    path = folder / "client" / "signoff-0.json"
    told = json.loads(path.read_text())
    path.write_text(
        json.dumps({**told, **dict.fromkeys(("scheduled", "sent", "answered"), len(left))})
    )


def lines(folder: Path, name: str, edit: Callable[[list[str]], list[str]]) -> None:
    text = (folder / name).read_text()
    (folder / name).write_text("".join(edit(text.splitlines(keepends=True))))


def in_proxy(folder: Path, edit: Callable[[dict[str, Any]], None], number: int = 1000) -> None:
    """Edit so many lines in the middle of the proxy's log."""

    def edited(told: list[str]) -> list[str]:
        for place in range(1000, 1000 + number):
            line = json.loads(told[place])
            edit(line)
            told[place] = json.dumps(line) + "\n"
        return told

    lines(folder, "proxy.jsonl", edited)


def test_what_nobody_touched_passes(folder: Path) -> None:
    assert judged(folder) == (Verdict.PASS, {})


@pytest.mark.parametrize(
    "gone",
    [
        lambda rows: rows.index.isin(range(2000, 2010)),
        lambda rows: rows.index % 4 == 0,
        lambda rows: rows.index >= len(rows) - 500,
        lambda rows: rows.index < 10,
    ],
    ids=["ten", "every fourth", "the last", "the first"],
)
@pytest.mark.parametrize("others", ["know them", "do not"])
def test_rows_that_are_gone_with_their_counters_are_missed(
    folder: Path, gone: Callable[[pd.DataFrame], Any], others: str
) -> None:
    rows = table(folder, INTENTS)
    ids = {f"{number:016x}" for number in rows["id"][np.asarray(gone(rows))]}
    without_rows(folder, gone)
    if others == "do not":
        for name in ("proxy.jsonl", f"application/{synthetic.LOGS[0]}", "orders.csv", "jobs.csv"):
            lines(
                folder,
                name,
                lambda told: [t for t in told if not any(i in t for i in ids & _ids(t))],
            )
    verdict, found = judged(folder)
    assert verdict is Verdict.UNKNOWN
    assert "every row there" in found
    assert ("known to the client" in found) == (others == "know them")


def _ids(line: str) -> set[str]:
    """What of a line may be an id."""
    return {
        part for part in line.replace('"', ",").replace("\n", ",").split(",") if len(part) == 16
    }


def test_a_hole_in_the_schedule_is_seen_though_every_id_is_there(folder: Path) -> None:
    intents = table(folder, INTENTS)
    late = intents["due_ns"] > intents["due_ns"][2000]
    intents.loc[late, ["due_ns", "sent_ns", "wall_ns"]] += SECOND
    kept(folder, intents, INTENTS)
    results = table(folder, RESULTS)
    moved = results["id"].isin(intents["id"][late])
    results.loc[moved, ["first_ns", "end_ns"]] += SECOND
    kept(folder, results, RESULTS)
    assert "every row there" in judged(folder)[1]


def stalled(run: Run, act: int, seconds: float) -> Run:
    """The run in whose act nobody was answered for a while, and then everybody was."""
    frame = run.requests.copy()
    at = run.history.performed[act].begun_ns + SECOND // 10
    until = at + int(seconds * SECOND)
    waits = (frame["end_ns"] >= at) & (frame["end_ns"] < until)
    waits |= (frame["sent_ns"] >= at) & (frame["sent_ns"] < until)
    moved = until + (frame["sent_ns"] - at) // 100
    frame["end_ns"] = frame["end_ns"].where(~waits, np.maximum(moved, frame["end_ns"]))
    proxy = run.witnesses.proxy
    assert proxy is not None
    took = (frame["end_ns"] - frame["sent_ns"]).to_numpy()
    told = proxy.assign(at_ns=frame["end_ns"].to_numpy(), duration_ns=took)
    return replace(run, requests=frame, witnesses=replace(run.witnesses, proxy=told))


@pytest.mark.parametrize("seconds", [1.5, 3.0])
def test_a_site_that_stood_still_does_not_pass_though_nothing_was_dropped(seconds: float) -> None:
    run = stalled(synthetic.run(16_000), 1, seconds)
    found = {f.check: f for f in checks.run_all(run.evidence()) if f.verdict is not Verdict.PASS}
    assert set(found) == {"stood still"}
    assert (found["stood still"].verdict, found["stood still"].act) == (Verdict.FAIL, 1)
    assert drop_ids(found.values()) == ()
    closest, act = report.margins(found.values())[0]
    assert (closest.of, act) == ("longest time without an answer", found["stood still"].about)
    assert closest.used > 1
    assert closest.value == pytest.approx(seconds, abs=0.3)


@pytest.mark.parametrize(("held", "verdict"), [(3.2, Verdict.PASS), (1.0, Verdict.FAIL)])
def test_what_waits_while_a_color_is_replaced_may_wait_so_long_and_no_longer(
    held: float, verdict: Verdict
) -> None:
    run = stalled(synthetic.run(16_000), 1, 3.0)
    at = run.history.performed[1].begun_ns + SECOND // 10
    holds = (Hold(at, at + int(held * SECOND)),)
    told = replace(run, history=replace(run.history, holds=holds))
    (still,) = [
        f for f in checks.run_all(told.evidence()) if (f.check, f.act) == ("stood still", 1)
    ]
    assert still.verdict is verdict
    assert f"requests waited {held:.2f} s" in still.text


def test_a_hold_lasts_from_its_step_to_the_rename_that_ends_it_whoever_does_it() -> None:
    def line(at: float, event: Event, step: str, **detail: Any) -> Entry:
        return Entry(at, "r1", "deploy", event, step, detail=detail)

    switched = [
        line(1, Event.BEGIN, "", hold=True),
        line(2, Event.STEP, "hold"),
        line(9, Event.DONE, "switch", renamed_at=8.5),
    ]
    host = [*switched[:2], line(6, Event.NOTE, "put-back", renamed_at=5.5)]
    assert holds_of(switched) == (Hold(2 * SECOND, 8 * SECOND + SECOND // 2),)
    assert holds_of(host) == (Hold(2 * SECOND, 5 * SECOND + SECOND // 2),)
    assert holds_of([line(1, Event.BEGIN, "", hold=False), *switched[1:]]) == ()


def test_a_short_wait_is_no_stall() -> None:
    run = stalled(synthetic.run(16_000), 1, 0.6)
    assert [f for f in checks.run_all(run.evidence()) if f.verdict is not Verdict.PASS] == []


def test_what_waits_long_counts_although_others_are_answered() -> None:
    """No gap, but a third of the answers of an act took two seconds."""
    run = synthetic.run(16_000)
    acts = run.evidence().requests["act"].to_numpy()
    slow = np.flatnonzero((acts == 1) & (run.requests["journey"] == "items").to_numpy())
    frame = run.requests.copy()
    frame.loc[slow, "due_ns"] -= 2 * SECOND
    frame.loc[slow, "sent_ns"] -= 2 * SECOND
    found = checks.run_all(replace(run, requests=frame).evidence())
    (still,) = [f for f in found if f.check == "stood still" and f.verdict is Verdict.FAIL]
    assert still.act == 1


def test_arrivals_that_were_never_sent_are_judged_in_their_act(folder: Path) -> None:
    intents, results = table(folder, INTENTS), table(folder, RESULTS)
    chosen = set(intents["id"][2000:2051])
    mine = results["id"].isin(chosen)
    results.loc[mine, "failure"] = "unsent"
    results.loc[mine, ["status", "first_ns"]] = 0
    kept(folder, results, RESULTS)
    path = folder / "client" / "signoff-0.json"
    told = SignOff(**json.loads(path.read_text()))
    counts = {"sent": told.sent - 51, "answered": told.answered - 51, "abandoned": 51}
    path.write_text(json.dumps({**told.__dict__, **counts}))
    verdict, found = judged(folder)
    assert (verdict, found["schedule sent"].count) == (Verdict.UNKNOWN, 51)


def test_a_switch_that_the_journal_does_not_tell_of_is_unknown(folder: Path) -> None:
    """Also where answers of the old color hide behind it."""
    lines(
        folder,
        "journal.jsonl",
        lambda told: [t for t in told if not ('"r1"' in t and '"done"' in t and '"switch"' in t)],
    )
    verdict, found = judged(folder)
    assert verdict is Verdict.UNKNOWN
    assert found["journal"].act == 1


def test_a_line_torn_in_the_middle_of_the_journal_is_unknown(folder: Path) -> None:
    lines(folder, "journal.jsonl", lambda told: [*told[:-2], told[-2][:40] + "\n", told[-1]])
    verdict, found = judged(folder)
    assert (verdict, set(found)) == (Verdict.UNKNOWN, {"switches told"})


def test_an_act_that_is_gone_leaves_its_switch_behind(folder: Path) -> None:
    told = json.loads((folder / "acts.json").read_text())
    del told["performed"][1], told["planned"][1]
    (folder / "acts.json").write_text(json.dumps(told))
    verdict, found = judged(folder)
    assert verdict is not Verdict.PASS
    assert "switches told" in found


def _worker_gone(folder: Path) -> None:
    for path in (folder / "client").glob("*-0.*"):
        path.unlink()


EDITS: dict[str, Callable[[Path], None]] = {
    "drops allowed": lambda folder: lines(
        folder,
        "acts.json",
        lambda told: [x.replace('"allowed_drops": 0', '"allowed_drops": 9') for x in told],
    ),
    "settings gone": lambda folder: (folder / "settings.json").unlink(),
    "a worker gone": _worker_gone,
    "a line of the proxy gone": lambda folder: lines(folder, "proxy.jsonl", lambda t: t[1:]),
    "a log more": lambda folder: (folder / "application" / "app-x.jsonl").touch(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_what_is_not_as_it_was_collected_is_named(clean: Run, tmp_path: Path, name: str) -> None:
    second = clean.requests.assign(worker=(clean.requests["user"] % 2).astype(np.int16))
    made = replace(clean, requests=second, signoffs=synthetic.counted(second))
    synthetic.write(made, tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    collected.write(tmp_path)
    EDITS[name](tmp_path)
    found = {f.check: f for f in checks.run_all(read_case(tmp_path))}
    assert found["as collected"].verdict is Verdict.UNKNOWN


def test_a_manifest_made_anew_is_not_the_one_that_was_judged(folder: Path) -> None:
    _, before = reconcile(folder)
    assert before.verdict is Verdict.PASS
    lines(folder, "proxy.jsonl", lambda told: told[1:])
    collected.write(folder)
    _, after = reconcile(folder)
    assert after.verdict is Verdict.UNKNOWN
    (told,) = [f for f in after.findings if f.check == "as collected"]
    assert "is not the one that was judged before" in told.text


TWISTED: dict[str, Callable[[dict[str, Any]], None]] = {
    "color": lambda line: line["resp_headers"].update({"X-Color": ["mauve"]}),
    "version": lambda line: line["resp_headers"].update({"X-Version": ["v9"]}),
    "method": lambda line: line["request"].update({"method": "DELETE"}),
    "path": lambda line: line["request"].update({"uri": "/elsewhere"}),
    "size": lambda line: line.update({"size": 1}),
    "duration": lambda line: line.update({"duration": 40.0, "ts": line["ts"] + 40}),
    "time": lambda line: line.update({"ts": line["ts"] + 3600}),
}


@pytest.mark.parametrize("what", TWISTED)
@pytest.mark.parametrize("number", [1, 1000])
def test_what_the_proxy_tells_otherwise_is_a_doubt(folder: Path, what: str, number: int) -> None:
    in_proxy(folder, TWISTED[what], number)
    verdict, found = judged(folder)
    assert verdict is Verdict.UNKNOWN, found
    assert what in found["witnesses agree"].text
    assert number - 20 <= found["witnesses agree"].count <= number  # a WebSocket has no size


@pytest.mark.parametrize(("late", "doubts"), [(0.2, 0), (0.5, 1)])
def test_a_line_that_the_proxy_wrote_a_little_late_is_no_doubt(
    folder: Path, late: float, doubts: int
) -> None:
    in_proxy(folder, lambda line: line.update({"ts": line["ts"] + late}), 1)
    verdict, found = judged(folder)
    assert (verdict is Verdict.UNKNOWN, "witnesses agree" in found) == (doubts == 1, doubts == 1)


@pytest.mark.parametrize(("journey", "doubts"), [("socket", 0), ("items", 1)])
def test_only_a_socket_may_last_longer_at_the_proxy(clean: Run, journey: str, doubts: int) -> None:
    proxy = clean.witnesses.proxy
    assert proxy is not None
    row = int(np.flatnonzero(clean.requests["journey"] == journey)[0])
    told = proxy.copy()
    mine = told["id"] == clean.requests["id"][row]
    told.loc[mine, ["at_ns", "duration_ns"]] += SECOND // 3
    run = replace(clean, witnesses=replace(clean.witnesses, proxy=told))
    found = {each.check: each for each in checks.run_all(run.evidence())}
    assert found["witnesses agree"].count == doubts


@pytest.mark.parametrize(("column", "value"), [("method", "POST"), ("path", "/other")])
def test_what_the_client_tells_otherwise_is_a_doubt(folder: Path, column: str, value: str) -> None:
    intents = table(folder, INTENTS)
    row = int(np.flatnonzero(intents["journey"] == "items")[9])
    intents.loc[row, column] = value
    kept(folder, intents, INTENTS)
    verdict, found = judged(folder)
    assert (verdict, set(found)) == (Verdict.UNKNOWN, {"witnesses agree"})


def test_an_act_in_which_nobody_looked_for_a_second_is_unknown(clean: Run) -> None:
    at = clean.history.switches[1].done_ns
    seen = np.abs(clean.requests["sent_ns"] - at) > SECOND * 4 // 10
    found = {f.check: f for f in checks.run_all(clean.only(seen).evidence())}
    assert found["always looked"].act >= 0
    looked = [f for f in checks.run_all(clean.only(seen).evidence()) if f.check == "always looked"]
    assert [f.act for f in looked if f.verdict is Verdict.UNKNOWN] == [1]


def test_a_client_that_has_its_answers_late_is_unknown(clean: Run) -> None:
    proxy = clean.witnesses.proxy
    assert proxy is not None
    late = clean.requests.assign(end_ns=clean.requests["end_ns"] + 1200 * synthetic.MS)
    found = checks.run_all(replace(clean, requests=late).evidence())
    assert Verdict.UNKNOWN in {f.verdict for f in found if f.check == "received in time"}


# What a witness has lost is no drop.


def halved(name: str) -> Callable[[Path], None]:
    return lambda folder: lines(folder, name, lambda told: told[: len(told) // 2])


def cut(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        (folder / name).write_text(text[: len(text) // 2].rstrip("\n"))

    return edit


def _another_header(folder: Path) -> None:
    path = folder / "proxy.jsonl"
    path.write_text(path.read_text().replace('"X-Request-Id":', '"X-Correlation-Id":'))


def _log_gone(folder: Path) -> None:
    """Half of the lines are another container's, whose log is lost."""
    name = f"application/{synthetic.LOGS[0]}"
    lines(folder, name, lambda told: [line for line in told if line[22] in "02468ace"])
    (folder / "application" / synthetic.LOGS[1]).unlink()


LOST = {
    "the proxy's second half": halved("proxy.jsonl"),
    "a container's log": _log_gone,
    "the first half of a container's log": lambda folder: lines(
        folder, f"application/{synthetic.LOGS[0]}", lambda told: told[len(told) // 4 :]
    ),
    "the second half of a container's log": halved(f"application/{synthetic.LOGS[0]}"),
    "the id is logged under another header": _another_header,
    "half of the ledger": halved("orders.csv"),
    "orders cut in a line": cut("orders.csv"),
    "jobs cut in a line": cut("jobs.csv"),
    "job runs cut in a line": cut("job_runs.csv"),
    "journal cut in a line": cut("journal.jsonl"),
    "proxy cut in a line": cut("proxy.jsonl"),
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("manifest", ["made anew", "kept"])
def test_what_a_witness_has_lost_is_unknown_and_no_drop(
    folder: Path, name: str, manifest: str
) -> None:
    LOST[name](folder)
    if manifest == "made anew":
        collected.write(folder)
    found = checks.run_all(read_case(folder))
    assert worst(each.verdict for each in found) is Verdict.UNKNOWN
    assert drop_ids(found) == ()


@pytest.mark.parametrize("wrong", [60, -60, 5000])
def test_a_host_clock_that_was_read_wrong_is_unknown_and_makes_nothing_stale(
    folder: Path, wrong: int
) -> None:
    told = json.loads((folder / "acts.json").read_text())
    told["clock"]["offset_ns"] = wrong * synthetic.MS
    (folder / "acts.json").write_text(json.dumps(told))
    verdict, found = judged(folder)
    assert verdict is Verdict.UNKNOWN, found
    assert "clock known" in found
    assert dropped(folder) == 0


def test_the_public_service_may_have_any_name(folder: Path) -> None:
    path = folder / "application" / synthetic.LOGS[0]
    path.write_text(path.read_text().replace('"platform"', '"shop"'))
    told = json.loads((folder / "acts.json").read_text())
    for item in told["performed"]:
        for look in (item["before"], item["after"]):
            for container in look["containers"]:
                container["service"] = container["service"].replace("platform", "shop")
    (folder / "acts.json").write_text(json.dumps(told))
    assert judged(folder, public="shop") == (Verdict.PASS, {})
    assert judged(folder)[0] is Verdict.UNKNOWN
