"""Ctrl-C and SIGTERM, sent to this very process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cyan.interrupt import Interrupted, held_back, ignored, install

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)

CAUGHT_INSIDE_EXEC = """
import os, signal, sys
from cyan.interrupt import install
install()
try:
    exec("os.kill(os.getpid(), signal.SIGINT)\\nfor _ in range(1000): pass")
except KeyboardInterrupt:
    sys.exit(1)
"""


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    before = [signal.getsignal(each) for each in SIGNALS]
    install()
    yield
    for each, handler in zip(SIGNALS, before, strict=True):
        signal.signal(each, handler)


def interrupt(how: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), how)


@pytest.mark.parametrize("how", SIGNALS)
def test_both_signals_raise_the_same(how: int) -> None:
    with pytest.raises(Interrupted):
        interrupt(how)


def test_what_is_held_back_is_raised_after_the_block() -> None:
    done = []

    def work() -> None:
        with held_back():
            interrupt()
            done.append("the rest")

    with pytest.raises(Interrupted):
        work()
    assert done == ["the rest"]


def test_a_block_that_nobody_interrupts_ends_as_any() -> None:
    with held_back():
        pass
    with pytest.raises(Interrupted):
        interrupt()


def test_what_is_ignored_is_only_told() -> None:
    told: list[str] = []
    with ignored(lambda: told.append("again")):
        interrupt()
        interrupt(signal.SIGTERM)
    assert told == ["again", "again"]


def test_another_thread_holds_nothing_back() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with held_back():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with pytest.raises(Interrupted):
        interrupt()
    leave.set()
    thread.join()


def test_an_interruption_inside_exec_leaves_the_exit_code_to_us(tmp_path: Path) -> None:
    (tmp_path / "caught.py").write_text(CAUGHT_INSIDE_EXEC)
    path = os.pathsep.join((str(tmp_path), str(Path.cwd())))
    done = subprocess.run(
        [sys.executable, "-m", "caught"], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert done.returncode == 1
