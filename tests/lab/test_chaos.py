"""Every fault of the catalogue in the real lab: it happens, it heals, and leaves what it should."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cyan.chaos import acted, experiment, invariants
from cyan.chaos.catalogue import FAULTS, fault
from cyan.chaos.draw import Drawn
from cyan.proof.findings import Verdict
from tests.lab.harness import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.chaos.acted import Record
    from cyan.chaos.invariants import Held
    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab

SERVICES = ("platform", "rag", "crawler")
SHARED = ("database", "proxy")
BROKEN = Path(__file__).parent / "broken_cyan.py"


def killed(moment: str) -> Drawn:
    return Drawn("deployer-killed", 0, (("moment", moment),))


ELSEWHERE = ("never-healthy", "fails-smoke", "errs-after-the-switch")
"""These happen in the tests below, and in those of the rotation."""

EVERY_TIME = ("disk-full", "standby-killed", "database-restarted", "connections-reset", "ssh-cut")
"""The other faults are for the nights, and so are most of the deployers that are broken."""


def nightly(value: Any, *, unless: bool, id: str = "") -> Any:  # noqa: A002 - pytest's own word
    marks = () if unless else (pytest.mark.nightly,)
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=marks, id=id or None)


DRAWN = [
    *(
        Drawn(each.name)
        for each in FAULTS
        if not (each.choices or each.alone or each.name in ELSEWHERE)
    ),
    killed("drain step"),
    Drawn("rollback-killed", 0, (("moment", "switch done"),)),
    Drawn("ssh-cut", 0, (("moment", "healthy step"),)),
]


@dataclasses.dataclass(frozen=True)
class Trial:
    """An experiment on the lab, as the process that an act is."""

    lab: Lab
    folder: Path

    def begun(self, drawn: Drawn, version: str, **environment: str) -> subprocess.Popen[str]:
        source = self.folder / "it.yaml"
        source.write_text(experiment.write(fault(drawn.name, dict(drawn.values)), drawn, version))
        return subprocess.Popen(
            [sys.executable, "-m", "cyan.chaos.run_experiment", source, self.folder / "it.json"],
            cwd=self.lab.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def performed(self, drawn: Drawn, version: str, **environment: str) -> Record:
        process = self.begun(drawn, version, **environment)
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, output
        return acted.load(self.folder / "it.json")

    def judged(self, drawn: Drawn, version: str, **environment: str) -> tuple[Held, ...]:
        expects = fault(drawn.name, dict(drawn.values)).expects
        seen = self.performed(drawn, version, **environment)
        return invariants.judge(seen, expects, SERVICES, SHARED)


@pytest.fixture
def trial(lab: Lab, tmp_path: Path) -> Iterator[Trial]:
    if not lab.answering()[1] or len(lab.markers()) != 1:  # after a deployer that was broken
        lab.cyan("deploy", "--version", "v1")
    yield Trial(lab, tmp_path)
    keeper = lab.folder / ".lab/host/keeper"  # of the deployer that never frees the lock
    if keeper.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(keeper.read_text()), signal.SIGKILL)
        keeper.unlink()


def another(lab: Lab) -> str:
    """A version that is not live."""
    return "v2" if lab.answering()[1] != "v2" else "v3"


@pytest.mark.parametrize(
    "drawn", [nightly(each, unless=each.name in EVERY_TIME, id=each.name) for each in DRAWN]
)
def test_a_fault_happens_and_heals_and_leaves_what_it_should(trial: Trial, drawn: Drawn) -> None:
    held = trial.judged(drawn, another(trial.lab))
    assert [each for each in held if each.verdict is not Verdict.PASS] == []


@pytest.mark.nightly
@pytest.mark.alone
def test_the_engine_is_restarted_and_the_live_color_runs_on(trial: Trial) -> None:
    with trial.lab.load() as client:
        held = trial.judged(Drawn("engine-restarted"), another(trial.lab))
    seen = acted.load(trial.folder / "it.json")
    failed = [float(error.split(":")[0]) for error in client.errors]
    assert all(seen.injected_ns < at * 1e9 < seen.healed_ns + 3e9 for at in failed)
    assert [each for each in held if each.verdict is not Verdict.PASS] == []


BROKEN_WAYS: list[tuple[str, Drawn, str]] = [
    ("forgets-the-lock", Drawn("two-deploys"), "deployer ended"),
    ("never-frees-the-lock", killed("healthy step"), "lock free"),
    ("switches-before-health", Drawn("never-healthy"), "deployer says"),
    ("skips-the-drain", Drawn("slow-clients"), "its own clients served"),
    ("leaves-what-it-started", Drawn("never-healthy"), "standby removed"),
    ("restarts-the-live-color", Drawn("fails-smoke"), "live color untouched"),
    ("leaves-both-markers", Drawn("slow-to-be-healthy"), "world whole"),
    ("swallows-its-failure", Drawn("exits-at-once"), "deployer ended"),
    ("says-nothing", Drawn("fails-smoke"), "deployer says"),
]


@pytest.mark.parametrize(
    ("way", "drawn", "found"),
    [
        nightly(each, unless=each[0] in ("forgets-the-lock", "restarts-the-live-color"))
        for each in BROKEN_WAYS
    ],
)
def test_a_deployer_that_is_broken_on_purpose_is_found(
    trial: Trial, way: str, drawn: Drawn, found: str
) -> None:
    command = f"{sys.executable} {BROKEN} {way}"
    held = trial.judged(drawn, another(trial.lab), CYAN_CHAOS_COMMAND=command)
    assert found in {each.name for each in held if each.verdict is Verdict.FAIL}, held


@pytest.mark.nightly
def test_a_release_that_errs_after_the_switch_is_told_by_its_users(trial: Trial) -> None:
    with trial.lab.load():
        held = trial.judged(Drawn("errs-after-the-switch"), another(trial.lab))
    assert [each for each in held if each.verdict is not Verdict.PASS] == []


def test_an_experiment_that_is_interrupted_heals_all_the_same(trial: Trial) -> None:
    process = trial.begun(Drawn("standby-paused"), another(trial.lab))
    until(lambda: trial.lab.states().count("paused") == 1, "the standby is paused", 180)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    seen = acted.load(trial.folder / "it.json")
    assert "Interrupted" in seen.error, output
    assert (seen.unhealed, trial.lab.states().count("paused")) == ("", 0)


def test_a_fault_whose_process_was_killed_is_healed_by_another(trial: Trial) -> None:
    process = trial.begun(Drawn("standby-paused"), another(trial.lab))
    until(lambda: trial.lab.states().count("paused") == 1, "the standby is paused", 180)
    process.kill()
    process.communicate()
    source = str(trial.folder / "it.yaml")
    words = [sys.executable, "-m", "cyan.chaos.run_experiment", "--heal", source]
    subprocess.run(words, cwd=trial.lab.folder, check=True)
    assert trial.lab.states().count("paused") == 0
    assert acted.load(trial.folder / "it.json").unhealed == ""
    until(lambda: trial.lab.world().owner is None, "the deployer that it left ends", 120)


TOOLKIT = (
    "import json, pathlib, sys, yaml\n"
    "from chaoslib.experiment import run_experiment\n"
    "told = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())\n"
    "given = {'runtime': {'rollbacks': {'strategy': 'always'}}}\n"
    "journal = run_experiment(told, settings=given)\n"
    "pathlib.Path(sys.argv[2]).write_text(json.dumps(journal, default=str))\n"
)
"""What `chaos run --rollback-strategy always` does."""


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("way", "said"), [("", "held"), ("says-nothing", "deployer says: no “fails smoke")]
)
def test_chaos_toolkit_drives_an_experiment_and_sees_an_invariant_that_is_broken(
    trial: Trial, way: str, said: str
) -> None:
    source, journal = trial.folder / "it.yaml", trial.folder / "journal.json"
    smoke = Drawn("fails-smoke")
    source.write_text(experiment.write(fault(smoke.name), smoke, another(trial.lab)))
    environment = dict(os.environ)
    if way:
        environment["CYAN_CHAOS_COMMAND"] = f"{sys.executable} {BROKEN} {way}"
    words = [sys.executable, "-c", TOOLKIT, str(source), str(journal)]
    subprocess.run(words, cwd=trial.lab.folder, env=environment, check=True, timeout=180)
    told = json.loads(journal.read_text())
    assert told["deviated"] is bool(way), told
    *_, held = told["steady_states"]["after"]["probes"]
    assert held["output"].startswith(said)


@pytest.mark.nightly
@pytest.mark.alone
def test_a_run_with_a_broken_deployer_fails_with_the_right_finding_and_is_shortened(
    lab: Lab,
) -> None:
    only = "old-killed-while-it-drains,fails-smoke"
    words = ("chaos", "--only", only, "--rate", "100", "--shrink", "1")
    command = f"{sys.executable} {BROKEN} leaves-what-it-started"
    done = lab.cyan(*words, check=False, CYAN_CHAOS_COMMAND=command)
    assert done.returncode == 1, done.stdout
    assert "controls: no drop without a deploy" in done.stdout
    assert "inv chaos --seed 1 --rate 100 --only old-killed-while-it-drains:0" in done.stdout
    newest = max((lab.folder / "reports").glob("*-chaos"))
    checks = json.loads((newest / "verdict.json").read_text())["checks"]
    failed = {(each["check"], each["act"]) for each in checks if each["verdict"] == "fail"}
    assert failed >= {("standby removed", 4), ("fault healed", 4)}
    assert "still fails: inv chaos --seed 1 --rate 100 --only fails-smoke:0" in done.stdout
    assert "still fails" in (newest / "summary.md").read_text()
    assert len(list((lab.folder / "reports").glob("*-shrink/verdict.json"))) == 1
    again = lab.cyan("report", "--run", newest.name, check=False)
    assert again.returncode == 1
    assert "fail: standby removed, fails-smoke" in again.stdout
