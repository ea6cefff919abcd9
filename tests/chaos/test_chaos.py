"""The run: which acts it has, what its controls mean, what it heals, how it is shortened."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console

from cyan.chaos import chaos, record
from cyan.chaos.chaos import Ground, Outcome, Wish, judged, shorten, together
from cyan.chaos.draw import Drawn
from cyan.chaos.record import Record
from cyan.proof.findings import Verdict
from cyan.proof.scenario import Traffic
from tests.rollout.worlds import settings

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.proof.verdict import Judgement

FAULTS = tuple(Drawn(name) for name in ("two-deploys", "proxy-restarted", "fails-smoke"))


@dataclass(frozen=True)
class Measured:
    """As much of a measure as controls are judged by."""

    name: str
    drops: int
    n: int = 1000


@dataclass(frozen=True)
class Told:
    """As much of a judgement."""

    measures: tuple[Measured, ...]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    wanted = settings()
    console = Console(file=io.StringIO(), width=200)
    return Ground(wanted, wanted.hosts[0], tmp_path, console)


def printed(ground: Ground) -> str:
    return cast("io.StringIO", ground.console.file).getvalue()


def controls(*drops: int, steady: int = 0) -> Judgement:
    names = ("deploy before", "no deploy", "stop-then-start", "reload-per-deploy")
    acts = [Measured(name, count) for name, count in zip(names, (0, *drops), strict=False)]
    return cast("Judgement", Told((*acts, Measured("steady", steady))))


@pytest.mark.parametrize(
    ("told", "verdict", "said"),
    [
        (controls(0, 50, 7), Verdict.PASS, "stop-then-start dropped 50"),
        (controls(1, 50, 7), Verdict.UNKNOWN, "without any deploy 1 of 1000 requests were dropped"),
        (controls(0, 50, 7, steady=2), Verdict.PASS, "reload-per-deploy dropped 7"),
        (controls(0, 0, 7), Verdict.UNKNOWN, "“stop-then-start” is known to drop"),
        (controls(0, 50, 0), Verdict.UNKNOWN, "“reload-per-deploy” is known to drop"),
        (controls(0, 50), Verdict.UNKNOWN, "a control was not carried out"),
    ],
)
def test_controls_that_do_not_come_out_as_they_must_say_why(
    ground: Ground, told: Judgement, verdict: Verdict, said: str
) -> None:
    assert judged(ground, told) is verdict
    assert said in printed(ground)


@pytest.mark.parametrize("found", list(Verdict))
def test_without_controls_nothing_is_known(found: Verdict) -> None:
    assert together(Verdict.UNKNOWN, found) is Verdict.UNKNOWN
    assert together(Verdict.PASS, found) is found


def test_each_fault_is_followed_by_a_deploy_that_must_switch_and_drop_nothing(
    ground: Ground,
) -> None:
    folder = ground.project / "reports/x-chaos"
    folder.mkdir(parents=True)
    order = chaos._with_faults(
        chaos._order(ground, folder, Wish(rate=100)), ground.settings, FAULTS
    )
    before, *acts = order.acts
    assert before.arguments == ("deploy", "--version", "v1")
    assert [act.name for act in acts[::2]] == [each.title for each in FAULTS]
    for act in acts[1::2]:
        assert (act.name, act.traffic) == ("the deploy after it", Traffic.SWITCH)
        assert act.allowed_drops == 0
    assert [act.allowed_drops for act in acts[::2]] == [0, 600 + 60, 0]
    assert all(a.version != b.version for a, b in pairwise(acts) if b.version)
    told = json.loads((folder / "drawn.json").read_text())["acts"]
    assert [told[number]["name"] for number in "135"] == [each.name for each in FAULTS]


def test_what_an_experiment_that_was_killed_left_is_healed_and_nothing_else(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ground.project / "experiments"
    for name in ("good", "killed", "unhealed", "never-begun"):
        (folder / name).mkdir(parents=True)
        (folder / f"{name}.yaml").touch()
    (folder / "never-begun").rmdir()
    record.save(Record("good", unhealed=""), folder / "good.json")
    record.save(Record("unhealed", unhealed="paused"), folder / "unhealed.json")
    healed: list[str] = []

    def run(words: tuple[str, ...], **_more: Any) -> None:
        assert words[-2] == "--heal"
        healed.append(words[-1])

    monkeypatch.setattr("subprocess.run", run)
    chaos._heal_all(ground.project, ground.project)
    assert healed == [str(folder / f"{name}.yaml") for name in ("killed", "unhealed")]


def test_a_failed_run_is_shortened_to_the_faults_that_still_fail(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[Drawn, ...]] = []

    def faulted(_ground: Ground, _wish: Wish, part: tuple[Drawn, ...]) -> Outcome:
        tried.append(tuple(part))
        bad = FAULTS[1] in part
        return Outcome(Verdict.FAIL if bad else Verdict.PASS)

    monkeypatch.setattr(chaos, "faulted", faulted)
    failed = Outcome(Verdict.FAIL, FAULTS[1:])
    assert shorten(ground, Wish(seed=7), failed, FAULTS) == (FAULTS[1],)
    assert tried[0] == FAULTS[1:]
    assert len(tried) <= chaos.TRIES
    assert "still fails: inv chaos --seed 7 --only proxy-restarted:0" in printed(ground)
