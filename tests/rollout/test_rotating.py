"""What is asked before an unfinished run goes on, and whose lock a session takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.application.release import Release
from cyan.errors import UsageError
from cyan.hosts import session as turning
from cyan.journal.entries import parse
from cyan.names import Color, Kind
from cyan.releases.images import ServiceImage, dump
from cyan.rollout import plan as planning
from cyan.rollout import preparing
from cyan.sections import SecretsSettings
from tests.proxies.test_front import adopted
from tests.rollout.jobs import job
from tests.rollout.test_unfinished import AFTER, BEFORE, RESUME, found
from tests.rollout.worlds import V1_ON_BLUE, settings
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.hosts.look import Observation
    from cyan.rollout.planned import Plan

OUT_OF_REACH = SecretsSettings(command="echo the vault is locked >&2; exit 1")


def resumed(folder: Path, world: Observation, *kept: str) -> Plan:
    """The plan of a resume, with the named files of the release on the host."""
    mine = job(
        folder, world, planning.undoing(found(world), world, settings()), secrets=OUT_OF_REACH
    )
    release = folder / "app/releases/r2"
    release.mkdir(parents=True)
    for name in kept:
        (release / name).write_text(dump(()) if name == "images.json" else "A='b'\n")
    return preparing.prepare(mine.host, mine.settings, world, RESUME)


@pytest.mark.parametrize(
    ("world", "kept"),
    [(BEFORE, ("compose.yml", ".env", "images.json", "secrets.env")), (AFTER, ())],
)
def test_a_run_that_had_fetched_is_resumed_without_the_sources_of_its_secrets(
    tmp_path: Path, world: Observation, kept: tuple[str, ...]
) -> None:
    plan = resumed(tmp_path, world, *kept)
    assert Kind.FETCH not in {step.kind for step in plan.steps}


def test_a_run_that_had_not_fetched_asks_for_its_secrets(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cyan\.secrets\.command"):
        resumed(tmp_path, BEFORE, "compose.yml", ".env")


@pytest.mark.parametrize("doing", ["deploy v2", "cleanup", "reset", "migrate.expand"])
def test_whose_lock_is_taken_over_is_told_and_journalled_whatever_is_done_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    mine = job(tmp_path, V1_ON_BLUE, planning.undoing(found(BEFORE), BEFORE, settings()))
    monkeypatch.setattr(turning, "Host", lambda _machine: mine.host)
    monkeypatch.setattr(turning, "Engine", lambda _host: mine.engine)
    monkeypatch.setattr(turning, "look", lambda *_words: V1_ON_BLUE)
    dead = '{"who": "bob", "machine": "desk", "since": 1.0, "doing": "deploy v1"}'
    (tmp_path / "app/lock").write_text(dead)
    told: list[str] = []
    for _ in range(2):  # the second finds a lock that was given back in order
        with turning.session(mine.settings, mine.settings.hosts[0], doing, told.append, 0):
            pass
    (entry,) = parse((tmp_path / "app/journal.jsonl").read_text())
    assert entry.detail["text"] == told[0]
    assert told == [entry.detail["text"]]
    assert "took over the lock of bob@desk doing 'deploy v1'" in told[0]
    assert entry.what == doing.partition(" ")[0]


def test_what_a_release_ran_is_found_where_it_comes_back_in_the_other_color(tmp_path: Path) -> None:
    wanted = adopted(tmp_path).model_copy(update={"directory": tmp_path})
    folder = tmp_path / "releases/r0"
    folder.mkdir(parents=True)
    for name in ("compose.yml", ".env", "secrets.env"):
        (folder / name).write_text("")
    (folder / "images.json").write_text(dump((ServiceImage("web-blue", "shop:v0", "sha256:1"),)))
    back = Release("r0", "v0", Color.BLUE)
    host = Machine(tmp_path).host
    request, _ = preparing._again(host, wanted, V1_ON_BLUE, back, RESUME)
    assert [each.service for each in request.contents.images] == ["web-green"]
