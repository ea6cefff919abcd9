"""What a version of an engine can: pure."""

from __future__ import annotations

import re

START_INTERVAL = (25, 0)
"""The engine that brought it: https://docs.docker.com/reference/dockerfile/#healthcheck."""


def numbers(text: str) -> tuple[int, ...]:
    """The first two numbers of a version; none where it has not so many."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else ()


def newer(text: str, than: tuple[int, ...]) -> bool:
    """Whether a version is `than` or newer; not where it is not known."""
    return bool(numbers(text)) and numbers(text) >= than
