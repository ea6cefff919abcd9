"""What a step works with, and how it is told how a run goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cyan.hosts.session import Session, no_bar
from cyan.names import Kind
from cyan.releases.contents import hiding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cyan.application.secrets import Redaction
    from cyan.engines.containers import Container
    from cyan.hosts.session import Bar
    from cyan.names import Color
    from cyan.rollout.meeting import Member
    from cyan.rollout.planned import Plan, Step
    from cyan.rollout.probe import Probe


class Reporter(Protocol):
    """Who is told how a run goes on."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def step(self, step: Step) -> None:
        """A step begins."""

    def done(self, step: Step, seconds: float, says: str) -> None:
        """A step ended well."""

    def failed(self, step: Step, seconds: float) -> None:
        """A step failed; the error follows."""

    def bar(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A long transfer of `total` bytes; what is given is called with bytes as they go."""


@dataclass(frozen=True)
class Job(Session):
    """What a step works with: a session on the host, and the plan."""

    plan: Plan
    bar: Bar = no_bar  # shows how far a long transfer is
    reports: Path | None = None  # where the folder of a failure goes
    begun: float = 0.0  # wall seconds of the host
    probe: Probe | None = None  # who asks the site meanwhile
    fleet: Member | None = None  # its part in a fleet, if it is of one

    @property
    def called(self) -> str:
        """What names its run in a folder of reports, beside those of other hosts."""
        return f"{self.plan.run.id}-{self.fleet.name}" if self.fleet else self.plan.run.id

    def containers(self, color: Color) -> tuple[Container, ...]:
        """The containers of one color, as they are now."""
        return self.engine.containers(self.settings.app, color)

    @property
    def hide(self) -> Redaction:
        """What takes the target's secrets out of a text; read from the host each time."""
        contents = self.plan.contents
        brings = any(step.kind is Kind.FETCH for step in self.plan.steps) and not contents.again
        given = contents.secrets if brings else None
        return hiding(self.host, self.settings, self.plan.target.id, given)


@dataclass(frozen=True)
class Done:
    """How a step ended: a few words for the operator, figures for the journal, and warnings."""

    says: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
