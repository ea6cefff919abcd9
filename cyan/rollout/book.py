"""One run's lines in the journal."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from cyan.journal import Entry, Event
from cyan.rollout import unfinished
from cyan.rollout.release import release_id

if TYPE_CHECKING:
    from cyan.names import Color
    from cyan.rollout.lock import Lock
    from cyan.rollout.observation import Observation
    from cyan.rollout.plan import Plan, Step
    from cyan.rollout.release import Release


def entry_of(
    world: Observation,
    what: str,
    event: Event,
    color: Color | None,
    **detail: Any,  # noqa: ANN401
) -> Entry:
    """A line about what is no rotation: `what` was done to the world, or to one color of it."""
    return Entry(
        at=0.0,
        run=release_id(what, world.now),
        what=what,
        event=event,
        color=color or "",
        version=world.version(color),
        release=world.release(color),
        detail=detail,
    )


class Book:
    """Writes the lines of one run, under the lock that it holds."""

    def __init__(self, lock: Lock, plan: Plan) -> None:
        self._lock = lock
        self._plan = plan

    def begin(self) -> None:
        """Write what is to be done, so that another can go on with it or undo it."""
        run = self._plan.run
        self.write(
            Event.BEGIN,
            plan=[{"kind": step.kind, "color": step.color} for step in self._plan.steps],
            old=asdict(run.old) if run.old else None,
            fresh=run.fresh,
            environment=run.environment,
        )

    def write(self, event: Event, step: Step | None = None, **detail: Any) -> None:  # noqa: ANN401
        """Append a line, stamped with the host's time."""
        self._lock.record(self._entry(event, step.kind if step else "", step, detail))

    def catch_up(self, world: Observation) -> None:
        """Write the line that a deployer who was killed just after a rename could not."""
        if missing := unfinished.caught_up(world):
            self._lock.record(missing)

    def switches_back(self, old: Release) -> None:
        """Record that the traffic is about to go back to the old release."""
        self._back(Event.STEP, old, {})

    def switched_back(self, old: Release, renamed_at: float) -> None:
        """Record that the traffic went back to it, and when by the host's clock."""
        source = self._plan.target.color
        detail = {"from": source, "to": old.color, "renamed_at": renamed_at}
        self._back(Event.DONE, old, detail)

    def _back(self, event: Event, old: Release, detail: dict[str, Any]) -> None:
        entry = self._entry(event, "switch-back", None, detail)
        self._lock.record(replace(entry, color=old.color, version=old.version, release=old.id))

    def _entry(self, event: Event, kind: str, step: Step | None, detail: dict[str, Any]) -> Entry:
        run = self._plan.run
        return Entry(
            at=0.0,
            run=run.id,
            what=run.what,
            event=event,
            step=kind,
            color=step.color if step else run.target.color,
            version=run.target.version,
            release=run.target.id,
            detail=detail,
        )
