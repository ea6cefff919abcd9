"""The vocabulary of a plan: what is asked for, what a run is for, its steps in their order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cyan.releases.contents import EMPTY, Contents

if TYPE_CHECKING:
    from cyan.application.record import Application
    from cyan.application.release import Release
    from cyan.application.secrets import Secrets
    from cyan.names import Color, Kind, Strategy


@dataclass(frozen=True)
class Step:
    """One thing to do: what for, to which color, and the commands that it runs on the host.

    A step without commands asks the engine, the doors or the proxy; `says` tells what it wants.
    """

    kind: Kind
    color: Color
    says: str
    commands: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # (path on the host, text) that it writes first


@dataclass(frozen=True)
class Run:
    """What a plan is for: to make `target` live in the place of `old`, which is live before.

    `id` names it in the journal. `application` is what the target is deployed with, or was,
    `replaced` what the old release was, `grace` the seconds
    that its containers may take to end. `fresh` says whether containers are started, and not only
    the traffic moved. `environment` are the names of what the containers are given beside cyan's
    own, `forced` those of the checks of preflight that are overridden. With `hold` one color takes
    the other's place while requests wait: never are both up; `why` says so, or why not. With `only`
    these services of the live color are replaced in their place, and the color stays the same;
    `answers` is the version of the public service where that is not one of them.
    """

    what: str
    id: str
    target: Release
    old: Release | None
    fresh: bool
    application: Application
    replaced: Application
    grace: int
    environment: tuple[str, ...] = ()
    forced: tuple[str, ...] = ()
    contents: Contents = EMPTY
    hold: bool = False
    why: str = ""
    only: tuple[str, ...] = ()
    answers: str = ""

    @property
    def waits(self) -> bool:
        """Whether requests wait: not for what only takes work by itself."""
        return self.hold and bool(self.application.of_part(self.only).early)

    @property
    def asked(self) -> Release:
        """As which release the public service answers."""
        return replace(self.target, version=self.answers or self.target.version)

    @property
    def starts_all(self) -> bool:
        """Whether it, or an earlier try of it, starts every container of its target."""
        return self.id == self.target.id and not self.only


@dataclass(frozen=True)
class Plan:
    """A run and its steps, in their order."""

    run: Run
    steps: tuple[Step, ...]

    @property
    def target(self) -> Release:
        """The release that becomes live."""
        return self.run.target

    @property
    def old(self) -> Release | None:
        """The release that was live before."""
        return self.run.old

    @property
    def contents(self) -> Contents:
        """What the release's containers get that is nobody else's business."""
        return self.run.contents


@dataclass(frozen=True)
class Request:
    """What the operator asked for.

    `environment` goes to the release's containers, `forced` names checks that are overridden,
    `lock_wait` is how many seconds to wait for a lock that another holds. `run` names the run, on
    every host of a fleet alike; by the host's clock unless given.
    """

    what: str
    version: str
    by: str
    environment: tuple[tuple[str, str], ...] = ()
    forced: tuple[str, ...] = ()
    lock_wait: float = 0
    contents: Contents = EMPTY
    application: Application | None = None  # that of the settings, unless given
    rehearse: str = ""  # how it is made to fail on purpose: one of REHEARSED
    take_over: bool = False  # whether the ports of the application's own stack may be moved
    strategy: Strategy | None = None  # that of the settings, unless given
    hold: bool = False  # what that comes to: one color takes the other's place, requests wait
    why: str = ""  # it comes to that
    run: str = ""
    only: tuple[str, ...] = ()  # the services to replace, of those of the live color

    @property
    def title(self) -> str:
        """What is done, in two words."""
        return f"{self.what} {self.version}".strip()

    @property
    def names(self) -> tuple[str, ...]:
        """What the environment sets; its values may be nobody's business."""
        return tuple(name for name, _ in self.environment)

    def carrying(self, secrets: Secrets) -> Request:
        """The same request with secrets for the release's containers."""
        return replace(self, contents=Contents(secrets))
