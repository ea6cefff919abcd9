"""The run: which acts it has, what its controls mean, what it heals, how it is shortened."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console

from cyan import interrupt
from cyan.chaos import acted, chaos, leftover, specification
from cyan.chaos.acted import Record
from cyan.chaos.chaos import Outcome, shorten
from cyan.chaos.controls import LOUD, QUIET, controlled, judged
from cyan.chaos.draw import Drawn
from cyan.chaos.judging import Controls
from cyan.chaos.specification import Context, Options
from cyan.errors import ProofError
from cyan.proof import asking, verify
from cyan.proof.findings import Verdict
from cyan.proof.scenario import Traffic
from tests.rollout.worlds import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyan.proof.findings import Finding
    from cyan.proof.run import RunSpec
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
def context(tmp_path: Path) -> Context:
    wanted = settings()
    console = Console(file=io.StringIO(), width=200)
    return Context(wanted, wanted.hosts[0], tmp_path, console)


def printed(context: Context) -> str:
    return cast("io.StringIO", context.console.file).getvalue()


def controls(*drops: int, steady: int = 0) -> Judgement:
    names = ("deploy before", QUIET, *LOUD)
    acts = [Measured(name, count) for name, count in zip(names, (0, *drops), strict=False)]
    return cast("Judgement", Told((*acts, Measured("steady", steady))))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (controls(1, 50, 7), "without any deploy 1 of 1000 requests were dropped"),
        (controls(0, 0, 7), "“stop-then-start” is known to drop and was not seen to"),
        (controls(0, 50, 0), "“reload-per-deploy” is known to drop and was not seen to"),
        (controls(0, 50), "“reload-per-deploy” was not carried out"),
        (controls(), "“no deploy” was not carried out"),
        (cast("Judgement", Told((Measured("steady", 0),))), "“no deploy” was not carried out"),
    ],
)
def test_controls_that_do_not_come_out_as_they_must_say_why(told: Judgement, said: str) -> None:
    found = judged(told, "x-controls")
    assert said in found.wrong
    assert said in found.text
    assert found.text.endswith("(reports/x-controls)")


@pytest.mark.parametrize("told", [controls(0, 50, 7), controls(0, 50, 7, steady=2)])
def test_controls_that_come_out_as_they_must_say_what_dropped(told: Judgement) -> None:
    found = judged(told, "")
    assert found.wrong == ()
    assert found.text.endswith("stop-then-start dropped 50, reload-per-deploy dropped 7")


@pytest.fixture
def healed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs whose leftovers were healed."""
    seen: list[str] = []

    def heal_all(folder: Path, _ground: Context) -> tuple[()]:
        seen.append(folder.name.rpartition("-")[2])
        return ()

    monkeypatch.setattr(leftover, "heal_all", heal_all)
    return seen


def test_controls_that_cannot_be_carried_out_say_so_and_what_they_left_is_healed(
    context: Context, monkeypatch: pytest.MonkeyPatch, healed: list[str]
) -> None:
    def carried_out(*_given: object) -> Judgement:
        raise ProofError("the swarm is dead")

    monkeypatch.setattr(specification, "carried_out", carried_out)
    found = controlled(context, Options())
    assert found.wrong == ("they could not be carried out: the swarm is dead",)
    assert healed == ["controls"]
    assert "unknown  controls: they could not be carried out" in printed(context)
    monkeypatch.setattr(specification, "carried_out", lambda *_given: 1 / 0)
    monkeypatch.setattr(asking, "new_folder", lambda at, kind: at / f"x-{kind}")
    with pytest.raises(ZeroDivisionError):
        controlled(context, Options())
    assert healed == ["controls", "controls"]


def test_each_fault_is_followed_by_a_deploy_that_must_switch_and_drop_nothing(
    context: Context,
) -> None:
    folder = context.project / "reports/x-chaos"
    folder.mkdir(parents=True)
    spec = specification.spec_of(context, folder, Options(rate=100))
    spec = specification.with_faults(spec, context.settings, FAULTS)
    before, *acts = spec.acts
    assert before.arguments == ("deploy", "--version", "v1")
    assert [act.name for act in acts[::2]] == [each.title for each in FAULTS]
    for act in acts[1::2]:
        assert (act.name, act.traffic) == ("the deploy after it", Traffic.SWITCH)
        assert act.allowed_drops == 0
    assert [act.allowed_drops for act in acts[::2]] == [0, 600 + 60, 0]
    assert [act.loses_lines for act in acts[::2]] == [False, True, False]
    assert spec.load.limit > sum(act.timeout for act in spec.acts)
    assert all(a.version != b.version for a, b in pairwise(acts) if b.version)
    told = json.loads((folder / "drawn.json").read_text())["acts"]
    assert [told[number]["name"] for number in "135"] == [each.name for each in FAULTS]


def test_what_an_experiment_that_was_killed_left_is_healed_and_nothing_else(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = context.project / "experiments"
    for name in ("good", "killed", "unhealed", "never-begun"):
        (folder / name).mkdir(parents=True)
        (folder / f"{name}.yaml").touch()
    (folder / "never-begun").rmdir()
    acted.save(Record("good", unhealed=""), folder / "good.json")
    acted.save(Record("unhealed", unhealed="paused"), folder / "unhealed.json")
    healed: list[str] = []

    def run(words: tuple[str, ...], **more: Any) -> subprocess.CompletedProcess[bytes]:
        assert words[-2] == "--heal"
        assert more["start_new_session"]  # a Ctrl-C at a terminal is sent to all of a session
        signal.raise_signal(signal.SIGINT)
        healed.append(words[-1])
        return subprocess.CompletedProcess(words, 1 if "unhealed" in words[-1] else 0)

    monkeypatch.setattr("subprocess.run", run)
    with interruptible():
        left = leftover.heal_all(context.project, context)
    assert healed == [str(folder / f"{name}.yaml") for name in ("killed", "unhealed")]
    assert [line.split()[0] for line in left] == ["unhealed"]
    assert "unhealed of" in printed(context)


def test_what_the_newest_run_left_is_healed_first_and_makes_the_next_unknown_where_it_stays(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1-chaos", "2-controls", "3-verify"):
        (context.project / "reports" / name).mkdir(parents=True)
    for name in ("1-chaos", "2-controls"):
        (context.project / "reports" / name / "experiments").mkdir()
    monkeypatch.setattr(leftover, "heal_all", lambda folder, _ground: (f"{folder.name} is bad",))
    given: list[Controls] = []

    def faulted(_ground: Context, _wish: Options, _faults: object, controls: Controls) -> Outcome:
        given.append(controls)
        return Outcome(context.project, Verdict.UNKNOWN)

    monkeypatch.setattr(chaos, "controlled", lambda *_given: Controls(("1 dropped",)))
    monkeypatch.setattr(chaos, "faulted", faulted)
    chaos.chaos(context, Options(names=("two-deploys",)))
    assert given == [Controls(("2-controls is bad", "1 dropped"))]


@contextmanager
def interruptible() -> Iterator[None]:
    """As a command of ours: signals raise."""
    was = {how: signal.getsignal(how) for how in (signal.SIGINT, signal.SIGTERM)}
    interrupt.install()
    try:
        yield
    finally:
        for how, handler in was.items():
            signal.signal(how, handler)


@dataclass(frozen=True)
class Shorter:
    """Runs of parts of the faults, of which those with the second one fail."""

    folder: Path
    tried: list[tuple[Drawn, ...]]
    error: Exception | None = None

    def faulted(self, _ground: Context, _wish: Options, part: tuple[Drawn, ...]) -> Outcome:
        self.tried.append(tuple(part))
        if self.error:
            raise self.error
        return Outcome(self.folder, Verdict.FAIL if FAULTS[1] in part else Verdict.PASS)

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text()


def test_a_failed_run_is_shortened_to_the_faults_that_still_fail(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = Shorter(context.project, [])
    monkeypatch.setattr(chaos, "faulted", shorter.faulted)
    failed = Outcome(context.project, Verdict.FAIL, FAULTS[1:])
    assert shorten(context, Options(seed=7), failed, FAULTS) == (FAULTS[1],)
    assert shorter.tried[0] == FAULTS[1:]
    assert len(shorter.tried) <= specification.TRIES
    said = "still fails: inv chaos --seed 7 --only proxy-restarted:0"
    assert said in printed(context)
    assert said in shorter.summary


def test_a_shorter_run_that_cannot_be_judged_does_not_hide_the_failure(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = Shorter(context.project, [], ProofError("the swarm is dead"))
    monkeypatch.setattr(chaos, "faulted", shorter.faulted)
    failed = Outcome(context.project, Verdict.FAIL, FAULTS[1:])
    assert shorten(context, Options(), failed, FAULTS) == FAULTS
    assert "no shorter run was seen to fail" in shorter.summary


def test_no_shorter_run_is_begun_that_would_end_too_late(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = Shorter(context.project, [])
    monkeypatch.setattr(chaos, "faulted", shorter.faulted)
    long = tuple(Drawn("two-deploys", number) for number in range(100))
    shorten(context, Options(shrink=100), Outcome(context.project, Verdict.FAIL), (*FAULTS, *long))
    assert shorter.tried
    assert max(chaos.taking(part) for part in shorter.tried) < chaos.SHORTENING


@dataclass(frozen=True)
class Judged:
    """As much of a judgement as a run's outcome is made of."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch, healed: list[str]) -> list[str]:
    """The runs that the history takes up, of runs that are healed and told in silence."""
    seen: list[str] = []
    names = (f"x{number}" for number in range(9))
    monkeypatch.setattr(
        asking, "new_folder", lambda at, kind: at / "reports" / f"{next(names)}-{kind}"
    )
    monkeypatch.setattr(verify, "tell", lambda *_given: None)
    monkeypatch.setattr(verify, "finish", lambda _told, folder, _console: seen.append(folder.name))
    monkeypatch.setattr(chaos, "controlled", lambda *_given: Controls(("1 dropped",)))
    assert healed == []
    return seen


@pytest.mark.parametrize(
    ("found", "tries", "runs"),
    [
        (Verdict.PASS, 6, ["chaos"]),
        (Verdict.UNKNOWN, 6, ["chaos"]),
        (Verdict.FAIL, 0, ["chaos"]),
        (Verdict.FAIL, 2, ["chaos", "shrink", "shrink"]),
    ],
)
def test_a_run_that_fails_is_followed_by_shorter_ones(
    context: Context, monkeypatch: pytest.MonkeyPatch, found: Verdict, tries: int, runs: list[str]
) -> None:
    ran: list[str] = []

    def faulted(
        _ground: Context, _wish: Options, _faults: object, controls: object = None
    ) -> Outcome:
        ran.append("chaos" if controls else "shrink")
        return Outcome(context.project, found if controls else Verdict.PASS)

    monkeypatch.setattr(chaos, "controlled", lambda *_given: Controls(()))
    monkeypatch.setattr(chaos, "faulted", faulted)
    options = Options(names=("two-deploys", "fails-smoke"), shrink=tries)
    assert chaos.chaos(context, options) is found
    assert ran == runs


def test_the_history_takes_up_what_was_drawn_and_no_shorter_run(
    context: Context, monkeypatch: pytest.MonkeyPatch, healed: list[str], finished: list[str]
) -> None:
    told: list[dict[str, Any]] = []

    def carried_out(_ground: Context, spec: RunSpec) -> Judgement:
        told.append(json.loads((spec.folder / "drawn.json").read_text()))
        return cast("Judgement", Judged(Verdict.PASS))

    monkeypatch.setattr(specification, "carried_out", carried_out)
    for controls in (Controls(("1 dropped",)), None):
        chaos.faulted(context, Options(), FAULTS, controls)
    assert finished == ["x0-chaos"]
    assert healed == ["chaos", "shrink"]
    assert told[0]["controls"]["wrong"] == ["1 dropped"]
    assert told[1].get("controls") is None


def test_what_a_run_that_is_interrupted_left_is_healed(
    context: Context, monkeypatch: pytest.MonkeyPatch, healed: list[str], finished: list[str]
) -> None:
    def carried_out(*_given: object) -> Judgement:
        raise interrupt.Interrupted

    monkeypatch.setattr(specification, "carried_out", carried_out)
    with pytest.raises(interrupt.Interrupted):
        chaos.faulted(context, Options(), FAULTS, Controls(()))
    assert (healed, finished) == (["chaos"], [])
