from __future__ import annotations

import pytest

from tests.site.modules import site_module

inputs = site_module("inputs")


def test_an_order_is_an_item_and_a_whole_quantity() -> None:
    assert inputs.order_of(b'{"item": "tea", "quantity": 3}') == ("tea", 3)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"3",
        b'{"item": "tea"}',
        b'{"item": "", "quantity": 1}',
        b'{"item": " ", "quantity": 1}',
        b'{"item": 4, "quantity": 1}',
        b'{"item": "tea", "quantity": "1"}',
        b'{"item": "tea", "quantity": 1.5}',
        b'{"item": "tea", "quantity": true}',
        b'{"item": "tea", "quantity": -1}',
        b'{"item": "tea", "quantity": 2147483648}',
    ],
)
def test_what_is_not_an_order_is_refused(text: bytes) -> None:
    assert inputs.order_of(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [(None, 4.0), ("", 4.0), ("1.5", 1.5), ("-3", 0.0), ("inf", 9.0), ("1e9", 9.0)],
)
def test_a_number_stays_within_its_bounds(text: str | None, number: float) -> None:
    assert inputs.number_of(text, default=4, most=9) == number


@pytest.mark.parametrize("text", ["many", "nan"])
def test_what_is_no_number_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|convert"):
        inputs.number_of(text, default=4, most=9)
