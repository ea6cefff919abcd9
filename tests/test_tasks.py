"""What the tasks themselves decide: extras that are missing, hosts on which nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan import cli
from cyan.errors import UsageError
from cyan.tasks.evidence import _demos
from tests.proxies.test_front import adopted
from tests.rollout import worlds

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_extra_is_named_with_the_way_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cli.require("proof")
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "locust" else object())
    with pytest.raises(UsageError, match="locust is not installed") as caught:
        cli.require("proof")
    assert "cyan[proof]" in (caught.value.todo or "")
    cli.require("")


def test_what_needs_the_demo_is_not_done_with_an_adopted_application(tmp_path: Path) -> None:
    wanted = adopted(tmp_path)
    with pytest.raises(UsageError, match="this needs the demo"):
        _demos(wanted)
    assert _demos(worlds.settings()) == worlds.settings()
