"""Where the hosts of a fleet wait for each other, while the same run goes on on each of them.

Each host's steps are run by a thread of its own. What every host must have come to before one of
them begins a step is that step's `Level`. Until the commit a failure on any host ends the run on
all, and nothing was switched; after it the run only goes forward, but for one that turns out to be
no good, which all switch back from together.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from cyan.errors import CyanError, DeployError, HostError
from cyan.names import Kind, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cyan.world.host import Output

TOGETHER = 15.0  # seconds that those who switch back wait for each other


class Level(IntEnum):
    """How far a host has come."""

    JOINED = 0
    LOOKED = 1  # its preflight found nothing
    BROUGHT = 2  # it has images and files, and the database has what the release needs
    STARTED = 3  # its part of the new color was begun: on a swarm one host begins it for all
    PREPARED = 4  # everything is done that users cannot notice
    ARMED = 5  # one word is left to switch it
    SWITCHED = 6
    BAKED = 7  # the new color stays; the old one may be stopped
    ENDED = 8


LEVELS = {
    Kind.PREFLIGHT: Level.JOINED,
    Kind.CLEAR: Level.LOOKED,
    Kind.FETCH: Level.LOOKED,
    Kind.EXPAND: Level.LOOKED,
    Kind.CREATE: Level.BROUGHT,
    Kind.START: Level.BROUGHT,
    Kind.HEALTHY: Level.STARTED,
    Kind.SMOKE: Level.STARTED,
    Kind.HOLD: Level.PREPARED,
    Kind.SWITCH: Level.PREPARED,
    Kind.RETIRE: Level.BAKED,
    Kind.RETAIN: Level.BAKED,
    Kind.PRUNE: Level.BAKED,
}
"""What all hosts must have come to before one of them begins a step; of others, what it has."""


class ElsewhereError(DeployError):
    """The run ends here because of what happened on another host."""


class BehindError(DeployError):
    """The run was committed and is not through on every host: the next command finishes it."""


class Waiting(Protocol):
    """A command that waits on a host for its word: `cyan.journal.armed`."""

    def go(self) -> None:
        """Have it run. Raises HostError."""

    def said(self) -> Output:
        """What it printed. Raises HostError."""

    def close(self) -> None:
        """Let go of it."""


@dataclass
class _Round:
    """Commands that are released together."""

    armed: dict[str, Waiting] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    lost: dict[str, HostError] = field(default_factory=dict)
    released: bool = False


class Meeting:
    """What the hosts of one run know of each other.

    `switching` are those that the run switches, `committed` says whether it was by an earlier
    deployer. `record` writes down what all of them do from then on, such as that they switch: it
    raises CyanError where it cannot, and nothing was begun.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        switching: Sequence[str],
        record: Callable[[str], None],
        *,
        committed: bool = False,
    ) -> None:
        self._turn = threading.Condition()
        self.hosts = tuple(hosts)
        self._levels = dict.fromkeys(hosts, Level.JOINED)
        self._switching = frozenset(switching)
        self._record = record
        self._rounds = {"commit": _Round(), "back": _Round()}
        self._first: BaseException | None = None
        self._heard: set[str] = set()
        self._empty: set[str] = set()  # those that send nobody to the target any more
        self.committed = committed
        self.off = ""  # why it ends on every host
        self.behind: dict[str, str] = {}  # hosts that the commit did not take along, and why
        self.renamed: dict[str, float] = {}  # when each was switched, by its clock
        self.offsets: dict[str, float] = {}  # seconds that each clock is ahead of ours

    @property
    def why(self) -> BaseException | None:
        """The error that ended it; None where none did."""
        return self._first

    @property
    def spread(self) -> float | None:
        """Seconds between the first switch and the last one; None where there are no two."""
        if len(self.renamed) < 2:  # noqa: PLR2004
            return None
        ours = [at - self.offsets.get(name, 0.0) for name, at in self.renamed.items()]
        return max(ours) - min(ours)

    def check(self) -> None:
        """Raise ElsewhereError where the run has ended on another host."""
        if self.off:
            raise ElsewhereError(self.off)

    def reach(self, who: str, level: Level) -> None:
        """Say that a host has come that far, and wait for the others.

        Raises ElsewhereError where the run ends meanwhile, BehindError where an old color is not
        to be stopped because a host did not follow.
        """
        with self._turn:
            self._levels[who] = max(self._levels[who], level)
            self._turn.notify_all()
            self._turn.wait_for(lambda: self.off or self._all(level))
            self.check()
            if level is Level.BAKED and self.behind:
                raise BehindError(
                    "; ".join(f"{name} did not follow: {why}" for name, why in self.behind.items())
                )

    def _all(self, level: Level) -> bool:
        there = (self._levels[each] for each in self._levels if each not in self.behind)
        return min(there, default=level) >= level

    def commit(self, who: str, command: Waiting) -> Output:
        """Switch a host by its armed command, at the same instant as the others.

        Raises ElsewhereError where nobody is switched, HostError where this one was lost.
        """
        with self._turn:
            self._rounds["commit"].armed[who] = command
            self._levels[who] = Level.ARMED
            self._turn.notify_all()
            self._turn.wait_for(
                lambda: (
                    self.off
                    or self._rounds["commit"].released
                    or self._rounds["commit"].armed.keys() >= self._switching - self.behind.keys()
                )
            )
            self.check()
            if not self._rounds["commit"].released:
                self._record("commit")  # where it cannot be written nothing is switched
                self.committed = True
                self._release(self._rounds["commit"])
        output = self._said(who, self._rounds["commit"])
        with self._turn:
            self.renamed[who] = float(output.stdout)
            self._levels[who] = Level.SWITCHED
            self._turn.notify_all()
        return output

    def back(self, who: str, command: Waiting) -> Output:
        """Switch a host back by its armed command, with all that were switched.

        Those that do not come in time are not waited for: users are served badly meanwhile.
        """
        mine = self._rounds["back"]
        with self._turn:
            mine.armed[who] = command
            self._turn.notify_all()
            self._turn.wait_for(
                lambda: mine.released or mine.armed.keys() >= self._going_back(), TOGETHER
            )
            self._release(mine)
        return self._said(who, mine)

    def _going_back(self) -> set[str]:
        ended = {each for each, level in self._levels.items() if level is Level.ENDED}
        return self._switched() - self.behind.keys() - ended

    def _switched(self) -> set[str]:
        """The hosts on which the new color is live, by this run or an earlier try of it."""
        return (self._levels.keys() - self._switching) | self.renamed.keys()

    def _release(self, one: _Round) -> None:
        """Give all that have come their word, each once."""
        one.released = True
        for name in one.armed.keys() - one.told:
            one.told.add(name)
            try:
                one.armed[name].go()
            except HostError as error:
                one.lost[name] = error
        self._turn.notify_all()

    @staticmethod
    def _said(who: str, one: _Round) -> Output:
        if who in one.lost:
            raise one.lost[who]
        return one.armed[who].said()

    def failed(self, who: str, kind: Kind, error: BaseException, *, lost: bool) -> None:
        """Say that a step failed on a host; `lost` where nothing can be done there any more.

        What becomes of the others: all end before the commit; after it only where it shows that
        the release is no good. A host that is lost, or that cannot follow, is left behind.
        """
        with self._turn:
            if who in self._heard or isinstance(error, ElsewhereError | BehindError):
                return
            self._heard.add(who)
            self._first = self._first or error
            what = getattr(error, "what", "") or str(error) or type(error).__name__
            held = kind.phase is Phase.PREPARE or who not in self._switched()
            if not self.committed:
                self._ends(f"{who} failed at {kind}: {what}")
            elif lost or held:
                self.behind[who] = what
            elif kind.reversible:
                self._ends(f"{who} went bad at {kind}: {what}")
            self._turn.notify_all()

    def _ends(self, why: str) -> None:
        if self.committed and not self.off:
            with suppress(CyanError):  # users first
                self._record("back")
        self.off = self.off or why

    def emptied(self, who: str, within: float) -> None:
        """Say that a host sends nobody to the target any more; wait for the others, some seconds.

        It is no host's own where they are of a swarm, and about to be removed.
        """
        with self._turn:
            self._empty.add(who)
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._unemptied() <= self.behind.keys(), within)

    def _unemptied(self) -> set[str]:
        ended = {each for each, level in self._levels.items() if level is Level.ENDED}
        return self._levels.keys() - self._empty - ended

    def stop(self, error: BaseException) -> None:
        """End it on all hosts: somebody wants it to end."""
        with self._turn:
            self._first = self._first or error
            self._ends("it was interrupted")
            self._turn.notify_all()

    def ends(self, who: str) -> None:
        """Say that nothing more is done on a host."""
        with self._turn:
            self._levels[who] = Level.ENDED
            self._turn.notify_all()


@dataclass(frozen=True)
class Member:
    """One host in a meeting."""

    meeting: Meeting
    name: str

    def before(self, kind: Kind) -> None:
        """Wait until the others have come as far as a step of that kind wants."""
        if kind in LEVELS:
            self.meeting.reach(self.name, LEVELS[kind])
