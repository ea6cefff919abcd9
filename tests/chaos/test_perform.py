"""An experiment's order: nothing is tried in a bad world, and healing is never left out."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, cast

import pytest

from cyan import interrupt
from cyan.chaos import actions, experiment
from cyan.chaos.catalogue import fault
from cyan.chaos.draw import Drawn
from cyan.chaos.perform import perform
from cyan.chaos.world import World

if TYPE_CHECKING:
    from cyan.chaos.record import Record
    from cyan.chaos.scene import Scene

PAUSED = Drawn("standby-paused")
TOLD = experiment.read(experiment.write(fault(PAUSED.name), PAUSED, "v2"))


class Stand:
    """In the place of a scene: a world that is whole, and nothing that is run."""

    injected_ns = healed_ns = 1
    unhealed = ""
    ran: tuple[()] = ()
    unserved: tuple[()] = ()

    @property
    def site(self) -> Stand:
        return self

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
    monkeypatch.setattr(actions, "play", made.play)
    monkeypatch.setattr(actions, "heal", heal)
    return made


def performed() -> Record:
    return perform(TOLD, cast("Scene", Stand()))


def test_the_world_is_looked_at_then_the_fault_played_then_healed(log: Log) -> None:
    assert performed().error == ""
    assert log == ["whole", "play", "heal", "whole"]


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

    was = {how: signal.getsignal(how) for how in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(actions, "heal", heal)
    interrupt.install()
    try:
        assert performed().error == ""
    finally:
        for how, handler in was.items():
            signal.signal(how, handler)
    assert "heal" in log
