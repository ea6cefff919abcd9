"""This machine: a command of the user's own, run beside the deployer."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cyan.world.host import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMED_OUT = 124  # as timeout(1) says it
LOOK = 0.02  # seconds between two looks for what is left
GRACE = 5.0  # seconds that it may take to end once it is asked to


def run(command: str, environment: Mapping[str, str], within: float) -> Output:
    """Run a shell command with more variables; ended after `within` seconds, with TIMED_OUT.

    All that it has started ends with it, also where we are interrupted.
    """
    with subprocess.Popen(  # noqa: S602 - the user's own command, written for a shell
        command,
        shell=True,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            _end(process)
            return Output("", f"it was not done within {within:g} s", TIMED_OUT)
        except BaseException:
            _end(process)
            raise
    return Output(stdout, stderr, process.returncode)


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and its whole group of processes; all of it has GRACE to do so."""
    for each in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, each)
        deadline = time.monotonic() + GRACE
        while _is_there(process) and time.monotonic() < deadline:
            time.sleep(LOOK)


def _is_there(process: subprocess.Popen[str]) -> bool:
    """Whether any process of its group is left."""
    process.poll()  # else it stays, as one that nobody has waited for
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
