"""Whether a color is healthy, from what the engine and its door say: pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cyan.engines.containers import completed, lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.application.release import Release
    from cyan.engines.containers import Container
    from cyan.sections import HealthSettings


class State(StrEnum):
    """What one look at a color says."""

    PASSING = "passing"
    WAITING = "waiting"
    BROKEN = "broken"


@dataclass(frozen=True)
class Look:
    """One look: its state, the reason in words, and the services that it waits for."""

    state: State
    reason: str = ""
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a color's door answered to the ready path; `status` 0 and `error` where it did not."""

    status: int
    color: str = ""
    version: str = ""
    error: str = ""


def judge_containers(
    containers: Sequence[Container],
    services: Sequence[str],
    before: Sequence[Container] = (),
    *,
    restarts: int = 0,
) -> Look:
    """Judge what the engine says: a container that ended will not become healthy by waiting.

    `before` are those that the run found there, as they were: what they had survived by then is
    not held against them. So many `restarts` of the others are not, either: a service may have to
    begin again while what it depends on comes up. One that ran once, and well, has ended rightly.
    """
    well = completed(containers)
    known = {item.id: item for item in before}
    for item in containers:
        was = known.get(item.id)
        if item.oom_killed and not (was and was.oom_killed):
            return Look(State.BROKEN, f"{item.service} was killed for memory")
        if item.restarts > (was.restarts if was else restarts):
            said = f": {item.why}" if item.why else ""
            return Look(State.BROKEN, f"{item.service} ended and was restarted by the engine{said}")
        if item.state in ("exited", "dead") and item.id not in well:
            return Look(State.BROKEN, f"{item.service} exited with code {item.exit_code}")
    waiting = lacking(containers, services)
    if not waiting:
        return Look(State.PASSING)
    down = {item.service: item for item in containers if not item.up and item.id not in well}
    states = (f"{name} is {_state(down.get(name))}" for name in waiting)
    return Look(State.WAITING, ", ".join(states), waiting)


def judge_answer(
    answer: Answer, target: Release, public: str = "", *, below: int = 0, told: bool = True
) -> Look:
    """Judge what came through the door of the `public` service: 200, right color and version.

    With `below` any status below that will do. An application that is not `told` of its color does
    not say it; a version that it says by itself must be right.
    """
    if answer.status == 0:
        return Look(State.WAITING, f"its door does not answer: {answer.error}", (public,))
    if not (answer.status < below or answer.status == 200):  # noqa: PLR2004 - HTTP's own word
        return Look(State.WAITING, f"its door answers {answer.status}", (public,))
    if answer.version != target.version and (told or answer.version):
        found = answer.version or "no X-Version at all"
        return Look(State.BROKEN, f"the door answers as {found}, wanted {target.version}")
    if answer.color != target.color and told:
        found = answer.color or "no X-Color at all"
        return Look(State.BROKEN, f"the door answers as {found}, wanted {target.color}")
    return Look(State.PASSING)


def hopeless(look: Look, spent: float, settings: HealthSettings) -> bool:
    """Whether to give up after `spent` seconds: broken, or a service is past its own timeout.

    What passes has until the longest of the timeouts to do so often enough.
    """
    if look.state is State.PASSING:
        return spent >= max((settings.timeout, *settings.services.values()))
    limits = [settings.services.get(name, settings.timeout) for name in look.waiting]
    return look.state is State.BROKEN or spent >= min(limits, default=settings.timeout)


@dataclass(frozen=True)
class Streak:
    """Consecutive passes so far, and how often a streak was broken (flapping)."""

    passes: int = 0
    broken: int = 0
    last: Look = Look(State.WAITING, "nothing was seen yet")

    def after(self, look: Look) -> Streak:
        """The streak after one more look."""
        if look.state is State.PASSING:
            return Streak(self.passes + 1, self.broken, look)
        return Streak(0, self.broken + (self.passes > 0), look)

    @property
    def described(self) -> str:
        """Why it is not healthy yet: slow, or flapping."""
        reason = self.last.reason or "it passes, but not often enough in a row"
        times = "once" if self.broken == 1 else f"{self.broken} times"
        return f"{reason}; it passed and failed again {times}" if self.broken else reason


def _state(container: Container | None) -> str:
    if container is None:
        return "not there"
    return container.why or container.health or container.state
