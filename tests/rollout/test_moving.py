"""What is done on each host before any of a fleet is switched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cyan.rollout import moving
from cyan.rollout import plan as planning
from cyan.rollout.planned import Request
from tests.rollout.jobs import job
from tests.rollout.worlds import V1_ON_BLUE, settings

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.rollout.job import Job

REQUEST = Request("deploy", "v2", "ann", run="r2")
PLAN = planning.deploy(REQUEST, V1_ON_BLUE, settings(), "")


def sticky(made: Job, *, on: bool = True) -> Job:
    site = made.settings.site.model_copy(update={"sticky": on})
    return replace(made, settings=made.settings.model_copy(update={"site": site}))


def test_sessions_are_pinned_to_the_target_and_no_longer_where_all_go_back(tmp_path: Path) -> None:
    made = sticky(job(tmp_path, V1_ON_BLUE, PLAN))
    traffic = tmp_path / "app/traffic"
    made.host.run(moving._first(made, back=False))
    assert {each.name for each in traffic.iterdir()} == {"blue", "pin-r2", "pinned-green"}
    made.host.run(moving._first(made, back=True))
    assert {each.name for each in traffic.iterdir()} == {"blue"}


@pytest.mark.parametrize(("on", "hold"), [(False, False), (True, True)])
def test_nobody_is_pinned_unless_one_says_so_nor_where_requests_wait(
    tmp_path: Path, on: bool, hold: bool
) -> None:
    """The host would lead them to a color that it has stopped, were the deployer gone."""
    plan = replace(PLAN, run=replace(PLAN.run, hold=hold))
    assert moving._first(sticky(job(tmp_path, V1_ON_BLUE, plan), on=on), back=False) == ":"
