"""What a cleanup says where no color is live, before anything is touched."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from cyan.errors import DeployError
from cyan.rollout import removal
from tests.rollout.worlds import EMPTY, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.rollout.job import Reporter

REPORTER = cast("Reporter", SimpleNamespace(note=print))


@pytest.fixture(autouse=True)
def nothing_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def session(*_: Any) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(host=SimpleNamespace(name="here"), lock=None, world=EMPTY)

    monkeypatch.setattr(removal, "session", session)


def test_a_cron_job_s_cleanup_has_nothing_to_do_where_no_color_is_live() -> None:
    mine = settings()
    removed = removal.cleanup(mine, mine.hosts[0], REPORTER, expired=True)
    assert removed.what == "nothing: no color is live"


def test_an_operator_s_cleanup_is_told_that_no_color_is_live() -> None:
    mine = settings()
    with pytest.raises(DeployError, match="no color is live"):
        removal.cleanup(mine, mine.hosts[0], REPORTER)
