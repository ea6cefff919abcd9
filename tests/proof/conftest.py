from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.proof.report import write_report
from tests.proof import synthetic

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def clean() -> synthetic.Run:
    """A clean run of 4,000 requests; frozen, so that tests may share it."""
    return synthetic.run()


@pytest.fixture(scope="session")
def passed(clean: synthetic.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(clean, tmp_path_factory.mktemp("passed"))


@pytest.fixture(scope="session")
def failed(clean: synthetic.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.proof.test_planted_drops import reset_of_a_write, stale  # noqa: PLC0415

    run, _ = reset_of_a_write(clean)
    run, _ = stale(run)
    return reported(run, tmp_path_factory.mktemp("failed"))


def reported(run: synthetic.Run, folder: Path) -> Path:
    synthetic.write(run, folder)
    (folder / "settings.json").write_text('{"load": {"seed": 1, "note": "</script><b>"}}')
    write_report(folder)
    return folder
