"""What a command of the user's prints when it fails is told without the release's secrets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from cyan.application.secrets import Secrets
from cyan.engines.compose import Project
from cyan.engines.docker import Engine
from cyan.errors import DeployError
from cyan.journal.lock import Lock, Owner
from cyan.migrations import apply
from cyan.names import Kind
from cyan.releases.contents import Contents, hiding
from cyan.rollout import hooks, planned, smoking
from cyan.rollout import plan as planning
from cyan.rollout.job import Job
from cyan.rollout.planned import Request
from cyan.sections import HookSettings, SmokeCheck
from tests.rollout.worlds import V1_ON_BLUE, settings
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

PLANTED = "hunter22"
FAILS = f"echo it is {PLANTED}{{}}; echo {PLANTED} >&2; exit 3".format


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host with one release, whose secret is planted."""
    made = Machine(tmp_path)
    folder = tmp_path / "releases/r1"
    folder.mkdir(parents=True)
    (folder / "secrets.env").write_text(f"TOKEN='{PLANTED}'\n")
    return made


def test_a_failing_migration_command_does_not_tell_the_secrets_that_it_prints(
    machine: Machine,
) -> None:
    (machine.folder / "docker").write_text(f"#!/bin/sh\n{FAILS('')}\n")
    mine = settings().model_copy(update={"directory": machine.folder})
    once = Project("demo-blue", PurePosixPath("/srv")).once("contract", "platform", "true")
    with Lock(machine.host, str(machine.folder), Owner("ann", "laptop", 1.0, "it")) as lock:
        at = apply.Migrator(machine.host, mine, V1_ON_BLUE, lock)
        with pytest.raises(DeployError) as caught:
            apply.run_command(at, once, hiding(machine.host, mine, "r1"))
    assert "exit code 3: it is [secret TOKEN]\n[secret TOKEN]" in str(caught.value)


@pytest.mark.parametrize("kind", [Kind.SMOKE, Kind.SWITCH])
def test_a_failing_hook_does_not_tell_the_secrets_that_it_prints(
    machine: Machine, kind: Kind
) -> None:
    hook = HookSettings(after=kind, run=FAILS("x" * hooks.SHOWN))
    mine = settings(hooks=(hook,)).model_copy(update={"directory": machine.folder})
    plan = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, mine, "")
    contents = Contents(Secrets((("TOKEN", PLANTED),)))
    plan = replace(plan, run=replace(plan.run, contents=contents))
    with Lock(machine.host, str(machine.folder), Owner("ann", "laptop", 1.0, "it")) as lock:
        job = Job(machine.host, Engine(machine.host), lock, mine, V1_ON_BLUE, plan)
        step = planned.Step(kind, plan.target.color, "")
        try:
            (told,) = hooks.after(job, step)
        except DeployError as error:
            told = error.what
    assert "exit code 3" in told
    assert "[secret TOKEN]" in told
    assert PLANTED not in told


def test_a_failing_smoke_check_tells_no_part_of_a_secret_in_the_answer(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "answered 500, wanted 200: "
    body = "x" * (smoking.SHOWN - len(said) - 4) + PLANTED  # the message ends within the secret
    monkeypatch.setattr(smoking, "ask", lambda *_: smoking.Answer(500, body))
    mine = settings(smoke=(SmokeCheck(path="/"),)).model_copy(update={"directory": machine.folder})
    plan = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, mine, "")
    plan = replace(plan, run=replace(plan.run, contents=Contents(Secrets((("TOKEN", PLANTED),)))))
    with Lock(machine.host, str(machine.folder), Owner("ann", "laptop", 1.0, "it")) as lock:
        job = Job(machine.host, Engine(machine.host), lock, mine, V1_ON_BLUE, plan)
        with pytest.raises(DeployError) as caught:
            smoking.run(job, planned.Step(Kind.SMOKE, plan.target.color, ""))
    assert said in caught.value.what
    assert "hunt" not in caught.value.what


def test_where_the_secrets_cannot_be_read_what_others_wrote_is_withheld(machine: Machine) -> None:
    secrets = machine.folder / "releases/r1/secrets.env"
    secrets.unlink()
    secrets.mkdir()  # which root cannot read either
    mine = settings().model_copy(update={"directory": machine.folder})
    hide = hiding(machine.host, mine, "r1")
    assert PLANTED not in hide(f"a log with {PLANTED}")
    assert "withheld: it may hold the release's secrets, which are unknown: " in hide("a log")
    told = hide.message(f"v1 is healthy but fails smoke: /items: {PLANTED}")
    assert told.startswith("v1 is healthy but fails smoke: (withheld: ")
    assert PLANTED not in told
    assert hide.message("the SSH connection broke") == "the SSH connection broke"
    given = hiding(machine.host, mine, "r1", Secrets((("TOKEN", PLANTED),)))
    assert given(f"a log with {PLANTED}") == "a log with [secret TOKEN]"


def test_a_release_without_secrets_and_one_that_is_not_there_yet_hide_nothing(
    machine: Machine,
) -> None:
    (machine.folder / "releases/r2").mkdir()
    mine = settings().model_copy(update={"directory": machine.folder})
    assert hiding(machine.host, mine, "r2")("a log") == "a log"
    assert hiding(machine.host, mine, "r3")("a log") == "a log"
