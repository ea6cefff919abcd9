"""What the proxy says of a dropped request: how much it wrote, for how long, from which color."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cyan.proof.proxylog import Line, lines_of

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = "00000000000000aa", "00000000000000bb"


def line(number: str, **more: object) -> str:
    """A line as Caddy writes it."""
    said = {"level": "info", "request": {"headers": {"X-Request-Id": [number]}}, "status": 200}
    return json.dumps(said | more, separators=(",", ":")) + "\n"


def test_only_the_requests_that_are_asked_about_are_told_of(tmp_path: Path) -> None:
    answered = {"size": 500, "duration": 0.012, "resp_headers": {"X-Color": ["blue"]}}
    text = line(ONE, **answered) + line(OTHER) + '{"torn": {"X-Request-Id":["' + ONE + '"]'
    (tmp_path / "proxy.jsonl").write_text(text)
    assert lines_of(tmp_path / "proxy.jsonl", [ONE]) == {ONE: Line(500, 0.012, "blue")}
    assert lines_of(tmp_path / "proxy.jsonl", [OTHER]) == {OTHER: Line(0, 0.0, "")}


def test_a_log_that_is_missing_tells_of_nothing(tmp_path: Path) -> None:
    assert lines_of(tmp_path / "proxy.jsonl", [ONE]) == {}


@pytest.mark.parametrize(
    ("said", "promised", "sentence"),
    [
        (Line(500, 0.012, "blue"), 1000, "wrote 500 of 1,000 bytes in 12 ms, from blue"),
        (Line(1000, 0.012, "blue"), 1000, "wrote 1,000 bytes in 12 ms, from blue"),
        (Line(0, 2.0004, ""), -1, "wrote 0 bytes in 2,000 ms, from no color"),
    ],
)
def test_a_proxy_that_wrote_less_than_was_promised_says_so(
    said: Line, promised: int, sentence: str
) -> None:
    assert said.sentence(promised) == sentence
