"""What experiments leave that are dead: healed by others, and by nobody's signal ended."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.chaos import acted, judging
from cyan.chaos.specification import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.chaos.specification import Context

HEALING = 90.0  # seconds that the healing of one experiment may take


def heal_newest(context: Context) -> tuple[str, ...]:
    """Heal what the newest run with experiments left: it may have been killed. As `heal_all`."""
    found = sorted((context.project / "reports").glob(f"*/{judging.EXPERIMENTS}"))
    return tuple(line for path in found[-1:] for line in heal_all(path.parent, context))


def heal_all(folder: Path, context: Context) -> tuple[str, ...]:
    """Heal what the experiments of a run have left; which of it is still there, in words."""
    left = []
    with interrupt.ignored(lambda: context.console.print("what is broken is healed first")):
        for path in sorted((folder / judging.EXPERIMENTS).glob("*.yaml")):
            begun = path.with_suffix("").is_dir()
            seen = acted.load(path.with_suffix(".json"))
            if begun and seen.unhealed and not _healed(path, context.project):
                left.append(f"{path.stem} of {folder.name} could not be healed")
    for line in left:
        context.console.print(f"[red]unhealed[/]  {line}")
    return tuple(left)


def _healed(path: Path, project: Path) -> bool:
    """Heal one experiment, in a session of its own, where no Ctrl-C at a terminal gets."""
    words = (*PROGRAM, "--heal", str(path))
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(  # noqa: S603 - our own command line
            words, cwd=project, check=False, timeout=HEALING, start_new_session=True
        )
        return done.returncode == 0
    return False
