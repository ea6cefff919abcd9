"""A host is prepared again without a word to the proxy that serves from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.configured import load
from cyan.errors import HostError
from cyan.hosts import joining
from cyan.rollout.provision import changed, provision
from tests.proxies.test_front import adopted
from tests.rollout.worlds import NAMES
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("runs", [True, False])
def test_the_caddyfile_of_a_proxy_that_runs_is_left_alone(tmp_path: Path, runs: bool) -> None:
    (tmp_path / "machine").mkdir()
    machine = Machine(tmp_path / "machine")
    if runs:
        (machine.folder / "docker").write_text(
            '#!/bin/sh\ncase "$*" in *"ps -q --status running proxy") echo c1 ;; esac\n'
        )
    (tmp_path / "stateful.yml").write_text("services: {}\n")
    (tmp_path / "Caddyfile").write_text("first\n")
    section = {
        "hosts": [{"address": "127.0.0.1", "user": "deploy"}],
        "directory": str(tmp_path / "app"),
        "caddyfile": str(tmp_path / "Caddyfile"),
        "compose": {"stateful": str(tmp_path / "stateful.yml")},
    }
    loaded = tmp_path / "app/shared/proxy/Caddyfile"
    loaded.parent.mkdir(parents=True)
    loaded.write_text("first\n")
    settings = load(NAMES | section, {}, tmp_path)
    assert "another" not in provision(machine.host, settings)
    (tmp_path / "Caddyfile").write_text("second\n")
    said = provision(machine.host, settings)
    assert loaded.read_text() == ("first\n" if runs else "second\n")
    assert ("inv proxy.reload loads it" in said) == runs


def test_what_compose_would_make_anew_is_told_by_service() -> None:
    made = "database demo-database-1\nproxy front\nold demo-old-1\n"
    tried = """\
 DRY-RUN MODE -  Container demo-database-1  Running
 DRY-RUN MODE -  Container front  Recreate
 DRY-RUN MODE -  Container front  Recreated
 DRY-RUN MODE -  Container 44c45825e65a_front  Starting
 DRY-RUN MODE -  Container demo-new-1  Creating
"""
    assert changed(tried, made) == ("proxy",)
    assert changed(tried, "") == changed("", made) == ()


def test_what_stands_in_an_adopted_applications_way_is_told_with_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join(*_: object) -> None:
        raise HostError("the proxy would not take its configuration")

    host = Machine(tmp_path).host
    monkeypatch.setattr(joining, "join", join)
    monkeypatch.setattr("cyan.rollout.provision.source_of", lambda *_: "{}")
    monkeypatch.setattr("cyan.releases.mounted.brought", lambda *_: ())
    wanted = adopted(tmp_path).model_copy(update={"directory": tmp_path / "app"})
    front = wanted.host_proxy.model_copy(update={"directory": tmp_path / "front"})
    with pytest.raises(HostError) as caught:
        provision(host, wanted.model_copy(update={"host_proxy": front}))
    assert caught.value.where == host.name
