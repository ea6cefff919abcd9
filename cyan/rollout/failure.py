"""What is kept of a failure: the containers' last words, how they were made, what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.world.compose import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cyan.rollout.steps import Job
    from cyan.world.engine import Container

SHOWN = 15  # lines of a log in the message
KEPT = 500  # lines of a log in the folder
CLOCK = 0.2  # seconds that our idea of the host's clock may be ahead of it


@dataclass(frozen=True)
class Evidence:
    """What containers left: `text` for the message, `files` by name for the folder."""

    text: str = ""
    files: tuple[tuple[str, str], ...] = ()


def gather(job: Job) -> Evidence:
    """Read what will be gone when the target's containers are removed. Raises nothing.

    Where it has none (yet), how the live color's are made, and what happened.
    """
    try:
        ours = [each for each in job.containers(job.plan.target.color) if _is_targets(job, each)]
        logs = {item.name: job.engine.logs(item.id, KEPT).rstrip() for item in ours}
        live = job.world.live
        shown = ours or (job.containers(live) if live else ())
        made = [(f"{item.name}.json", job.engine.described(item.id)) for item in shown]
        events = job.engine.events(job.settings.app, job.world.now, job.world.clock() - CLOCK)
    except HostError as error:
        return Evidence(f"(no logs: {error.what})")
    failing = [item for item in ours if not item.up] or [
        item for item in ours if item.service == job.settings.public.service
    ]
    files = [(f"{name}.log", f"{text}\n") for name, text in logs.items()]
    text = "\n".join(_shown(item, logs[item.name]) for item in failing)
    return Evidence(text, (*files, *made, ("events.jsonl", events)))


def keep(job: Job, evidence: Evidence, said: str, folder: Path, hide: Callable[[str], str]) -> None:
    """Write the folder: what was said, the evidence, the run's lines of the journal.

    `hide` takes secrets out of every text. Raises OSError where this machine cannot write it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = (("error.txt", said), ("journal.jsonl", _journal(job)), *evidence.files)
    for name, text in files:
        (folder / name).write_text(hide(text), encoding="utf-8")


def _is_targets(job: Job, item: Container) -> bool:
    return item.release == job.plan.target.id


def _shown(item: Container, log: str) -> str:
    last = "\n".join(log.splitlines()[-SHOWN:])
    head = f"--- {item.name} ({item.health or item.state}), "
    return head + (f"last {SHOWN} lines\n{last}" if last else "printed nothing")


def _journal(job: Job) -> str:
    """The run's lines, as far as the host still answers."""
    path = quoted_path(job.settings.directory, "journal.jsonl")
    wanted = quoted_path(json.dumps(job.plan.run.id))
    try:
        return job.host.run(f"grep -F {wanted} {path}", check=False).stdout
    except HostError as error:
        return f"(the host does not answer: {error.what})\n"
