"""A host is prepared again without a word to the proxy that serves from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.configured import load
from cyan.rollout.provision import changed, provision
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
