"""Whether the planted drops were found, and only they: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from cyan.proof import asking, verify
from cyan.proof.asking import REFUSED as REFUSED_NUMBER
from cyan.proof.asking import Options, planting
from cyan.proof.calibration import PLANTED as PLANTED_NAME
from cyan.proof.calibration import calibrate, of_run
from cyan.proof.findings import Finding, Kind, Verdict
from cyan.proof.load import Load
from cyan.proof.relay.plants import PLANTS, REFUSED, SENT_TWICE, Draw
from cyan.proof.relay.process import RelayOptions
from cyan.proof.run import RunSpec
from cyan.proof.verdict import Judgement
from tests.rollout import worlds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ALL = (*PLANTS, REFUSED)
PLANTED = {plant.name: f"{number:016x}" for number, plant in enumerate(ALL)}


def found() -> list[Finding]:
    """Each plant found by its check."""
    return [
        Finding(
            plant.check,
            Verdict.FAIL,
            "",
            kind=Kind.NONE if plant.check == SENT_TWICE else Kind(plant.check),
            count=1,
            ids=(PLANTED[plant.name],),
        )
        for plant in ALL
    ]


def test_all_found_and_nothing_else_passes() -> None:
    made = calibrate(PLANTED, found())
    assert made.verdict is Verdict.PASS


def test_a_run_that_ended_before_anything_was_planted_is_unknown_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Mock()
    system.__enter__ = Mock(return_value=system)
    system.__exit__ = Mock(return_value=None)
    system.about.return_value = {}
    monkeypatch.setattr("cyan.proof.host_under_test.HostUnderTest", Mock(return_value=system))
    over = Judgement(Verdict.UNKNOWN, "overwhelmed", 0, ("1",), 1, (), (), Mock(), {})
    ran = Mock(return_value=over)
    monkeypatch.setattr(verify, "run", ran)
    told = Console(record=True)
    made = worlds.settings()
    verdict = verify.calibrate(made, made.hosts[0], tmp_path, Options(calibrate=True), told)
    assert verdict is Verdict.UNKNOWN
    assert "it ended before anything was planted" in told.export_text()
    assert ran.call_args.args[0].load.rate == asking.THROUGH_PLANTER


def test_every_kind_of_drop_of_the_design_is_planted() -> None:
    wanted = {"refused", "reset", "timeout", "status", "truncated", "stale"}
    wanted |= {"lost write", "double write", "unexplained"}
    assert wanted <= {str(plant.check) for plant in ALL}


@pytest.mark.parametrize("missed", range(len(ALL)))
def test_one_that_is_missed_fails(missed: int) -> None:
    findings = found()
    findings[missed] = replace(findings[missed], ids=())
    made = calibrate(PLANTED, findings)
    assert made.verdict is Verdict.FAIL
    assert [each.plant for each in made.sought if not each.found] == [ALL[missed].name]


def test_one_that_another_check_found_fails() -> None:
    findings = found()
    findings[0] = replace(findings[0], check="timeout", kind=Kind.TIMEOUT)
    made = calibrate(PLANTED, findings)
    assert made.verdict is Verdict.FAIL
    assert made.extra == (("timeout", PLANTED[ALL[0].name]),)


def test_a_finding_that_nobody_planted_fails() -> None:
    extra = Finding("reset", Verdict.FAIL, "", kind=Kind.RESET, count=1, ids=("f" * 16,))
    made = calibrate(PLANTED, [*found(), extra])
    assert made.verdict is Verdict.FAIL
    assert made.extra == (("reset", "f" * 16),)


@pytest.mark.parametrize(
    "doubt",
    [
        Finding("schedule kept", Verdict.UNKNOWN, "p99 of the lag is 900 ms"),
        Finding("logs present", Verdict.UNKNOWN, "missing or empty: proxy"),
        Finding("command", Verdict.FAIL, "exit code 1, wanted 0", act=3, about="planting"),
    ],
    ids=lambda doubt: doubt.check,
)
def test_a_run_that_is_in_doubt_leaves_the_instrument_unknown(doubt: Finding) -> None:
    made = calibrate(PLANTED, [*found(), doubt])
    assert made.verdict is Verdict.UNKNOWN
    assert doubt.text in made.sentence


def test_a_plant_that_was_missed_fails_also_in_a_run_that_is_in_doubt() -> None:
    doubt = Finding("logs present", Verdict.UNKNOWN, "missing or empty: proxy")
    assert calibrate(PLANTED, [*found()[1:], doubt]).verdict is Verdict.FAIL


def test_the_refused_request_is_counted_among_those_of_the_worker_that_refuses(
    tmp_path: Path,
) -> None:
    (tmp_path / PLANTED_NAME).write_text("")
    requests = pd.DataFrame(
        {"id": np.array([70, 10, 71, 11, 72], np.uint64), "worker": [0, 1, 0, 1, 0]}
    )
    made = of_run(tmp_path, requests, (), 2)
    assert made is not None
    assert [each.id for each in made.sought if each.plant == REFUSED.name] == [f"{71:016x}"]


def test_what_could_not_be_planted_leaves_the_instrument_unknown() -> None:
    made = calibrate(
        {k: v for k, v in PLANTED.items() if k != "status 503"}, found()[:6] + found()[7:]
    )
    assert made.verdict is Verdict.UNKNOWN


def test_why_a_drop_could_not_be_planted_is_told() -> None:
    planted = {**PLANTED, "version goes back": ""}
    made = calibrate(planted, found(), {"version goes back": "no color but blue has answered yet"})
    (unplanted,) = [each for each in made.sought if not each.id]
    assert (unplanted.plant, unplanted.found) == ("version goes back", False)
    assert unplanted.why_not == "no color but blue has answered yet"


def test_a_round_trip_is_added_while_drops_are_planted(tmp_path: Path) -> None:
    spec = RunSpec(tmp_path, tmp_path, (), Load("http://site", tmp_path / "locustfile.py"))
    made = planting(spec, Options(rtt=0.04), "http://nobody")
    assert made.relay == RelayOptions(0.04, tmp_path / PLANTED_NAME)
    assert made.load.extra == ("--refuse", f"{REFUSED_NUMBER}=http://nobody")


DRAW = Draw(60, 6000, seed=7)
AT_RANDOM = {plant.name: f"{number:016x}" for number, (_, plant) in enumerate(DRAW.plants, 100)}
AT_RANDOM[REFUSED.name] = "f" * 16


def found_of(names: Iterable[str]) -> list[Finding]:
    """Each of the drawn plants with these names, found by its check."""
    checks = {plant.name: plant.check for _, plant in DRAW.plants} | {REFUSED.name: REFUSED.check}
    return [
        Finding(
            checks[name],
            Verdict.FAIL,
            "",
            kind=Kind.NONE if checks[name] == SENT_TWICE else Kind(checks[name]),
            ids=(AT_RANDOM[name],),
        )
        for name in names
    ]


def test_plants_at_random_that_are_all_found_bound_what_is_missed() -> None:
    made = calibrate(AT_RANDOM, found_of(AT_RANDOM), drawn=DRAW)
    assert made.verdict is Verdict.PASS
    assert made.sentence.startswith("60 of 60 drops that were planted at random")
    assert "at least 95% of such drops are found" in made.sentence  # 0.05 ** (1 / 60)


def test_one_plant_at_random_that_is_missed_fails() -> None:
    missed = list(AT_RANDOM)[17]
    names = [name for name in AT_RANDOM if name != missed]
    assert calibrate(AT_RANDOM, found_of(names), drawn=DRAW).verdict is Verdict.FAIL


@pytest.mark.parametrize(("left", "verdict"), [(6, Verdict.PASS), (7, Verdict.UNKNOWN)])
def test_of_those_at_random_a_tenth_may_find_no_request(left: int, verdict: Verdict) -> None:
    planted = dict(list(AT_RANDOM.items())[left:])
    made = calibrate(planted, found_of(planted), drawn=DRAW)
    assert made.verdict is verdict
    assert verdict is Verdict.UNKNOWN or made.sentence.startswith(f"{60 - left} of {60 - left}")
