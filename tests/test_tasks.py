"""What the tasks themselves decide: extras that are missing, hosts on which nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan import cli
from cyan.errors import UsageError
from cyan.rollout import fleet
from cyan.rollout.unfinished import NothingLeftError
from cyan.sections import HostSettings
from cyan.tasks.evidence import _demos
from cyan.tasks.rotation import _each_unfinished
from tests.proxies.test_front import adopted
from tests.rollout import worlds

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = tuple(HostSettings(address=f"192.0.2.{number}", user="ann") for number in (1, 2))


def test_a_missing_extra_is_named_with_the_way_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cli.require("proof")
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "locust" else object())
    with pytest.raises(UsageError, match="locust is not installed") as caught:
        cli.require("proof")
    assert "cyan[proof]" in (caught.value.todo or "")
    cli.require("")


@pytest.mark.parametrize("left_on", [0, 1, 2])
def test_that_nothing_is_left_is_an_error_only_where_it_is_so_on_every_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], left_on: int
) -> None:
    monkeypatch.setattr(fleet, "survey", lambda *_: ())
    monkeypatch.setattr(fleet, "difference", lambda _: "")
    went_on: list[HostSettings] = []

    def act(machine: HostSettings) -> None:
        if HOSTS.index(machine) >= left_on:
            raise NothingLeftError("nothing was left unfinished", serving="blue v1")
        went_on.append(machine)

    made = worlds.settings(hosts=HOSTS)
    if left_on == 0:
        with pytest.raises(NothingLeftError, match="nothing was left unfinished"):
            _each_unfinished(made, HOSTS, act)
    else:
        _each_unfinished(made, HOSTS, act)
    assert went_on == list(HOSTS[:left_on])
    assert capsys.readouterr().out.count("blue v1 serves") == len(HOSTS) - left_on


def test_what_needs_the_demo_is_not_done_with_an_adopted_application(tmp_path: Path) -> None:
    wanted = adopted(tmp_path)
    with pytest.raises(UsageError, match="this needs the demo"):
        _demos(wanted)
    assert _demos(worlds.settings()) == worlds.settings()
