"""cyan with one thing broken on purpose: `python broken_cyan.py HOW WORDS…`.

Each way is what a plausible mistake would do. The chaos runs that are made with them must fail.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cyan import cli, program
from cyan.engines import compose
from cyan.journal import lock
from cyan.names import Kind
from cyan.proxies import markers
from cyan.rollout import rotating, undo
from cyan.rollout.job import Done, Job
from cyan.rollout.steps import ACTIONS
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.rollout.planned import Step


def forgets_the_lock() -> None:
    lock.HOLDER = lock.HOLDER.replace("flock -w 1 9 ||", "true ||")


def never_frees_the_lock() -> None:
    """Something that it started on the host keeps it."""
    keeper = "exec 9>>lock\nsetsid sleep 60 >/dev/null 2>&1 </dev/null &\necho $! >keeper\n"
    lock.HOLDER = lock.HOLDER.replace("exec 9>>lock\n", keeper)


def switches_before_health() -> None:
    for kind in (Kind.HEALTHY, Kind.SMOKE):
        ACTIONS[kind] = lambda _job, _step: Done("surely")


def skips_the_drain() -> None:
    """And stops the old color at once."""

    def stop(job: Job, step: Step) -> Done:
        job.host.run(compose.down(job.settings.project(step.color), 0))
        return Done("gone")

    ACTIONS[Kind.DRAIN] = stop
    ACTIONS[Kind.BAKE] = lambda _job, _step: Done("surely")


def leaves_what_it_started() -> None:
    undo._leave = lambda job, least=0, *, worked=False: ""  # noqa: ARG005 - in place of one with these


def restarts_the_live_color() -> None:
    """As `docker compose up` of everything would."""
    start = ACTIONS[Kind.START]

    def restart(job: Job, step: Step) -> Done:
        for item in job.containers(step.color.other):
            job.host.run(f"docker restart -t 1 {item.id}")
        return start(job, step)

    ACTIONS[Kind.START] = restart


def leaves_both_markers() -> None:
    def both(directory: str, source: str | None, target: str) -> str:  # noqa: ARG001
        return f"touch {quoted_path(directory, 'traffic', target)} && date +%s.%N"

    markers.switch_command = both


def swallows_its_failure() -> None:
    real = rotating.rotate

    def rotate(*words: Any, **more: Any) -> Any:
        try:
            return real(*words, **more)
        except Exception as error:  # noqa: BLE001 - that is the mistake
            sys.stdout.write(f"{error}\n")
            sys.exit(0)

    rotating.rotate = rotate


def says_nothing() -> None:
    cli._tell = lambda error: sys.exit(error.exit_code)


WAYS: dict[str, Callable[[], None]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        forgets_the_lock,
        never_frees_the_lock,
        switches_before_health,
        skips_the_drain,
        leaves_what_it_started,
        restarts_the_live_color,
        leaves_both_markers,
        swallows_its_failure,
        says_nothing,
    )
}

if __name__ == "__main__":
    WAYS[sys.argv.pop(1)]()
    program.main()
