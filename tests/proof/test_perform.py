"""An act's process: it gets the time that it needs to end, and what it leaves is healed."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cyan import interrupt
from cyan.proof import perform
from cyan.proof.history import Observation
from cyan.proof.perform import Stage
from cyan.proof.scenario import Act, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyan.proof.history import Performed

SLOW = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "try:\n"
    "    open('begun', 'w').close()\n"
    "    time.sleep(30)\n"
    "except KeyboardInterrupt:\n"
    "    time.sleep(float(sys.argv[1]))\n"
    "    open('ended', 'w').close()\n"
    "    sys.exit(0)\n"
)
"""Takes its time to end once it is interrupted."""


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, tmp_path, lambda: Observation("blue"), (sys.executable,))


def slow(tmp_path: Path, seconds: float, ending: float, timeout: float = 5) -> Act:
    heal = (sys.executable, "-c", f"open({str(tmp_path / 'healed')!r}, 'w')")
    program = (sys.executable, "-c", SLOW)
    given = {"timeout": timeout, "ending": ending, "heal": heal, "program": program}
    return replace(Act("it", (str(seconds),), Traffic.EITHER), **given)  # type: ignore[arg-type]


def done(act: Act, stage: Stage) -> Performed:
    """The act, done; its time is over as soon as it has begun."""
    begun = stage.project / "begun"
    deadline = time.monotonic() + 20

    def tick() -> None:
        if begun.exists() or time.monotonic() > deadline:
            begun.unlink(missing_ok=True)
            raise StopIteration

    real = perform._watch

    def watch(*given: object) -> None:
        with suppress(StopIteration):
            real(*given)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(perform, "_watch", watch)
        return perform.perform(act, 0, stage, tick)


def test_an_act_gets_the_time_to_end_that_it_asks_for(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perform, "END_WITHIN", 0.1)
    seen = done(slow(tmp_path, 1, ending=20), stage)
    assert (seen.exit_code, seen.error) == (0, "")
    assert (tmp_path / "ended").exists()
    assert not (tmp_path / "healed").exists()


def test_what_an_act_that_is_killed_leaves_is_healed_before_anything_else(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perform, "END_WITHIN", 0.1)
    looked: list[bool] = []

    def observe() -> Observation:
        looked.append((tmp_path / "healed").exists())
        return Observation("blue")

    seen = done(slow(tmp_path, 30, ending=0.2), replace(stage, observe=observe))
    assert seen.exit_code == -signal.SIGKILL
    assert not (tmp_path / "ended").exists()
    assert looked == [False, True]


def test_an_act_that_leaves_no_record_is_healed_too(tmp_path: Path, stage: Stage) -> None:
    act = replace(
        slow(tmp_path, 0, ending=1), program=(sys.executable, "-c", "raise SystemExit(1)")
    )
    assert perform.perform(act, 0, stage, lambda: None).exit_code == 1
    assert (tmp_path / "healed").exists()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As a command of ours: signals raise."""
    was = {how: signal.getsignal(how) for how in (signal.SIGINT, signal.SIGTERM)}
    interrupt.install()
    yield
    for how, handler in was.items():
        signal.signal(how, handler)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_does_not_leave_an_act_that_is_still_ending(
    tmp_path: Path, stage: Stage
) -> None:
    main = threading.main_thread().ident
    assert main is not None
    again = threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT))
    begun = tmp_path / "begun"

    def tick() -> None:
        if begun.exists():
            begun.unlink()
            again.start()
            raise interrupt.Interrupted

    with pytest.raises(interrupt.Interrupted):
        perform.perform(slow(tmp_path, 1, ending=20, timeout=20), 0, stage, tick)
    again.join()
    assert (tmp_path / "ended").exists()
