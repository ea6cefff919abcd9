"""The user's commands on the host end with their deployer, whatever process group they are in."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.engines.docker import Engine
from cyan.errors import DeployError, HostError
from cyan.journal import while_held
from cyan.journal.lock import Lock, Owner, take_away
from cyan.names import Kind
from cyan.rollout import hooks, planned
from cyan.rollout import plan as planning
from cyan.rollout.job import Job
from cyan.rollout.planned import Request
from cyan.sections import HookSettings
from tests.lab.harness import until
from tests.rollout.worlds import V1_ON_BLUE, settings
from tests.shell import Machine

if TYPE_CHECKING:
    import pytest


def test_a_hook_on_the_host_ends_once_its_lock_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(while_held, "TICK", 0.02)
    machine = Machine(tmp_path)
    run = f"cd {tmp_path}; (sleep 60; touch went-on) & echo $! >pid; wait"
    hook = HookSettings(before=Kind.SWITCH, run=run, where="host", within=50)
    mine = settings(hooks=(hook,)).model_copy(update={"directory": tmp_path})
    plan = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, mine, "")
    errors: list[Exception] = []

    def work(job: Job) -> None:
        try:
            hooks.before(job, planned.Step(Kind.SWITCH, plan.target.color, ""))
        except (DeployError, HostError) as error:
            errors.append(error)

    with Lock(machine.host, str(tmp_path), Owner("ann", "laptop", 1.0, "it")) as lock:
        job = Job(machine.host, Engine(machine.host), lock, mine, V1_ON_BLUE, plan)
        thread = threading.Thread(target=work, args=(job,))
        thread.start()
        until((tmp_path / "pid").exists, "the hook is at work")
        take_away(machine.host, str(tmp_path))
        thread.join(10)
    assert errors
    child = int((tmp_path / "pid").read_text())
    until(lambda: not _runs(child), "what the hook began has ended", 10)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
