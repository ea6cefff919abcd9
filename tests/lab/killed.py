"""A deployer that kills itself at one step: `killed.py STEP before|after|stopped WORDS...`.

Stopped, it goes on with the step when it is sent SIGCONT.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from cyan.names import Kind
from cyan.program import main
from cyan.rollout.steps import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.rollout.job import Done, Job
    from cyan.rollout.planned import Step


def killed(action: Callable[[Job, Step], Done], when: str) -> Callable[[Job, Step], Done]:
    """The same action, and the end."""

    def run(job: Job, step: Step) -> Done:
        if when == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
            return action(job, step)
        if when == "after":
            action(job, step)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    return run


if __name__ == "__main__":
    kind, when, *words = sys.argv[1:]
    ACTIONS[Kind(kind)] = killed(ACTIONS[Kind(kind)], when)
    sys.argv = ["cyan", *words]
    main()
