"""Figures as people read them."""

from __future__ import annotations

import math


def rate(bound: float) -> str:
    """A rate as people say it: as a share in percent, and as one in so many."""
    return f"{bound:.2g} (1 in {1 / bound:,.0f})" if 0 < bound < 1 else f"{bound:.0%}"


def milliseconds(value: float | None) -> str:
    """Milliseconds with three digits that matter, or as seconds; "none" where there are none."""
    if value is None or math.isnan(value):
        return "none"
    if value >= 1000:  # noqa: PLR2004 - a second
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"  # noqa: PLR2004


def number(value: float) -> str:
    """A count or a measure; a dash where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.1f}"  # noqa: PLR2004


def ratio(value: float) -> str:
    """A ratio; nothing where it means nothing."""
    return "" if math.isnan(value) else f"{value:.2f}"
