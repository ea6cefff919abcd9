"""The orchestration from the first request to the report, in a made-up world without Docker."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from cyan.errors import HostError, ProofError
from cyan.proof import demo_migration
from cyan.proof.display import Silent, Terminal
from cyan.proof.findings import Verdict
from cyan.proof.history import Clock, Container, Observation
from cyan.proof.load import Load, Swarm
from cyan.proof.run import RunSpec, lasting, run
from cyan.proof.scenario import (
    Act,
    Traffic,
    broken,
    deploy,
    full,
    migrations,
    quick,
    rollback,
)

PROJECT = Path(__file__).parents[2]
DIRECTORY = "INVOKE_CYAN_MIGRATE_DIRECTORY"
ACTS = (
    deploy("v2"),
    rollback("v1", name="rollback after cleanup", prepare=(("cleanup",),)),
    broken("v3", "never-healthy", name="never healthy"),
)


@dataclass(frozen=True)
class World:
    """A folder with the file `live`, looked at as the real one looks at a host."""

    folder: Path
    silent: frozenset[str] = frozenset({"proxy", "application", "ledger"})

    def observe(self) -> Observation:
        words = (self.folder / "live").read_text().split()
        if not words:
            return Observation("")
        color, version = words
        return Observation(color, (Container(version, color, "platform", version, "then"),))

    def clock(self) -> Clock:
        return Clock()

    def collect(self, folder: Path) -> None:
        shutil.copy(self.folder / "journal.jsonl", folder)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder = tmp_path / "world"
    folder.mkdir()
    (folder / "live").write_text("blue v1")
    (folder / "old").write_text("v1")
    (folder / "journal.jsonl").touch()
    monkeypatch.setenv("CYAN_FAKE_WORLD", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return World(folder)


def spec(world: World, acts: tuple[Act, ...] = ACTS, extra: tuple[str, ...] = ()) -> RunSpec:
    load = Load(
        url=str(world.folder),
        locustfile=PROJECT / "tests/proof/fake_swarm.py",
        rate=300,
        limit=30,
        extra=extra,
        program=(sys.executable,),
    )
    return RunSpec(
        folder=world.folder.parent / "run",
        project=PROJECT,
        acts=acts,
        load=load,
        steady=0.3,
        gap=0.1,
        requests=200,
        command=(sys.executable, str(PROJECT / "tests/proof/fake_cyan.py")),
        measured_on={"seed": 1},
    )


def test_a_run_performs_its_acts_under_load_and_leaves_everything_in_its_folder(
    world: World,
) -> None:
    judgement = run(spec(world), world, Silent())
    folder = world.folder.parent / "run"
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "client", "acts", "acts.json", "journal.jsonl", "settings.json", "requests.parquet",
        "verdict.json", "summary.md", "junit.xml", "report.html",
    }  # fmt: skip
    assert judgement.n >= 200
    troubles = {f.check for f in judgement.findings if f.verdict is not Verdict.PASS}
    silent = {"logs present", "every container's log", "lost job", "double job"}
    assert troubles == silent, judgement.findings
    exits = [item.exit_code for item in judgement.history.performed]
    assert exits == [0, 0, 1]
    assert [item.after.version for item in judgement.history.performed] == ["v2", "v1", "v1"]


def test_where_nothing_is_live_the_first_act_comes_before_the_load(world: World) -> None:
    (world.folder / "live").write_text("")
    with pytest.raises(ProofError, match="did not change that"):
        run(spec(world, (Act("fails", ("fail",), Traffic.SWITCH),)), world, Silent())


def test_a_first_deploy_is_judged_although_no_load_saw_it(world: World) -> None:
    (world.folder / "live").write_text("")
    judgement = run(spec(world, (deploy("v1"), deploy("v2"))), world, Silent())
    first, second = judgement.history.performed
    assert (first.loaded, second.loaded) == (False, True)
    assert judgement.measures[0].n == 0
    assert judgement.measures[0].verdict is Verdict.PASS


def test_a_clock_that_cannot_be_read_again_makes_the_verdict_unknown_and_costs_no_evidence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = iter([Clock()])

    def clock(_world: World) -> Clock:
        for found in clocks:
            return found
        raise HostError("the host's clock cannot be read")

    monkeypatch.setattr(World, "clock", clock)
    judgement = run(spec(world, ()), world, Silent())
    assert "clock known" in {f.check for f in judgement.findings if f.verdict is Verdict.UNKNOWN}
    assert {"acts.json", "verdict.json"} <= {
        p.name for p in (world.folder.parent / "run").iterdir()
    }


def test_a_preparation_that_fails_is_unknown_and_the_act_is_not_performed(world: World) -> None:
    act = replace(deploy("v2"), prepare=(("fail",),))
    judgement = run(spec(world, (act,)), world, Silent())
    (performed,) = judgement.history.performed
    assert "the preparation “fail” failed with exit code 1" in performed.error
    assert judgement.verdict is not Verdict.PASS
    assert (world.folder / "live").read_text() == "blue v1"


def test_an_act_that_hangs_is_ended_and_unknown(world: World) -> None:
    act = Act("hangs", ("hang",), Traffic.UNTOUCHED, timeout=0.5)
    judgement = run(spec(world, (act,)), world, Silent())
    assert "ended by signal 2" in judgement.history.performed[0].error
    assert judgement.verdict is Verdict.UNKNOWN


def test_a_swarm_that_dies_makes_the_verdict_unknown_and_not_the_run_crash(world: World) -> None:
    judgement = run(spec(world, extra=("--die-after", "150")), world, Silent())
    troubles = {f.check for f in judgement.findings if f.verdict is Verdict.UNKNOWN}
    assert judgement.verdict is Verdict.UNKNOWN
    assert {"signed off", "swarm ended", "every act performed"} <= troubles
    assert judgement.history.swarm_exit == 9


def test_acts_that_the_load_did_not_live_to_see_make_the_verdict_unknown(world: World) -> None:
    short = spec(world)
    judgement = run(replace(short, load=replace(short.load, limit=0.4)), world, Silent())
    (finding,) = [f for f in judgement.findings if f.check == "every act performed"]
    assert finding.verdict is Verdict.UNKNOWN
    # on a busy machine the load may have ended before the first one, too
    left = r"; not (deploy v2, )?rollback after cleanup, never healthy(;|$)"
    assert re.search(left, finding.text)


def test_the_load_outlives_acts_that_take_all_the_time_they_may(world: World) -> None:
    made = lasting(replace(spec(world, full()), steady=15, gap=5, requests=51_000))
    longest = 15 + sum(act.timeout + 5 for act in full()) + 180 + 51_000 / 300
    assert longest < made.load.limit < 2 * longest


def test_a_swarm_that_dies_at_once_is_told_with_its_last_words(world: World) -> None:
    with pytest.raises(ProofError, match="ended before it was ready"):
        run(spec(world, extra=("--die-after", "3")), world, Silent())


def test_the_swarm_is_ended_when_the_run_is_interrupted(world: World) -> None:
    swarm = Swarm(spec(world).load, world.folder / "client")

    def interrupted() -> None:
        with swarm:
            swarm.wait_ready()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not swarm.alive
    assert (world.folder / "client/signoff-0.json").exists()


def test_a_swarm_that_does_not_listen_is_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyan.proof.load.TERMINATE_WITHIN", 0.3)
    swarm = Swarm(spec(world, extra=("--deaf",)).load, world.folder / "client")
    with swarm:
        swarm.wait_ready()
    assert not swarm.alive


def test_without_a_terminal_every_event_is_a_plain_line(world: World) -> None:
    text = io.StringIO()
    acts = ACTS[:1]
    with Terminal(acts, Console(file=text, width=200)) as display:
        run(spec(world, acts), world, display)
    lines = text.getvalue()
    assert "\x1b" not in lines
    for said in ("waiting for the swarm", "steady state", "act 1: deploy v2", "exit 0"):
        assert said in lines


def test_on_a_terminal_the_table_shows_acts_and_pace(world: World) -> None:
    text = io.StringIO()
    acts = ACTS[:1]
    console = Console(file=text, width=120, force_terminal=True)
    with Terminal(acts, console) as display:
        run(spec(world, acts), world, display)
    assert "✓" in text.getvalue()
    assert "sent" in text.getvalue()


def test_importing_the_scenario_is_light() -> None:
    code = (
        "import sys, cyan.proof.scenario, cyan.proof.run;"
        "print([m for m in ('pandas', 'numpy', 'plotly', 'scipy', 'rich') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert said.stdout.strip() == "[]"


def test_the_quick_scenario_is_half_of_the_acts() -> None:
    assert [act.name for act in quick()] == [
        "deploy v1", "deploy v2", "rollback while warm", "never healthy",
    ]  # fmt: skip


def test_the_scenario_of_migrations_has_an_act_for_each_phase_and_one_that_is_too_early(
    tmp_path: Path,
) -> None:
    folder = demo_migration.write(tmp_path, "20261121-110000-verify")
    acts = migrations(str(folder))
    assert [act.name for act in acts] == [
        "deploy v1", "expand", "deploy v2", "backfill", "contract too early", "contract",
    ]  # fmt: skip
    assert {dict(act.environment).get(DIRECTORY) for act in acts[1:]} == {str(folder)}


def test_the_settings_of_a_run_are_kept(world: World) -> None:
    began = time.time()
    run(spec(world, ()), world, Silent())
    folder = world.folder.parent / "run"
    assert json.loads((folder / "settings.json").read_text()) == {"seed": 1}
    assert time.time() - began < 20


def test_an_act_may_be_another_program_than_cyan(world: World) -> None:
    act = Act("by hand", ("-c", "exit 0"), Traffic.UNTOUCHED, program=("sh",))
    judgement = run(spec(world, (act,)), world, Silent())
    assert judgement.history.performed[0].exit_code == 0
    assert judgement.history.performed[0].act.command == "sh -c exit 0"
