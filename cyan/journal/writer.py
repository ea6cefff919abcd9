"""One run's lines in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyan.journal.entries import Entry, Event

if TYPE_CHECKING:
    from cyan.application.release import Release
    from cyan.journal.lock import Lock
    from cyan.names import Color


PUT_BACK = "put-back"
"""The step by which requests that waited go to the color that had made way."""


class Writer:
    """Writes the lines of one run, under the lock that it holds.

    `run` is the run's own name, `what` what it does, `target` the release that it makes live.
    """

    def __init__(self, lock: Lock, run: str, what: str, target: Release) -> None:
        self._lock = lock
        self._run = run
        self._what = what
        self._target = target

    def write(
        self,
        event: Event,
        step: str = "",
        color: Color | None = None,
        **detail: Any,  # noqa: ANN401
    ) -> None:
        """Append a line, stamped with the host's time; of the target's color unless given."""
        self._record(event, step, color or self._target.color, self._target, detail)

    def switches_back(self, old: Release) -> None:
        """Record that the traffic is about to go back to the old release."""
        self._record(Event.STEP, "switch-back", old.color, old, {})

    def switched_back(self, old: Release, renamed_at: float) -> None:
        """Record that the traffic went back to it, and when by the host's clock."""
        detail = {"from": self._target.color, "to": old.color, "renamed_at": renamed_at}
        self._record(Event.DONE, "switch-back", old.color, old, detail)

    def put_back(self, old: Release, renamed_at: float) -> None:
        """Record that what had waited went to the old release again, which had made way."""
        self._record(Event.DONE, PUT_BACK, old.color, old, {"renamed_at": renamed_at})

    def _record(
        self, event: Event, step: str, color: Color, release: Release, detail: dict[str, Any]
    ) -> None:
        self._lock.record(
            Entry(
                at=0.0,
                run=self._run,
                what=self._what,
                event=event,
                step=step,
                color=color,
                version=release.version,
                release=release.id,
                detail=detail,
            )
        )
