"""What an experiment calls: an extension of Chaos Toolkit, and what `inv chaos` itself runs.

Called in a project's folder, on the first of its hosts.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Config

from cyan.chaos import experiment, invariants
from cyan.chaos.catalogue import fault as made
from cyan.chaos.hands import Site
from cyan.chaos.scene import Scene
from cyan.configured import load
from cyan.proof.findings import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.settings import Settings

COMMAND = "CYAN_CHAOS_COMMAND"
"""The command line that is tried, where it is not cyan's own; the tests have broken ones."""

WITHIN = 30.0
POLL = 0.3

_scenes: list[Scene] = []


def scene() -> Scene:
    """The experiment of this process; made where it is first asked for."""
    if not _scenes:
        project = Path.cwd()
        settings = _settings(project)
        site = Site(settings, settings.hosts[0], project)
        _scenes.append(opened(site, Path(tempfile.mkdtemp(prefix="cyan-chaos-"))))
    return _scenes[0]


def opened(site: Site, folder: Path) -> Scene:
    """A scene whose commands print into `folder`."""
    command = tuple(os.environ.get(COMMAND, "").split())
    return Scene(site, folder, command) if command else Scene(site, folder)


def stage(folder: Path) -> Scene:
    """The experiment of this process, whose commands print into `folder`."""
    project = Path.cwd()
    settings = _settings(project)
    _scenes[:] = [opened(Site(settings, settings.hosts[0], project), folder)]
    return _scenes[0]


def whole() -> bool:
    """Whether one color is live, complete, and the one that answers; waits a little for it."""
    deadline = time.monotonic() + WITHIN
    while True:
        site = scene().site
        if not invariants.unwhole(site.world(), site.settings.stateless, site.settings.stateful):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)


def play(fault: str, version: str, values: Mapping[str, str] | None = None) -> bool:
    """Rotate with a fault. Raises NotInjectedError where the fault did not happen."""
    now = scene()
    now.before = now.site.world()
    try:
        made(fault, values).play(now, version)
    except (Exception, KeyboardInterrupt) as failure:
        now.error = f"{type(failure).__name__}: {failure}"  # Chaos Toolkit goes on after it
        raise
    return True


def heal(fault: str, values: Mapping[str, str] | None = None) -> bool:
    """Take a fault away, whoever injected it; whether it is gone."""
    scene().heal(made(fault, values))
    return not scene().unhealed


def healed(fault: str, values: Mapping[str, str] | None = None) -> bool:
    """Whether nothing of a fault is left."""
    return not made(fault, values).healed(scene().site)


def held(wanted: Mapping[str, Any]) -> str:
    """Which invariants do not hold of what was done so far; HELD where each does.

    Before anything was done they do. That the fault is healed is one of them. `wanted` is what
    must be seen, as the experiment has it. Raises ValueError, KeyError or TypeError for anything
    else.
    """
    expects = experiment.expected(wanted)
    now = scene()
    settings = now.site.settings
    if now.before is None:
        return experiment.HELD
    seen = now.record("", now.site.world())
    judged = invariants.judge(seen, expects, settings.stateless, settings.stateful)
    broken = [f"{each.name}: {each.text}" for each in judged if each.verdict is not Verdict.PASS]
    return "; ".join(broken) or experiment.HELD


def _settings(project: Path) -> Settings:
    """As `inv` reads them: invoke.yaml, then INVOKE_CYAN_*."""
    config = Config(project_location=project)
    config.load_project()
    config.load_shell_env()
    return load(config["cyan"], os.environ, project)
