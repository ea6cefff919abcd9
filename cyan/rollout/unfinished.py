"""Runs whose deployer ended in their middle: what was under way, and what can be done now: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cyan.application.release import Release
from cyan.errors import DeployError
from cyan.journal.entries import Entry, Event
from cyan.names import Color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.hosts.look import Observation


class NothingLeftError(DeployError):
    """No deploy or rollback was left unfinished."""


@dataclass(frozen=True)
class Unfinished:
    """A run that was begun and never ended.

    `target` and `old` are None for a cleanup or a reset. `environment` holds the names of the
    variables that were given for the containers; `step` is the one under way, "" before the first.
    `fleet` are the hosts that it is to switch together, none where it is of one host only; `only`
    are the services that it replaces within the live color.
    """

    run: str
    what: str
    step: str
    fresh: bool = False
    target: Release | None = None
    old: Release | None = None
    environment: tuple[str, ...] = ()
    hold: bool = False
    fleet: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it was to do."""
        return f"{self.what} of {self.target}" if self.target else self.what

    def reached(self, world: Observation) -> bool:
        """Whether its target has the traffic: its switch was done, whatever the journal says."""
        target = self.target
        if target is None or (self.only and world.held):
            return False
        return world.live is target.color and world.release(world.live) == target.id

    def holds(self, world: Observation) -> bool:
        """Whether the world is still where the run left it: its old or its target release lives."""
        if self.reached(world):
            return True
        if self.old is None:
            return world.live is None
        known = (self.old.id, "", *((self.target.id,) if self.only and self.target else ()))
        return world.live is self.old.color and world.release(world.live) in known

    def left(self, world: Observation) -> bool:
        """Whether containers that it started are there, without the traffic."""
        if self.target is None or self.reached(world):
            return False
        return any(item.release == self.target.id for item in world.of(self.target.color))


def find(journal: Sequence[Entry]) -> Unfinished | None:
    """The newest run of a journal, if it never ended; notes are no part of a run."""
    entries = [entry for entry in journal if entry.event is not Event.NOTE]
    if not entries or entries[-1].event is Event.END:
        return None
    last = entries[-1]
    run = [entry for entry in entries if entry.run == last.run]
    begin = next((entry for entry in reversed(run) if entry.event is Event.BEGIN), last)
    unfinished = Unfinished(last.run, last.what, last.step)
    if last.what not in ("deploy", "rollback") or not begin.color:
        return unfinished
    return replace(
        unfinished,
        fresh=bool(begin.detail.get("fresh")),
        target=Release(begin.release, begin.version, Color(begin.color)),
        old=_release(begin.detail.get("old")),
        environment=tuple(begin.detail.get("environment", ())),
        hold=bool(begin.detail.get("hold")),
        fleet=tuple(begin.detail.get("fleet", ())),
        only=tuple(begin.detail.get("only", ())),
    )


def described(left: Unfinished, world: Observation) -> str:
    """What was under way, what serves now, and what each command would do."""
    step = f" in {left.step}" if left.step else " before its first step"
    killed = f"{left.title} was killed{step}; {world.serving} serves"
    if left.target is None:
        return f"{killed}; do it again: inv {left.what}"
    if not left.holds(world):
        return f"{killed}; the next deploy or rollback starts from what is there"
    if left.reached(world):
        back = f"goes back to {left.old}" if left.old else "gives back what it took, or cannot"
        return (
            f"{killed}; inv deploy --resume finishes it, --abort {back}; "
            "any deploy or rollback starts from what is there"
        )
    undone = "puts back what it replaced" if left.only else "removes what it started"
    return (
        f"{killed}; inv deploy --resume goes on with it, --abort {undone}; "
        "any deploy or rollback starts from what is there"
    )


def resumable(left: Unfinished | None, world: Observation) -> Unfinished:
    """The run, if it can be gone on with, or undone. Raises DeployError where it cannot."""
    if left is None or left.target is None:
        raise NothingLeftError(
            "no deploy or rollback was left unfinished here",
            serving=world.serving,
            todo=f"do it again: inv {left.what}" if left else "nothing is to be done: inv status",
        )
    if not left.holds(world):
        raise DeployError(
            f"{left.title} was left unfinished, but neither it nor what it began from is live now",
            serving=world.serving,
            todo="deploy the version you want; that starts from what is there",
        )
    return left


def caught_up(world: Observation) -> Entry | None:
    """The line that the journal lacks where a deployer was killed just after a rename.

    None where the newest switch of the journal is the live release's, or requests wait: what then
    runs serves nobody yet. Without it, a later rollback would take a release for the previous one
    that is not.
    """
    release = world.release(world.live)
    switches = world.switches
    if (
        world.live is None
        or world.held
        or not release
        or (switches and switches[-1].release == release)
    ):
        return None
    left = find(world.journal)
    reached = left is not None and left.reached(world)
    returned = not reached and len(switches) > 1 and switches[-2].release == release
    return Entry(
        at=0.0,
        run=left.run if left else release,
        what=left.what if left else "deploy",
        event=Event.NOTE,
        step="switch-back" if returned else "switch",
        color=world.live,
        version=world.version(world.live),
        release=release,
        detail={"text": f"found {world.serving} live, which no line here told"},
    )


def _release(told: object) -> Release | None:
    if not isinstance(told, dict):
        return None
    return Release(str(told["id"]), str(told["version"]), Color(told["color"]))
