"""This machine in the place of a host, with an application's directory beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "machine").mkdir()
    (tmp_path / "app").mkdir()
    return Machine(tmp_path / "machine")
