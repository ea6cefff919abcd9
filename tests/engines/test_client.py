"""In which version of its API an engine is spoken to."""

from __future__ import annotations

import pytest
from docker.constants import DEFAULT_DOCKER_API_VERSION

from cyan.engines.client import spoken

OURS = DEFAULT_DOCKER_API_VERSION


@pytest.mark.parametrize(
    ("newest", "oldest", "wanted"),
    [
        ("1.41", "1.12", "1.41"),  # engine 20.10, and Podman
        ("1.43", "1.12", "1.43"),  # 24
        (OURS, "1.24", OURS),
        ("1.52", "1.44", OURS),  # 29, which refuses 1.41
        ("1.60", "1.50", "1.50"),  # one to come, which will refuse what we know
        ("1.43", "", "1.43"),
    ],
)
def test_an_engine_is_spoken_to_in_the_newest_version_that_both_know(
    newest: str, oldest: str, wanted: str
) -> None:
    assert spoken(newest, oldest) == wanted
