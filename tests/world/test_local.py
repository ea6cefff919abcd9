"""Commands of the user's own beside the deployer: what they start ends with them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cyan.names import Color, Kind
from cyan.rollout import hooks
from cyan.rollout import plan as planning
from cyan.rollout.planned import Request
from cyan.sections import HookSettings
from cyan.world import local
from tests.rollout.jobs import job
from tests.rollout.worlds import V1_ON_BLUE, settings

if TYPE_CHECKING:
    from pathlib import Path

LATER = "(sleep 2; touch {path}) & sleep 60"
"""What it started goes on when only the shell is ended."""


def test_a_command_that_is_ended_takes_along_what_it_started(tmp_path: Path) -> None:
    done = local.run(LATER.format(path=tmp_path / "late"), {}, 0.3)
    assert done.code == local.TIMED_OUT
    time.sleep(2.2)
    assert not (tmp_path / "late").exists()


def test_what_a_command_prints_and_its_code_are_told() -> None:
    done = local.run("echo $WHO; echo no >&2; exit 3", {"WHO": "ann"}, 5)
    assert (done.stdout, done.stderr, done.code) == ("ann\n", "no\n", 3)


@pytest.mark.parametrize("where", ["here", "host"])
def test_a_hook_that_times_out_loses_all_its_processes(tmp_path: Path, where: str) -> None:
    late = tmp_path / "late"
    hook = HookSettings.model_validate(
        {"after": "drain", "run": LATER.format(path=late), "where": where, "within": 0.3}
    )
    plan = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, settings(), "")
    mine = job(tmp_path / "job", V1_ON_BLUE, plan, hooks=(hook,))
    step = next(each for each in plan.steps if each.kind is Kind.DRAIN)
    assert step.color is Color.BLUE
    with mine.lock:
        (warning,) = hooks.after(mine, step)
    assert "failed with exit code 124" in warning
    time.sleep(2.2)
    assert not late.exists()
