"""When a color counts as healthy, waits, or is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyan.application.release import Release
from cyan.names import Color
from cyan.rollout.health import (
    Answer,
    Look,
    State,
    Streak,
    hopeless,
    judge_answer,
    judge_containers,
)
from cyan.sections import HealthSettings
from tests.rollout.worlds import color, container

SERVICES = ("platform", "rag", "crawler")
TARGET = Release("r2", "v2", Color.GREEN)
PASSING = Look(State.PASSING)
WAITING = Look(State.WAITING, "platform is starting")


def test_a_color_passes_when_every_service_is_up() -> None:
    assert judge_containers(color(Color.GREEN, "v2", "r2"), SERVICES) == PASSING


def test_a_service_without_a_health_check_passes_by_running() -> None:
    assert judge_containers(color(Color.GREEN, "v2", "r2", health=""), SERVICES) == PASSING


def test_a_missing_service_is_waited_for_by_name() -> None:
    found = judge_containers((container("rag", Color.GREEN),), SERVICES)
    assert found.state is State.WAITING
    assert "platform is not there" in found.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "exited", "exit_code": 3}, "rag exited with code 3"),
        ({"oom_killed": True, "state": "exited"}, "rag was killed for memory"),
        ({"restarts": 1}, "rag ended and was restarted"),
    ],
)
def test_a_container_that_ended_is_broken_at_once(changes: dict[str, object], reason: str) -> None:
    found = judge_containers((container("rag", Color.GREEN, **changes),), SERVICES)
    assert found.state is State.BROKEN
    assert reason in found.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"restarts": 2}, "rag ended and was restarted"), ({"oom_killed": True}, "killed for memory")],
)
def test_what_a_warm_container_had_survived_before_the_run_is_not_held_against_it(
    changes: dict[str, object], reason: str
) -> None:
    before = (container("rag", Color.GREEN, restarts=1),)
    assert judge_containers(before, ("rag",), before) == PASSING
    found = judge_containers((replace(before[0], **changes),), ("rag",), before)  # type: ignore[arg-type]
    assert found.state is State.BROKEN
    assert reason in found.reason


def test_each_replica_of_a_service_must_be_up() -> None:
    one = container("rag", Color.GREEN, id="rag-1", health="starting")
    two = container("rag", Color.GREEN, id="rag-2")
    for replicas in ((one, two), (two, one)):
        found = judge_containers(replicas, ("rag",))
        assert (found.state, found.reason) == (State.WAITING, "rag is starting")


def test_the_door_must_answer_as_the_target() -> None:
    assert judge_answer(Answer(200, "green", "v2"), TARGET) == PASSING


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Answer(0, error="refused"), State.WAITING, "does not answer: refused"),
        (Answer(503, "green", "v2"), State.WAITING, "answers 503"),
        (Answer(200, "green", "v1"), State.BROKEN, "answers as v1, wanted v2"),
        (Answer(200, "blue", "v2"), State.BROKEN, "answers as blue, wanted green"),
        (Answer(200), State.BROKEN, "no X-Version at all"),
    ],
)
def test_any_other_answer_of_the_door_does_not_pass(
    answer: Answer, state: State, reason: str
) -> None:
    found = judge_answer(answer, TARGET)
    assert found.state is state
    assert reason in found.reason


def test_passes_must_be_consecutive() -> None:
    streak = Streak().after(PASSING).after(WAITING).after(PASSING)
    assert streak.passes == 1


def test_flapping_is_told_from_a_slow_start() -> None:
    slow = Streak().after(WAITING).after(WAITING)
    flapping = slow.after(PASSING).after(WAITING).after(PASSING).after(WAITING)
    assert slow.described == "platform is starting"
    assert "passed and failed again 2 times" in flapping.described


def test_a_service_has_its_own_time_to_become_healthy() -> None:
    patient = HealthSettings(timeout=300, services={"rag": 600, "crawler": 20})
    assert not hopeless(Look(State.WAITING, "", ("rag",)), 400, patient)
    assert hopeless(Look(State.WAITING, "", ("rag", "platform")), 400, patient)
    assert hopeless(Look(State.WAITING, "", ("crawler",)), 21, patient)


def test_a_color_whose_slowest_service_was_in_time_has_the_time_to_pass_again() -> None:
    patient = HealthSettings(timeout=300, services={"rag": 600})
    assert not hopeless(PASSING, 400, patient)
    assert hopeless(PASSING, 600, patient)
    assert hopeless(PASSING, 300, HealthSettings(timeout=300))


def test_what_is_broken_is_given_up_at_once() -> None:
    assert hopeless(Look(State.BROKEN, "rag exited with code 3"), 0.1, HealthSettings())


def test_a_service_that_ran_once_and_well_is_not_waited_for() -> None:
    ran = {"state": "exited", "exit_code": 0, "health": ""}
    waits = container("platform", Color.GREEN, awaits=frozenset({"migrate"}))
    migrate = container("migrate", Color.GREEN, **ran)
    assert judge_containers((waits, migrate), ("platform", "migrate")) == PASSING
    failed = container("migrate", Color.GREEN, **ran | {"exit_code": 3})
    assert judge_containers((waits, failed), ("platform", "migrate")).state is State.BROKEN
    nobody = container("platform", Color.GREEN)  # waits for it, so it was to stay
    assert judge_containers((nobody, migrate), ("platform", "migrate")).state is State.BROKEN


@pytest.mark.parametrize(("restarts", "state"), [(1, State.PASSING), (2, State.BROKEN)])
def test_one_restart_while_a_dependency_comes_up_fails_no_deploy(
    restarts: int, state: State
) -> None:
    seen = (container("rag", Color.GREEN, restarts=restarts),)
    assert judge_containers(seen, ("rag",), restarts=1).state is state
    assert judge_containers(seen, ("rag",)).state is State.BROKEN  # once it is live


def test_what_an_adopted_application_runs_once_has_ended_rightly() -> None:
    ended = container("migrate", Color.GREEN, state="exited", health="", once=True)
    failed = container("migrate", Color.GREEN, state="exited", health="", once=True, exit_code=1)
    assert judge_containers((ended,), ("migrate",)).state is State.PASSING
    assert judge_containers((failed,), ("migrate",)).state is State.BROKEN


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(200), State.PASSING),
        (Answer(404), State.PASSING),
        (Answer(302), State.PASSING),
        (Answer(500), State.WAITING),
        (Answer(502), State.WAITING),
        (Answer(0, error="refused"), State.WAITING),
        (Answer(200, version="v9"), State.BROKEN),
        (Answer(200, color="green"), State.PASSING),
    ],
)
def test_an_application_that_does_not_know_cyan_is_held_to_what_it_says(
    answer: Answer, state: State
) -> None:
    target = Release("r1", "v1", Color.BLUE)
    assert judge_answer(answer, target, "web", below=500, told=False).state is state
