"""What users send, read with care."""

from __future__ import annotations

import json
import math

LARGEST = 2**31 - 1  # PostgreSQL's integer


def order_of(text: bytes) -> tuple[str, int] | None:
    """Item and quantity of an order's JSON, or None where it is not one."""
    try:
        order = json.loads(text)
        item, quantity = order["item"], order["quantity"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(item, str) or not item.strip():
        return None
    if not isinstance(quantity, int) or isinstance(quantity, bool):
        return None
    return (item, quantity) if 0 <= quantity <= LARGEST else None


def number_of(text: str | None, *, default: float, most: float) -> float:
    """A number of a query between 0 and `most`, `default` where there is none.

    Raises ValueError for what is not a number.
    """
    number = float(text) if text else default
    if math.isnan(number):
        raise ValueError("not a number")
    return max(0.0, min(number, most))
