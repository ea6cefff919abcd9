"""What is kept of a failure, wherever a rotation failed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self, cast

import pytest

from cyan.errors import DeployError, HostError, LockedError, UsageError
from cyan.journal.entries import Entry, Event, dump
from cyan.names import Color
from cyan.rollout import failure
from cyan.rollout import plan as planning
from cyan.rollout.planned import Request
from cyan.world.envfile import env_file
from cyan.world.host import Output
from tests.rollout.worlds import V1_ON_BLUE, V2_ON_GREEN, color, settings

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.engines.containers import Container
    from cyan.hosts.look import Observation
    from cyan.rollout.job import Job


def gathered(
    world: Observation, now: tuple[Container, ...], *, target: str = "", error: str = ""
) -> failure.Evidence:
    """What is gathered where these containers run when a deploy of `v3` fails."""
    mine = settings()
    plan = planning.deploy(Request("deploy", "v3", "ann"), world, mine, "")

    def containers(which: Color) -> tuple[Container, ...]:
        if error:
            raise HostError(error)
        found = tuple(each for each in now if each.color is which)
        return found or (color(which, "v3", plan.target.id, health=target) if target else ())

    engine = SimpleNamespace(
        logs=lambda name, _lines: f"{name} says",
        described=lambda name: f"{{{name}}}",
        events=lambda *_: "events",
    )
    job = SimpleNamespace(
        plan=plan, world=world, settings=mine, engine=engine, containers=containers
    )
    return failure.gather(cast("Job", job))


def test_the_targets_containers_are_kept_and_those_that_ail_are_shown() -> None:
    found = gathered(V1_ON_BLUE, V1_ON_BLUE.of(Color.BLUE), target="unhealthy")
    names = {name for name, _ in found.files}
    assert {"demo-green-rag-1.log", "demo-green-rag-1.json", "events.jsonl"} <= names
    assert "green-rag says" in found.text


@pytest.mark.parametrize("world", [V1_ON_BLUE, V2_ON_GREEN])
def test_before_the_target_has_containers_the_live_color_and_what_happened_are_kept(
    world: Observation,
) -> None:
    found = gathered(world, world.containers)
    live = f"demo-{world.live}"
    names = {f"{live}-{name}-1.json" for name in ("platform", "rag", "crawler")}
    assert {name for name, _ in found.files} == names | {"events.jsonl"}
    assert found.text == ""


def test_a_host_that_does_not_answer_is_told() -> None:
    assert gathered(V1_ON_BLUE, (), error="it is gone").text == "(no logs: it is gone)"


CONTAINERS = V1_ON_BLUE.containers
STORED = env_file({"TOKEN": "s3cr3t-value"})


class Deployed:
    """A host with one release, and its engine, in the place of the real ones."""

    def __init__(self, stored: str = STORED, *, gone: bool = False) -> None:
        self.gone = gone
        self.stored = stored
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is connected."""

    def run(self, command: str, *, check: bool = True) -> Output:
        self.asked.append(command)
        if self.gone or (check and self.stored == "unreadable" and "secrets.env" in command):
            raise HostError("it does not answer")
        if "secrets.env" in command:
            return Output(self.stored, "", 0)
        if command.startswith("date"):
            return Output("2000.5\n", "", 0)
        entries = (Entry(at, "r", "cleanup", Event.NOTE) for at in (9.0, 2000.4))
        return Output("".join(f"{dump(each)}\n" for each in entries), "", 0)

    @property
    def engine(self) -> SimpleNamespace:
        return SimpleNamespace(
            containers=lambda _app: CONTAINERS,
            logs=lambda name, _lines: f"{name} says s3cr3t-value",
            described=lambda _name: "{}",
            events=lambda _app, since, until: f"{until - since < 60}",
        )


def failing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Deployed, error: BaseException
) -> list[str]:
    """What is noted where something that is no rotation fails; the same error comes through."""
    notes: list[str] = []
    monkeypatch.setattr(failure, "Host", lambda _machine: host)
    monkeypatch.setattr(failure, "Engine", lambda _host: host.engine)
    mine = settings()
    around = failure.kept(mine, mine.hosts[0], "cleanup", tmp_path, notes.append)
    with pytest.raises(type(error)) as raised, around:
        raise error
    assert raised.value is error
    return notes


def test_what_fails_and_is_no_rotation_leaves_a_folder_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = failing(tmp_path, monkeypatch, Deployed(), DeployError("it broke at s3cr3t-value"))
    (folder,) = tmp_path.iterdir()
    assert folder.name == "19700101T003320.500Z-cleanup-failed"
    assert notes == [f"logs, events and journal of this: {folder}"]
    kept = {path.name: path.read_text() for path in folder.iterdir()}
    logs = {f"{each.name}.{kind}" for each in CONTAINERS for kind in ("log", "json")}
    assert kept.keys() == logs | {"error.txt", "journal.jsonl", "events.jsonl"}
    assert "s3cr3t-value" not in "".join(kept.values())
    assert kept["error.txt"] == "it broke at [secret TOKEN]\n"
    assert [json.loads(line)["at"] for line in kept["journal.jsonl"].splitlines()] == [2000.4]


@pytest.mark.parametrize("host", [Deployed(gone=True), Deployed("unreadable")])
def test_nothing_is_kept_where_the_host_is_gone_or_a_secret_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Deployed
) -> None:
    notes = failing(tmp_path, monkeypatch, host, DeployError("it broke"))
    assert notes == ["nothing could be kept of this: it does not answer"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [UsageError("no"), LockedError("no"), KeyboardInterrupt()])
def test_what_was_refused_or_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    host = Deployed()
    assert failing(tmp_path, monkeypatch, host, error) == []
    assert host.asked == []


def test_an_error_in_the_keeping_does_not_take_the_failure_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reports").write_text("a file")
    notes = failing(tmp_path / "reports", monkeypatch, Deployed(), DeployError("it broke"))
    assert notes[0].startswith("nothing could be kept of this: ")
