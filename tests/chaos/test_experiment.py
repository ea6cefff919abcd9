"""Experiments as data: what is written can be read, by us and by Chaos Toolkit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from chaoslib.exceptions import ChaosException
from chaoslib.experiment import ensure_experiment_is_valid

from cyan.chaos import acted, actions, experiment
from cyan.chaos.catalogue import BY_NAME, fault
from cyan.chaos.draw import Drawn
from cyan.chaos.fault import Expectation
from cyan.chaos.faults.engine import StandbyPaused
from cyan.chaos.moment import NotInjectedError
from cyan.chaos.scene import Scene
from cyan.chaos.world import Piece
from cyan.errors import UsageError
from cyan.proof.scenario import Traffic
from tests.chaos.test_invariants import BLUE
from tests.rollout.worlds import settings

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.chaos.hands import Site
    from cyan.chaos.world import World

KILLED = Drawn("deployer-killed", 0, (("moment", "drain step"),))


def written(drawn: Drawn = KILLED) -> str:
    return experiment.write(fault(drawn.name, dict(drawn.values)), drawn, "v2")


@pytest.mark.parametrize("name", BY_NAME)
def test_every_fault_has_an_experiment_that_ends_with_its_healing(name: str) -> None:
    told = experiment.read(written(Drawn(name)))
    assert [each.func for each in told.hypothesis] == ["whole", "held"]
    assert [each.func for each in told.method] == ["play", "heal"]
    assert [each.func for each in told.rollbacks] == ["heal"]
    assert told.method[0].arguments["fault"] == name


@pytest.mark.parametrize("name", BY_NAME)
def test_chaos_toolkit_takes_the_experiment_of_every_fault(name: str) -> None:
    ensure_experiment_is_valid(yaml.safe_load(written(Drawn(name))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("func: play", "func: plays"),  # it imports what is called, and looks at its arguments
        ("version: v2", "release: v2"),
        ("    tolerance: held\n", ""),
        ("method:", "way:"),
    ],
)
def test_chaos_toolkit_refuses_what_it_could_not_run(old: str, new: str) -> None:
    assert old in written()
    with pytest.raises(ChaosException):
        ensure_experiment_is_valid(yaml.safe_load(written().replace(old, new)))


def test_an_experiment_has_the_keys_that_chaos_toolkit_wants() -> None:
    kept = yaml.safe_load(written())
    assert kept["title"] == "deployer-killed (drain step)"
    assert kept["description"].startswith("The deployer is killed")
    probes = kept["steady-state-hypothesis"]["probes"]
    assert [(p["type"], p["tolerance"]) for p in probes] == [("probe", True), ("probe", "held")]
    action, _heal = kept["method"]
    assert action["provider"]["type"] == "python"
    assert action["provider"]["arguments"] == {
        "fault": "deployer-killed",
        "values": {"moment": "drain step"},
        "version": "v2",
    }
    for activity in (*probes, *kept["method"], *kept["rollbacks"]):
        assert callable(getattr(actions, activity["provider"]["func"]))


@pytest.mark.parametrize("name", BY_NAME)
def test_an_experiment_holds_what_must_be_seen_of_its_fault(name: str) -> None:
    *_, probe = experiment.read(written(Drawn(name))).hypothesis
    assert experiment.expected(probe.arguments["wanted"]) == fault(name).expects


class Stand:
    """In the place of a site, with a world to look at."""

    def __init__(self, world: World) -> None:
        self.settings = settings()
        self._world = world

    def world(self) -> World:
        return self._world


SHARED = tuple(
    Piece("", name, "", "", name, "then", "running", "") for name in ("database", "proxy")
)
WHOLE = replace(BLUE, pieces=(*BLUE.pieces, *SHARED))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    made = Scene(cast("Site", Stand(WHOLE)), tmp_path)
    monkeypatch.setattr(actions, "_scenes", [made])
    return made


WANTED = experiment.invariants(Expectation(Traffic.UNTOUCHED, ()))


def test_before_anything_was_done_every_invariant_holds(scene: Scene) -> None:
    assert scene.before is None
    assert actions.held(WANTED) == experiment.HELD


def test_after_the_method_the_invariants_are_judged_as_those_of_a_run(scene: Scene) -> None:
    scene.before, scene.injected_ns = WHOLE, 1
    assert actions.held(WANTED) == f"fault healed: {acted.UNTRIED}"
    scene.unhealed = ""
    assert actions.held(WANTED) == experiment.HELD
    lacking = cast("Site", Stand(BLUE))
    scene.site = lacking
    assert "the shared proxy is not up" in actions.held(WANTED)


def test_a_fault_that_could_not_be_played_is_what_does_not_hold(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(*_given: object) -> None:
        raise NotInjectedError("it is not paused")

    monkeypatch.setattr(StandbyPaused, "play", play)
    with pytest.raises(NotInjectedError):
        actions.play("standby-paused", "v2")
    scene.injected_ns, scene.unhealed = 1, ""
    assert actions.held(WANTED) == "fault injected: NotInjectedError: it is not paused"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("func: play", "func: _settings", "may not call _settings"),
        ("module: cyan.chaos.actions", "module: os", "may not call"),
        ("type: python", "type: process", "may not call"),
        ("method:", "way:", "this is no experiment"),
        ("title:", "[", "this is no experiment"),
    ],
)
def test_what_is_no_experiment_of_ours_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        experiment.read(written().replace(old, new))
