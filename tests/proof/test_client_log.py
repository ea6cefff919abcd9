"""From raw files to frames: what was written is what is judged."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from cyan.errors import ProofError
from cyan.proof import checks, client_log, collected, history
from cyan.proof.client_log import is_in
from cyan.proof.findings import Verdict
from cyan.proof.reconcile import read_case, reconcile
from cyan.proof.report import render
from cyan.proof.witnesses import read_witnesses
from tests.proof import synthetic
from tests.proof.synthetic import Run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@pytest.fixture
def folder(clean: Run, tmp_path: Path) -> Path:
    synthetic.write(clean, tmp_path)
    return tmp_path


def test_a_run_read_from_its_files_is_the_run_that_was_written(clean: Run, folder: Path) -> None:
    read, made = read_case(folder).requests, clean.evidence().requests
    for name in made.columns:
        left, right = read[name].to_numpy(), made[name].to_numpy()
        if name in {"error", "failure"}:
            left, right = left.astype(str), right.astype(str)
        assert (left == right).all(), name


def test_a_clean_run_read_from_its_files_passes(folder: Path) -> None:
    findings = checks.run_all(read_case(folder))
    assert [f for f in findings if f.verdict is not Verdict.PASS] == []


def test_texts_are_categories_and_ids_are_numbers(folder: Path) -> None:
    types = read_case(folder).requests.dtypes
    assert types["id"] == np.uint64
    for name in ("journey", "method", "path", "color", "version", "failure", "connection"):
        assert isinstance(types[name], pd.CategoricalDtype), name


def test_the_frame_survives_its_parquet_file(folder: Path) -> None:
    frame = read_case(folder).requests
    client_log.write_requests(frame, folder / "requests.parquet")
    pd.testing.assert_frame_equal(frame, pd.read_parquet(folder / "requests.parquet"))


def test_two_workers_are_one_log(clean: Run, tmp_path: Path) -> None:
    second = np.arange(len(clean.requests)) % 2
    frame = clean.requests.assign(worker=second.astype(np.int16))
    run = Run(frame, clean.history, synthetic.counted(frame), clean.witnesses)
    synthetic.write(run, tmp_path)
    log = client_log.read_client(tmp_path / "client")
    assert log.workers == (0, 1)
    assert len(log.requests) == len(frame)
    assert {signoff.worker for signoff in log.signoffs} == {0, 1}


def test_a_torn_last_line_is_counted_and_its_request_has_no_result(folder: Path) -> None:
    results = folder / "client" / "results-0.tsv"
    text = results.read_text()
    results.write_text(text[: text.rstrip().rfind("\t") - 40])
    log = client_log.read_client(folder / "client")
    assert log.torn == 1
    assert int((~log.requests["answered"]).sum()) == 1


def test_results_without_intents_and_ids_written_twice_are_counted(folder: Path) -> None:
    intents = folder / "client" / "intents-0.tsv"
    lines = intents.read_text().splitlines(keepends=True)
    intents.write_text("".join([*lines[3:], lines[10]]))
    log = client_log.read_client(folder / "client")
    assert (log.orphans, log.duplicates) == (3, 1)


def test_results_are_joined_in_whatever_order_they_were_written(folder: Path) -> None:
    before = client_log.read_client(folder / "client").requests
    results = folder / "client" / "results-0.tsv"
    lines = results.read_text().splitlines(keepends=True)
    np.random.default_rng(1).shuffle(lines)
    results.write_text("".join(lines))
    after = client_log.read_client(folder / "client").requests
    for name in before.columns:
        assert (before[name].astype(str) == after[name].astype(str)).all(), name


def test_an_empty_results_file_leaves_only_intents(folder: Path) -> None:
    (folder / "client" / "results-0.tsv").write_text("")
    evidence = read_case(folder)
    assert not evidence.requests["answered"].any()
    assert not (evidence.ok | evidence.failed).any()


def test_a_missing_text_is_none_of_those_wanted() -> None:
    column = pd.Series(pd.Categorical([None, "a", "b"]))
    assert is_in(column, ("b", "c")).tolist() == [False, False, True]


BROKEN = {
    "client/results-0.tsv": lambda text: text.replace("\t201\t", "\tzwei\t", 1),
    "client/intents-0.tsv": lambda text: "x" + text,
    "client/signoff-0.json": lambda text: text[:-20],
    "orders.csv": lambda text: text.replace("request_id", "id"),
    "jobs.csv": lambda text: text.replace("state", "status"),
    "job_runs.csv": lambda text: text + "twelve\n",
    "proxy.jsonl": lambda text: text + '{"status": ',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_makes_the_verdict_unknown_and_is_named(
    folder: Path, name: str
) -> None:
    path = folder / name
    path.write_text(BROKEN[name](path.read_text()))
    collected.write(folder)
    evidence, judgement = reconcile(folder)
    assert (folder / "verdict.json").exists()
    texts = [f.text for f in judgement.findings if f.verdict is Verdict.UNKNOWN]
    assert any(f"{path.name} cannot be read" in text for text in texts)
    assert judgement.verdict is Verdict.UNKNOWN
    assert render(evidence, judgement, folder / "report.html").stat().st_size > 0


def test_no_log_at_all_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="the swarm left no log"):
        client_log.read_client(tmp_path)


def test_a_witness_that_left_no_file_is_absent_and_an_empty_one_has_no_rows(folder: Path) -> None:
    (folder / "proxy.jsonl").write_text("")
    (folder / "orders.csv").unlink()
    read = read_witnesses(folder)
    assert read.proxy is not None
    assert len(read.proxy) == 0
    assert read.orders is None
    findings = checks.run_all(read_case(folder))
    (missing,) = [f for f in findings if f.check == "logs present"]
    assert (missing.verdict, missing.count) == (Verdict.UNKNOWN, 2)


def test_a_log_that_the_disk_does_not_give_is_a_fault_and_no_crash(folder: Path) -> None:
    (folder / "proxy.jsonl").unlink()
    (folder / "proxy.jsonl").mkdir()  # which opens no better than a file on a broken disk
    read = read_witnesses(folder)
    assert read.proxy is None
    assert read.faults[0].startswith("proxy.jsonl cannot be read: ")


def test_lines_of_strangers_are_counted(folder: Path) -> None:
    assert read_witnesses(folder).strangers == 1


def test_the_history_survives_its_files(clean: Run, folder: Path) -> None:
    read = history.load(folder)
    assert read.performed == clean.history.performed
    assert [s.target for s in read.switches] == [s.target for s in clean.history.switches]
    for mine, theirs in zip(read.switches, clean.history.switches, strict=True):
        assert abs(mine.done_ns - theirs.done_ns) < 1000


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=some.lists(some.integers(0, 2**64 - 1), max_size=20))
def test_every_id_that_was_sent_is_read_again(tmp_path: Path, numbers: list[int]) -> None:
    proxy, strangers = proxied(tmp_path, [f"{number:016x}" for number in numbers])
    assert proxy == numbers
    assert strangers == 0


TEXTS = some.one_of(
    some.none(),
    some.text(max_size=20),
    some.text(alphabet="0123456789abcdefxX_ ", min_size=16, max_size=16),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=some.lists(TEXTS, max_size=20))
def test_texts_that_are_no_ids_are_of_strangers_and_harm_nothing(
    tmp_path: Path, texts: list[str | None]
) -> None:
    mixed = [*texts, "00000000000000ff"]
    proxy, strangers = proxied(tmp_path, mixed)
    ours = [text for text in mixed if text and re.fullmatch("[0-9a-f]{16}", text)]
    assert proxy == [int(text, 16) for text in ours]
    assert strangers == len(mixed) - len(ours)


def proxied(folder: Path, ids: Iterable[str | None]) -> tuple[list[int], int]:
    """What is read of a proxy's log in which requests have these ids: numbers, and strangers."""
    lines = [
        {"ts": 1.0, "request": {"headers": {"X-Request-Id": [each]} if each is not None else {}},
         "status": 200, "duration": 0.1}
        for each in ids
    ]  # fmt: skip
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (folder / "proxy.jsonl").write_text(text)
    read = read_witnesses(folder)
    assert read.proxy is not None or not lines, read.faults
    return ([] if read.proxy is None else read.proxy["id"].tolist()), read.strangers
