"""A job on this machine in the place of a host: real files and commands, containers as told."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cyan.journal.lock import Lock, Owner
from cyan.journal.writer import Writer
from cyan.rollout.job import Job
from cyan.sections import DoorSettings, DrainSettings
from tests.rollout.worlds import settings
from tests.shell import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.engines.containers import Container
    from cyan.engines.docker import Engine
    from cyan.hosts.look import Observation
    from cyan.names import Color
    from cyan.rollout.planned import Plan


@dataclass
class Told:
    """An engine that says what it is told to."""

    found: tuple[Container, ...]

    def containers(self, _app: str, color: Color | None = None) -> tuple[Container, ...]:
        return tuple(item for item in self.found if color in (None, item.color))

    def logs(self, _container: str, _tail: int) -> str:
        return "the last words\n"

    def described(self, _container: str) -> str:
        return "{}"

    def events(self, _app: str, _since: float, _until: float) -> str:
        return ""


def job(folder: Path, world: Observation, plan: Plan, **changes: Any) -> Job:
    """A job in `folder`, whose markers are the world's. The caller enters its lock."""
    (folder / "app/traffic").mkdir(parents=True)
    (folder / "machine").mkdir()
    for name in world.markers:
        (folder / "app/traffic" / name).touch()
    machine = Machine(folder / "machine")
    quick = {"drain": DrainSettings(timeout=0.05, settle=0), **changes}
    made = settings(**quick).model_copy(update={"directory": folder / "app"})
    lock = Lock(machine.host, str(made.directory), Owner("ann", "laptop", 1.0, plan.run.what))
    engine = cast("Engine", Told(world.containers))
    return Job(machine.host, engine, lock, made, world, plan)


@contextmanager
def door(*statuses: int) -> Iterator[tuple[DoorSettings, list[str]]]:
    """Blue's door: it answers so, and at last 200; and the first lines of what it was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.requestline)
            self.send_response([*statuses, 200][min(len(asked) - 1, len(statuses))])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield DoorSettings(blue=server.server_port), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def writer(of: Job) -> Writer:
    """The journal for the lines of a job's plan."""
    run = of.plan.run
    return Writer(of.lock, run.id, run.what, run.target)


def docker_calls(of: Job) -> list[str]:
    """What docker was told to do, but for looking."""
    calls = cast("Machine", of.host).calls
    return [" ".join(call) for call in calls if call[0] == "compose"]


def markers(of: Job) -> set[str]:
    """The markers that exist."""
    return {path.name for path in Path(of.settings.directory, "traffic").iterdir()}
