"""What goes along with a release is there, and is no data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cyan.errors import UsageError
from cyan.releases import mounted

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_there_and_small_goes_along(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.html").write_text("x")
    (tmp_path / "web.toml").write_text("y")
    mounted.check(tmp_path, ("pages", "web.toml"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"web\.toml is mounted, and is not in"):
        mounted.check(tmp_path, ("web.toml",))


def test_data_is_refused_by_the_worst_of_it(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x")
    (tmp_path / "videos").mkdir()
    with (tmp_path / "videos/one").open("wb") as sparse:
        sparse.truncate(mounted.MOST + 1)
    with pytest.raises(UsageError, match="videos is mounted and holds 64 MiB"):
        mounted.check(tmp_path, ("small", "videos"))
