"""One experiment, as the process that an act is: `python -m cyan.chaos.run_experiment FILE RECORD`.

The rollbacks are done whatever happens, also where it is interrupted. What was seen goes to the
record; the exit code only says whether there is one. `--heal FILE` does only the rollbacks, for an
experiment whose own process could not: its exit code says whether the fault is gone, and where the
experiment left no record, there is one then.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.chaos import acted, actions, experiment
from cyan.errors import CyanError

if TYPE_CHECKING:
    from cyan.chaos.acted import Record
    from cyan.chaos.experiment import Activity, Experiment
    from cyan.chaos.scene import Scene
    from cyan.chaos.world import World


class DeviatedError(Exception):
    """A probe did not return what it tolerates."""


def perform(told: Experiment, scene: Scene) -> Record:
    """Carry out an experiment; what was seen of it."""
    error = ""
    try:
        _probe(told.hypothesis)
        for activity in told.method:
            _call(activity)
    except (Exception, KeyboardInterrupt) as failure:  # noqa: BLE001 - told, and then healed
        error = f"{type(failure).__name__}: {failure}"
    with interrupt.ignored(lambda: None):
        _roll_back(told)
        return scene.record(told.title, _seen(scene), error)


def heal(source: Path) -> str:
    """Do only the rollbacks of the experiment in a file; why its fault is still there, or ""."""
    target = source.with_suffix(".json")
    interrupt.install()
    with interrupt.ignored(lambda: None):
        told = experiment.read(source.read_text(encoding="utf-8"))
        scene = actions.stage(target.with_suffix(""))
        with scene.site:
            _roll_back(told)
        if not target.exists():
            seen = acted.load(target)
            seen = replace(seen, healed_ns=scene.healed_ns, unhealed=scene.unhealed)
            acted.save(seen, target)
        return scene.unhealed


def _roll_back(told: Experiment) -> None:
    """Do every rollback; what one raises is printed, and the scene knows what is unhealed."""
    for activity in told.rollbacks:
        try:
            _call(activity)
        except Exception as failure:  # noqa: BLE001 - the others are rolled back all the same
            sys.stdout.write(f"{activity.name} failed: {type(failure).__name__}: {failure}\n")


def _seen(scene: Scene) -> World | None:
    """The world, once it is whole or has had the time to be."""
    with suppress(CyanError):
        actions.whole()
        return scene.site.world()
    return None


def _probe(activities: tuple[Activity, ...]) -> None:
    for activity in activities:
        if _call(activity) != activity.tolerance:
            raise DeviatedError(f"before anything was done: {activity.name} is not so")


def _call(activity: Activity) -> object:
    return getattr(actions, activity.func)(**activity.arguments)


def main() -> int:
    """Read, carry out, keep the record."""
    if sys.argv[1] == "--heal":
        left = heal(Path(sys.argv[2]))
        sys.stdout.write(f"{left or 'healed'}\n")
        return 1 if left else 0
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    interrupt.install()
    begun = time.monotonic()
    told = experiment.read(source.read_text(encoding="utf-8"))
    folder = target.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    scene = actions.stage(folder)
    with scene.site:
        seen = perform(told, scene)
    acted.save(seen, target)
    for ran in seen.ran:
        sys.stdout.write(f"$ cyan {' '.join(ran.words)}\n{ran.output}\nexit code {ran.code}\n\n")
    sys.stdout.write(f"{seen.error or 'carried out'}, {time.monotonic() - begun:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
