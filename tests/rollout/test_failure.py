"""What is kept of a failure, wherever a rotation failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from cyan.errors import HostError
from cyan.names import Color
from cyan.rollout import failure
from cyan.rollout import plan as planning
from cyan.rollout.plan import Request
from tests.rollout.worlds import V1_ON_BLUE, V2_ON_GREEN, color, settings

if TYPE_CHECKING:
    from cyan.rollout.observation import Observation
    from cyan.rollout.steps import Job
    from cyan.world.engine import Container


def gathered(
    world: Observation, now: tuple[Container, ...], *, target: str = "", error: str = ""
) -> failure.Evidence:
    """What is gathered where these containers run when a deploy of `v3` fails."""
    mine = settings()
    plan = planning.deploy(Request("deploy", "v3", "ann"), world, mine, "")

    def containers(which: Color) -> tuple[Container, ...]:
        if error:
            raise HostError(error)
        found = tuple(each for each in now if each.color is which)
        return found or (color(which, "v3", plan.target.id, health=target) if target else ())

    engine = SimpleNamespace(
        logs=lambda name, _lines: f"{name} says",
        described=lambda name: f"{{{name}}}",
        events=lambda *_: "events",
    )
    job = SimpleNamespace(
        plan=plan, world=world, settings=mine, engine=engine, containers=containers
    )
    return failure.gather(cast("Job", job))


def test_the_targets_containers_are_kept_and_those_that_ail_are_shown() -> None:
    found = gathered(V1_ON_BLUE, V1_ON_BLUE.of(Color.BLUE), target="unhealthy")
    names = {name for name, _ in found.files}
    assert {"demo-green-rag-1.log", "demo-green-rag-1.json", "events.jsonl"} <= names
    assert "green-rag says" in found.text


@pytest.mark.parametrize("world", [V1_ON_BLUE, V2_ON_GREEN])
def test_before_the_target_has_containers_the_live_color_and_what_happened_are_kept(
    world: Observation,
) -> None:
    found = gathered(world, world.containers)
    live = f"demo-{world.live}"
    names = {f"{live}-{name}-1.json" for name in ("platform", "rag", "crawler")}
    assert {name for name, _ in found.files} == names | {"events.jsonl"}
    assert found.text == ""


def test_a_host_that_does_not_answer_is_told() -> None:
    assert gathered(V1_ON_BLUE, (), error="it is gone").text == "(no logs: it is gone)"
