"""A deployer that is killed with SIGKILL before and after every step of its plan, under load.

The points are made from the plans themselves, so a new step is covered by itself. Every time, each
step is begun and not done, followed by one of the commands that an operator may give next, in turn;
the nights try every point with every command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cyan.names import Color, Kind
from cyan.rollout import plan as planning
from cyan.rollout.drift import drift
from cyan.rollout.planned import Plan, Request
from cyan.sections import MigrateSettings, SmokeCheck
from tests.rollout.worlds import DATABASE, V1_ON_BLUE, V2_ON_GREEN, settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.harness import Lab

from tests.lab.harness import MATRIX_AT_NIGHT

pytestmark = pytest.mark.lab

SETTINGS = settings(
    smoke=(SmokeCheck(path="/"),),
    migrate=MigrateSettings(directory=Path("migrations"), database=DATABASE),
)
DEPLOY = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, SETTINGS, "")
ROLLBACK = planning.rollback(Request("rollback", "", "ann"), V2_ON_GREEN, SETTINGS, "")
HELD = planning.deploy(Request("deploy", "v2", "ann", hold=True), V1_ON_BLUE, SETTINGS, "")
EVERY_DAY = (Kind.EXPAND, Kind.START, Kind.SWITCH, Kind.DRAIN)
NEXT = {
    "same": (),  # the same version once more
    "other": (),  # another version
    "resume": ("deploy", "--resume"),
    "abort": ("deploy", "--abort"),
    "rollback": ("rollback",),
}


@dataclass(frozen=True)
class Doing:
    """A command that is killed, the version that it makes live, and yet another version."""

    words: tuple[str, ...]
    makes: str
    other: str


def two_that_are_not_live(lab: Lab) -> tuple[str, str]:
    """Two versions, after making sure that there is something live and something to go back to."""
    for version in ("v1", "v2")[len(lab.world().switches) :]:
        lab.cyan("deploy", "--version", version)
    first, second = sorted({"v1", "v2", "v3"} - {lab.answering()[1]})
    return first, second


def points(plan: Plan, commands: Iterable[str], often: tuple[Kind, ...] = EVERY_DAY) -> list[Any]:
    """Step, before or after it, and the command that comes next; all but a few are nightly."""
    names = tuple(commands)
    turn = cycle(names)
    daily = {(step.kind.value, "before", next(turn)) for step in plan.steps if step.kind in often}
    every = product((step.kind.value for step in plan.steps), ("before", "after"), names)
    marks = {True: (), False: (pytest.mark.nightly,)}
    return [pytest.param(*point, marks=marks[point in daily]) for point in every]


def kill(lab: Lab, step: str, when: str, *words: str) -> None:
    """Run a command until it kills itself."""
    script = str(Path(__file__).parent / "killed.py")
    project = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, script, step, when, *words],
        cwd=lab.folder,
        env={**os.environ, "INVOKE_CYAN_BAKE_SECONDS": "0.3", "PYTHONPATH": project},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def then_all_is_well(lab: Lab, step: str, when: str, then: str, doing: Doing) -> None:
    """Kill `doing` at a point, under load; see what status says; give the next command."""
    before = lab.world()
    with lab.load() as client:
        kill(lab, step, when, *doing.words)
        world = lab.world()
        switched = world.version(world.live) == doing.makes
        assert any("was killed in" in line for line in drift(world, lab.settings))
        words = NEXT[then] or (
            "deploy",
            "--version",
            doing.makes if then == "same" else doing.other,
        )
        lab.cyan(*words, INVOKE_CYAN_BAKE_SECONDS="0.3")
    was = before.version(before.live)
    wanted = {"same": doing.makes, "other": doing.other, "resume": doing.makes, "abort": was}
    wanted["rollback"] = was if switched else planning.rollback_target(before).version
    assert lab.answering()[1] == wanted[then]
    lab.is_clean()
    client.saw_no_drop()


@MATRIX_AT_NIGHT
@pytest.mark.parametrize(("step", "when", "then"), points(DEPLOY, NEXT))
def test_a_deploy_that_is_killed_drops_nothing_and_any_next_command_ends_clean(
    lab: Lab, step: str, when: str, then: str
) -> None:
    makes, other = two_that_are_not_live(lab)
    doing = Doing(("deploy", "--version", makes), makes, other)
    then_all_is_well(lab, step, when, then, doing)


@MATRIX_AT_NIGHT
@pytest.mark.parametrize(("step", "when", "then"), points(ROLLBACK, [*NEXT][2:]))
def test_a_rollback_that_is_killed_drops_nothing_and_any_next_command_ends_clean(
    lab: Lab, step: str, when: str, then: str
) -> None:
    world = lab.world()
    if not world.up(world.standby, lab.settings.stateless):
        lab.cyan("deploy", "--version", two_that_are_not_live(lab)[0])
        world = lab.world()
    doing = Doing(("rollback",), planning.rollback_target(world).version, "")
    before = [lab.containers(each) for each in Color]
    then_all_is_well(lab, step, when, then, doing)
    if then == "abort":
        assert [lab.containers(each) for each in Color] == before
