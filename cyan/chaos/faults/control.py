"""Ways of deploying that are known to drop: a run that does not see it is worth nothing."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from cyan.chaos.fault import Expectation, Fault
from cyan.chaos.faults.engine import lifeless, revive
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from cyan.chaos.deploying import Deployer
    from cyan.chaos.hands import Site
    from cyan.chaos.scene import Scene

RELOADS = 6
TIMEOUT = re.compile(r"dial_timeout \S+")
ONLY = "it is a control"


class Control(Fault):
    """A control: no deployer is started."""

    group = "control"
    alone = ONLY

    @property
    def expects(self) -> Expectation:
        """Drops, which the one who asked for it looks for."""
        return Expectation(Traffic.EITHER, (), ())

    def play(self, scene: Scene, version: str) -> None:  # noqa: ARG002 - nothing is deployed
        """Only do it."""
        scene.inject(self)


class StopThenStart(Control):
    """The live color is stopped and started where it stands, as `docker compose` would."""

    name = "stop-then-start"

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Stop, start, wait."""
        project = site.settings.project(site.live())
        for words in (("stop", "--timeout", "5"), ("start",)):
            site.docker("compose", "-p", project, *words)
        site.until(lambda: bool(site.answering()[0]), "the live color answers again")

    def heal(self, site: Site) -> None:
        """Start what was stopped: who stopped it may have been killed."""
        revive(site)

    def healed(self, site: Site) -> str:
        """Whether everything that is there is up."""
        return lifeless(site)


class ReloadPerDeploy(Control):
    """The proxy is reloaded with a changed Caddyfile, again and again."""

    name = "reload-per-deploy"

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Reload with another timeout each time: an unchanged configuration is not loaded."""
        text = site.settings.caddyfile_text
        for number in range(RELOADS):
            self._load(site, TIMEOUT.sub(f"dial_timeout {number + 3}s", text))

    def heal(self, site: Site) -> None:
        """The configuration as it was."""
        self._load(site, site.settings.caddyfile_text)

    @staticmethod
    def _load(site: Site, text: str) -> None:
        proxy = site.container(site.settings.proxy).id
        reload = ("caddy", "reload", "--adapter", "caddyfile", "--config", "-")
        words = shlex.join(("docker", "exec", "-i", proxy, *reload))
        site.host.run(f"printf %s {shlex.quote(text)} | {words}")
