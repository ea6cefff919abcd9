"""Ctrl-C and SIGTERM: one exception, held back where half a thing must not be done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Interrupted(KeyboardInterrupt):
    """Somebody wants this to end.

    A class of its own: after a KeyboardInterrupt proper in code that exec() runs, such as the
    dataclasses of an import, `python -m` ends by the signal whatever exit code is asked for.
    """


_holding: list[Callable[[], None]] = []
_elsewhere = threading.local()
_lost: list[bool] = []


def install() -> None:
    """From now on both signals raise Interrupted in the main thread."""
    _lost.clear()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)


def check() -> None:
    """Raise Interrupted if a signal came whose exception was lost.

    Raised in a finalizer, or in a callback of C code, it is only printed by Python. Of a thread
    that is `asked` otherwise, that is asked in its place: no signal is raised there.
    """
    ask = getattr(_elsewhere, "ask", None)
    if ask:
        ask()
    elif _lost and not _holding:
        raise Interrupted


@contextmanager
def asked(ask: Callable[[], None]) -> Iterator[None]:
    """Have `check` call `ask` during the block, in this thread."""
    _elsewhere.ask = ask
    try:
        yield
    finally:
        _elsewhere.ask = None


@contextmanager
def held_back() -> Iterator[None]:
    """Let the block end first; then raise Interrupted if a signal came meanwhile."""
    came: list[bool] = []
    with _holding_by(lambda: came.append(True)):
        yield
    if came:
        raise Interrupted


@contextmanager
def ignored(tell: Callable[[], None]) -> Iterator[None]:
    """Only `tell` of signals that come during the block."""
    with _holding_by(tell):
        yield


@contextmanager
def _holding_by(tell: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # no signal is raised there
        yield
        return
    _holding.append(tell)
    try:
        yield
    finally:
        _holding.pop()


def _interrupt(_signal: int, _frame: object) -> None:
    if not _holding:
        _lost.append(True)
        raise Interrupted
    _holding[-1]()
