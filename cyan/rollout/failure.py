"""What is kept of a failure: the containers' last words, how they were made, what happened."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.application.release import release_id
from cyan.application.secrets import Secrets
from cyan.engines.docker import Engine
from cyan.errors import CyanError, HostError, LockedError, UsageError
from cyan.journal import entries as journal
from cyan.rollout.unfinished import NothingLeftError
from cyan.world.envfile import parse_env_file
from cyan.world.host import Host
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cyan.engines.containers import Container
    from cyan.rollout.job import Job
    from cyan.sections import HostSettings
    from cyan.settings import Settings

SHOWN = 15  # lines of a log in the message
KEPT = 500  # lines of a log in the folder
SEPARATOR = "--cyan--"
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
        item for item in ours if item.service == job.plan.run.application.public.service
    ]
    files = [(f"{name}.log", f"{text}\n") for name, text in logs.items()]
    text = "\n".join(_shown(item, logs[item.name]) for item in failing)
    return Evidence(text, (*files, *made, ("events.jsonl", events)))


def keep(job: Job, evidence: Evidence, said: str, folder: Path, hide: Callable[[str], str]) -> None:
    """Write the folder: what was said, the evidence, the run's lines of the journal.

    `hide` takes secrets out of every text. Raises OSError where this machine cannot write it.
    """
    files = (("error.txt", said), ("journal.jsonl", _journal(job)), *evidence.files)
    _write(folder, [(name, hide(text)) for name, text in files])


@contextmanager
def kept(
    settings: Settings,
    machine: HostSettings,
    what: str,
    reports: Path,
    note: Callable[[str], None],
) -> Iterator[None]:
    """Around what is no rotation: where it fails, a folder of `reports` tells the same of it.

    Nothing is kept of what was refused before anything was touched, or was interrupted.
    """
    began = time.monotonic()
    try:
        yield
    except (UsageError, LockedError, NothingLeftError):
        raise
    except CyanError as error:
        try:
            with Host(machine) as host:
                now = float(host.run("date +%s.%N").stdout)
                span = now - (time.monotonic() - began) - CLOCK, now
                hide = _secrets(host, settings).redacted
                files = [(name, hide(text)) for name, text in _all(host, settings, span)]
                folder = reports / f"{release_id(what, now)}-failed"
                _write(folder, [("error.txt", hide(f"{error}\n")), *files])
        except (Exception, KeyboardInterrupt) as bad:  # noqa: BLE001 - the failure is told all the same
            why = getattr(bad, "what", str(bad)) or "it was interrupted"
            note(f"nothing could be kept of this: {why}")
        else:
            note(f"logs, events and journal of this: {folder}")
        raise


def _all(host: Host, settings: Settings, span: tuple[float, float]) -> Iterator[tuple[str, str]]:
    """What every container left, and what happened in `span`, by file name."""
    engine, path = Engine(host), quoted_path(settings.directory, "journal.jsonl")
    lines = journal.parse(host.run(f"tail -n {KEPT} {path}", check=False).stdout)
    newest = (each for each in lines if each.at >= span[0])
    yield "journal.jsonl", "".join(f"{journal.dump(each)}\n" for each in newest)
    yield "events.jsonl", engine.events(settings.app, *span)
    for each in engine.containers(settings.app):
        yield f"{each.name}.log", engine.logs(each.id, KEPT)
        yield f"{each.name}.json", engine.described(each.id)


def _secrets(host: Host, settings: Settings) -> Secrets:
    """The secrets of every release and of the shared services. HostError if one is unreadable."""
    folder = quoted_path(settings.directory, "releases")
    each = f"[ ! -e secrets.env ] || {{ cat secrets.env && echo {SEPARATOR}; }}"
    inside = f'[ ! -e "$name" ] || (cd "$name" && {{ {each}; }}) || exit 1'
    command = f"cd {folder} && for name in ../shared $(ls -1); do {inside}; done"
    texts = host.run(command).stdout.split(f"{SEPARATOR}\n")
    values = (parse_env_file(text).items() for text in texts)
    return Secrets(tuple(value for release in values for value in release))


def _write(folder: Path, files: list[tuple[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files:
        (folder / name).write_text(text, encoding="utf-8")


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
