"""An experiment's order: nothing is tried in a bad world, and healing is never left out."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import pytest

from cyan import interrupt
from cyan.chaos import acted, actions, experiment, run_experiment
from cyan.chaos.catalogue import fault
from cyan.chaos.draw import Drawn
from cyan.chaos.scene import Scene
from cyan.chaos.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.chaos.acted import Record
    from cyan.chaos.fault import Fault
    from cyan.chaos.hands import Site

PAUSED = Drawn("standby-paused")
WRITTEN = experiment.write(fault(PAUSED.name), PAUSED, "v2")
TOLD = experiment.read(WRITTEN)


class Stand:
    """In the place of a site: a world that is whole, and where nothing is run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is open."""

    def world(self) -> World:
        return World(("blue",), ("blue", "v1"), ())


class Log(list[str]):
    """What was called, in order; `whole` and `error` are what the calls do."""

    whole = True
    error: BaseException | None = None

    def play(self, **_given: object) -> bool:
        self.append("play")
        if self.error:
            raise self.error
        return True


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()

    def whole() -> bool:
        made.append("whole")
        return made.whole

    def heal(**_given: object) -> bool:
        made.append("heal")
        return True

    monkeypatch.setattr(actions, "whole", whole)
    monkeypatch.setattr(actions, "held", lambda **_given: experiment.HELD)
    monkeypatch.setattr(actions, "play", made.play)
    monkeypatch.setattr(actions, "heal", heal)
    return made


def scene(folder: Path = Path()) -> Scene:
    return Scene(cast("Site", Stand()), folder)


def performed() -> Record:
    return run_experiment.perform(TOLD, scene())


def test_the_world_is_looked_at_then_the_fault_played_then_healed_whatever_happened(
    log: Log,
) -> None:
    assert performed().error == ""
    assert log == ["whole", "play", "heal", "heal", "whole"]


def test_nothing_is_played_in_a_world_that_is_not_whole(log: Log) -> None:
    log.whole = False
    assert "the world is whole is not so" in performed().error
    assert log == ["whole", "heal", "whole"]


@pytest.mark.parametrize("error", [RuntimeError("oh"), KeyboardInterrupt(), OSError("gone")])
def test_it_is_healed_also_where_it_fails_or_is_interrupted(log: Log, error: BaseException) -> None:
    log.error = error
    assert type(error).__name__ in performed().error
    assert log == ["whole", "play", "heal", "whole"]


def test_a_signal_while_it_heals_does_not_end_the_healing(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heal(**_given: object) -> bool:
        signal.raise_signal(signal.SIGTERM)
        log.append("heal")
        return True

    monkeypatch.setattr(actions, "heal", heal)
    with signals():
        interrupt.install()
        log.error = OSError("gone")
        assert "gone" in performed().error
    assert "heal" in log


class Stuck:
    """A fault that stays: `error` is what its healing raises, `remains` what is left after it."""

    def __init__(self, error: Exception | None = None, remains: str = "") -> None:
        self.error, self.remains = error, remains

    def heal(self, _site: object) -> None:
        if self.error:
            raise self.error

    def healed(self, _site: object) -> str:
        return self.remains


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The scene of this process, healed as a real one is."""
    made = scene()
    monkeypatch.setattr(actions, "_scenes", [made])
    monkeypatch.setattr(actions, "stage", lambda _folder: made)
    monkeypatch.setattr(actions, "whole", lambda: True)
    monkeypatch.setattr(actions, "held", lambda **_given: experiment.HELD)
    monkeypatch.setattr(actions, "play", lambda **_given: True)
    monkeypatch.setattr("cyan.chaos.scene.HEAL_WITHIN", 0)
    return made


STUCK = [
    (Stuck(OSError("no route")), "it could not be healed: OSError: no route"),
    (Stuck(remains="still paused"), "still paused"),
    (Stuck(), ""),
]


@pytest.mark.parametrize(("stuck", "why"), STUCK)
def test_a_fault_counts_as_healed_only_where_it_was_seen_to_be_gone(
    monkeypatch: pytest.MonkeyPatch, stage: Scene, stuck: Stuck, why: str
) -> None:
    monkeypatch.setattr(actions, "made", lambda *_given: cast("Fault", stuck))
    seen = run_experiment.perform(TOLD, stage)
    assert seen.unhealed == why
    assert (seen.healed_ns > 0) is (stuck.error is None)


def test_a_fault_that_nobody_tried_to_heal_is_not_healed() -> None:
    assert scene().record("it", None).unhealed == acted.UNTRIED


@pytest.mark.parametrize(("stuck", "why"), STUCK)
def test_what_heals_for_a_dead_experiment_says_what_came_of_it_and_leaves_a_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Scene, stuck: Stuck, why: str
) -> None:
    monkeypatch.setattr(actions, "made", lambda *_given: cast("Fault", stuck))
    assert stage.unhealed == acted.UNTRIED
    source = tmp_path / "it.yaml"
    source.write_text(WRITTEN)
    monkeypatch.setattr(sys, "argv", ["perform", "--heal", str(source)])
    with signals():
        assert run_experiment.main() == (1 if why else 0)
    seen = acted.load(tmp_path / "it.json")
    assert seen.unhealed == why
    assert "without leaving a record" in seen.error


def test_what_heals_later_does_not_say_that_the_experiment_had_healed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Scene
) -> None:
    monkeypatch.setattr(actions, "made", lambda *_given: cast("Fault", Stuck()))
    kept = stage.record("it", None)
    acted.save(kept, tmp_path / "it.json")
    (tmp_path / "it.yaml").write_text(WRITTEN)
    with signals():
        assert run_experiment.heal(tmp_path / "it.yaml") == ""
    assert acted.load(tmp_path / "it.json") == kept


def test_a_signal_does_not_end_what_heals_for_a_dead_experiment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Scene
) -> None:
    class Slow(Stuck):
        def heal(self, _site: object) -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(actions, "made", lambda *_given: cast("Fault", Slow()))
    (tmp_path / "it.yaml").write_text(WRITTEN)
    with signals():
        assert run_experiment.heal(tmp_path / "it.yaml") == ""
    assert stage.healed_ns


@contextmanager
def signals() -> Iterator[None]:
    """What the block does to the signals is undone."""
    was = {how: signal.getsignal(how) for how in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for how, handler in was.items():
            signal.signal(how, handler)
