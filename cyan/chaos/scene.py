"""One experiment under way: its deployers, and when its fault was there."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from cyan.chaos.acted import UNTRIED, Ran, Record
from cyan.chaos.deploying import Command, Deployer, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cyan.chaos.hands import Site
    from cyan.chaos.world import World

COMMAND = (sys.executable, "-m", "cyan")
HEAL_WITHIN = 25.0
POLL = 0.2


class Injected(Protocol):
    """What is injected into a host, healed, and looked for afterwards."""

    def inject(self, site: Site, deployer: Deployer | None) -> None:
        """Make it happen."""

    def heal(self, site: Site) -> None:
        """Take it away."""

    def healed(self, site: Site) -> str:
        """Why it is not healed; "" where it is."""


class Scene:
    """What a fault is played in. `folder` takes the output of the commands."""

    def __init__(self, site: Site, folder: Path, command: tuple[str, ...] = COMMAND) -> None:
        self.site = site
        self._folder = folder
        self._command = command
        self._started: list[Deployer] = []
        self.before: World | None = None
        self.injected_ns = 0
        self.healed_ns = 0
        self.unhealed = UNTRIED
        self.unserved: tuple[str, ...] = ()
        self.error = ""

    @contextmanager
    def deployer(
        self,
        words: tuple[str, ...],
        environment: dict[str, str] | None = None,
        project: Path | None = None,
    ) -> Iterator[Deployer]:
        """A command of cyan's that is under way; ended where the block is left."""
        watch = Watch(self.site.host, str(self.site.settings.directory))
        output = self._folder / f"deployer-{len(self._started) + 1}.log"
        folder = project or self.site.project
        command = Command(self._command, words, folder, environment or {})
        made = Deployer(command, output, watch)
        self._started.append(made)
        with made:
            yield made

    def inject(self, fault: Injected, deployer: Deployer | None = None) -> None:
        """Inject a fault, and note when."""
        self.injected_ns = time.time_ns()
        fault.inject(self.site, deployer)

    def heal(self, fault: Injected) -> None:
        """Heal a fault, wait until it is, and note when; `unhealed` says where it is not.

        One that was healed while its deploy was under way keeps the time of that. Raises what the
        healing raises, and then the fault counts as unhealed.
        """
        again = self.healed_ns and not self.unhealed
        self.unhealed = "its healing was not ended"
        try:
            fault.heal(self.site)
            self.unhealed = self._remains(fault)
        except Exception as failure:
            self.unhealed = f"it could not be healed: {type(failure).__name__}: {failure}"
            raise
        if not again:
            self.healed_ns = time.time_ns()

    def _remains(self, fault: Injected) -> str:
        """Why a fault is still there although it had the time to go; "" where it is gone."""
        deadline = time.monotonic() + HEAL_WITHIN
        while (why := fault.healed(self.site)) and time.monotonic() < deadline:
            time.sleep(POLL)
        return why

    def record(self, title: str, after: World | None, error: str = "") -> Record:
        """What was seen so far, and the world `after` it; `error` is another's than the fault's."""
        return Record(
            experiment=title,
            before=self.before,
            after=after,
            injected_ns=self.injected_ns,
            healed_ns=self.healed_ns,
            unhealed=self.unhealed,
            ran=self.ran,
            unserved=self.unserved,
            error=self.error or error,
        )

    @property
    def ran(self) -> tuple[Ran, ...]:
        """What became of the commands."""
        return tuple(each.ran for each in self._started)
