"""What comes with cyan beside its code is found, and a file that is missing is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cyan.bundled import bundled, text_of
from cyan.errors import UsageError

PROJECT = Path(__file__).parent.parent
SHIPPED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
    "targets"
]["wheel"]["force-include"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_checkout_has_the_files_that_a_wheel_gets_copies_of(name: str) -> None:
    assert bundled(name) == PROJECT / name
    assert bundled(name).is_file()
    assert SHIPPED[name] == f"cyan/bundle/{name}"


def test_a_file_that_is_missing_is_named_with_its_setting_and_one_to_begin_with(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"the file of cyan\.caddyfile cannot be read") as caught:
        text_of(tmp_path / "Caddyfile", "cyan.caddyfile", "Caddyfile")
    assert str(PROJECT / "Caddyfile") in (caught.value.todo or "")
