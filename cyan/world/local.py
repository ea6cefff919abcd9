"""This machine: a command of the user's own, run beside the deployer."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from cyan.world.host import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMED_OUT = 124  # as timeout(1) says it


def run(command: str, environment: Mapping[str, str], within: float) -> Output:
    """Run a shell command with more variables; ended after `within` seconds, with TIMED_OUT."""
    try:
        done = subprocess.run(  # noqa: S602 - the user's own command, written for a shell
            command,
            shell=True,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Output("", f"it was not done within {within:g} s", TIMED_OUT)
    return Output(done.stdout, done.stderr, done.returncode)
