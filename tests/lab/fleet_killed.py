"""A deployer of a fleet that ends at a point of the commit: `fleet_killed.py POINT CUT WORDS...`.

before: the commit is written down; recorded: it is, and no host was told; between: one host was;
all: each was. lost: it lives, and the command CUT cuts the second host off before any is told.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from cyan.program import main
from cyan.rollout import meeting

if TYPE_CHECKING:
    from cyan.rollout.meeting import Meeting, _Round

POINT, CUT = sys.argv[1:3]
release = meeting.Meeting._release


def killed(self: Meeting, one: _Round) -> None:
    """Release them, up to the point."""
    if POINT == "recorded":
        os.kill(os.getpid(), signal.SIGKILL)
    if POINT == "between":
        next(iter(one.armed.values())).go()
        time.sleep(0.2)  # it has the word
        os.kill(os.getpid(), signal.SIGKILL)
    if POINT == "lost":
        subprocess.run(CUT.split(), check=True)
    release(self, one)
    if POINT == "all":
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    meeting.Meeting._release = killed  # type: ignore[method-assign]
    if POINT == "before":
        original = meeting.Meeting.commit

        def commit(self: Meeting, who: str, command: meeting.Waiting) -> object:
            """The last one to come ends all."""
            if len(self._rounds["commit"].armed) == len(self.hosts) - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, who, command)

        meeting.Meeting.commit = commit  # type: ignore[method-assign,assignment]
    sys.argv = ["cyan", *sys.argv[3:]]
    main()
