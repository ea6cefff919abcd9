"""Commands that may take long end with their deployer, and with the lock that they run under.

What is quick ends by itself before the next deployer looks (`cyan.journal.lock`). A migration, a
command of the user's or a pull may take minutes, in which nobody else could do anything, or hang.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cyan.journal.lock import Lock
    from cyan.world.host import Output, Sink

TICK = 0.5  # seconds between two looks for the lock's holder

KILL = "kill -- -$$"
"""Ends a command and all that it started: a guarded command is a group of processes of its own."""

WATCHED = """\
: >{mark}; {{ {command}
}} <&0 & job=$!
{{
  exec {{tick}}<> <(:)
  while kill -0 "$job"; do
    [ -e {mark} ] && {held} || {{ rm -f {mark}; {end}; }}
    read -rt {tick} -u "$tick" _
  done
}} </dev/null >/dev/null 2>&1 & watch=$!
wait "$job"; code=$?; kill "$watch"; wait "$watch" 2>/dev/null; rm -f {mark}; exit "$code"
"""
"""For bash. `mark` is there while nobody has let go of it."""


@dataclass(frozen=True)
class WhileHeld:
    """Runs commands under a lock, as the lock itself does.

    Where the lock's holder on the host is gone before a command has ended (its deployer was killed
    or cut off, or the lock was taken away), or its deployer was interrupted, `end` is run again and
    again until it has.
    """

    lock: Lock
    end: str = KILL

    def run(self, command: str, *, check: bool = True) -> Output:
        """As `Lock.run`."""
        with self._let_go():
            return self.lock.run(self._watched(command), check=check)

    def feed(self, command: str, write: Callable[[Sink], object], *, check: bool = True) -> Output:
        """As `Lock.feed`."""
        with self._let_go():
            return self.lock.feed(self._watched(command), write, check=check)

    @contextmanager
    def _let_go(self) -> Iterator[None]:
        """Have the command end where the block is interrupted, before anything is undone."""
        try:
            yield
        except KeyboardInterrupt:
            self.lock.let_go()
            raise

    def _watched(self, command: str) -> str:
        lock = self.lock
        return WATCHED.format(
            command=command, held=lock.held, mark=lock.mark, end=self.end, tick=TICK
        )
