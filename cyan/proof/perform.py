"""One act, done as an operator would: a process of the real command line, its output kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan import interrupt
from cyan.proof.history import Observation, Performed

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.proof.scenario import Act

POLL = 0.1
END_WITHIN = 15.0

Tick = Callable[[], None]


@dataclass(frozen=True)
class Stage:
    """Where acts are performed: the project's folder, where output goes, how to look around."""

    project: Path
    output: Path
    observe: Callable[[], Observation]
    command: tuple[str, ...]


def perform(act: Act, number: int, stage: Stage, tick: Tick, *, loaded: bool = True) -> Performed:
    """Prepare the act, do it, and look at the world before and after. `tick` runs meanwhile."""
    path = stage.output / f"{number + 1}-{re.sub(r'[^a-z0-9]+', '-', act.name.lower())}.log"
    fault = _prepared(act, stage, path, tick)
    before = stage.observe()
    begun = time.time_ns()
    words = (*(act.program or stage.command), *act.arguments)
    code = -1 if fault else _run(words, act, stage, path, tick)
    if code and not fault and act.heal:
        _run(act.heal, act, stage, path, tick)
    ended = time.time_ns()
    if code < 0 and not fault:
        fault = f"the command was ended by signal {-code}: it had {act.timeout:g} s"
    after = stage.observe()
    return Performed(act, begun, ended, code, before, after, loaded, fault)


def _prepared(act: Act, stage: Stage, path: Path, tick: Tick) -> str:
    """Do what must precede the act; the reason where that failed, else ""."""
    for arguments in act.prepare:
        code = _run((*stage.command, *arguments), act, stage, path, tick)
        if code:
            return f"the preparation “{' '.join(arguments)}” failed with exit code {code}"
    return ""


def _run(words: tuple[str, ...], act: Act, stage: Stage, path: Path, tick: Tick) -> int:
    """The exit code of the command; negative where a signal ended it."""
    with path.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            words,
            cwd=stage.project,
            env={**os.environ, **dict(act.environment)},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _watch(process, act.timeout, tick)
        finally:
            with interrupt.ignored(lambda: None):  # half ended, it would go on under nobody's eyes
                code = _end(process, act.ending)
        return code


def _watch(process: subprocess.Popen[bytes], timeout: float, tick: Tick) -> None:
    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        tick()
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL)


def _end(process: subprocess.Popen[bytes], within: float) -> int:
    """End the process if it still runs: asked first, then killed. Returns its exit code."""
    patience = {signal.SIGINT: within, signal.SIGTERM: END_WITHIN, signal.SIGKILL: END_WITHIN}
    for how, seconds in patience.items():
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    return process.wait()
