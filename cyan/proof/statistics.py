"""What a count is worth: exact bounds, gaps, detection power, latency. Pure functions on arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.int64]
"""Wall-clock nanoseconds, in any order."""

QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)
MILLISECOND = 1e6


def upper_bound(drops: int, n: int, confidence: float = 0.95) -> float:
    """The one-sided exact upper bound of a rate of which `drops` in `n` were seen; 1 where n = 0.

    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the
    case of the binomial", Biometrika 26 (1934) 404-413: the bound is the quantile `confidence` of
    Beta(drops + 1, n - drops). With no drop it is 1 - (1 - confidence) ** (1 / n), about 3 / n:
    the rule of three, J. A. Hanley and A. Lippman-Hand, "If nothing goes wrong, is everything all
    right? Interpreting zero numerators", JAMA 249 (1983) 1743-1745.
    """
    if not 0 <= drops <= n:
        msg = f"{drops} drops in {n} requests"
        raise ValueError(msg)
    if drops == n:
        return 1.0
    if drops == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    from scipy.special import betaincinv  # noqa: PLC0415 - scipy is heavy and rarely needed

    return float(betaincinv(drops + 1, n - drops, confidence))


def needed(bound: float, confidence: float = 0.95) -> int:
    """How many requests without a drop claim a rate under `bound` (Clopper-Pearson, no drop)."""
    if not 0 < bound < 1:
        msg = f"a bound lies between 0 and 1, not at {bound}"
        raise ValueError(msg)
    return math.ceil(math.log1p(-confidence) / math.log1p(-bound))


def longest_interval(instants: Instants, start_ns: int, end_ns: int) -> int:
    """The longest stretch of [start, end] without an instant, in ns; its edges count as instants.

    Of the instants of success this is the longest gap between successes. Of the instants of
    sending it is what we call the detection power (a definition of our own): an outage of
    everything that lasts longer meets a send and is seen, a shorter one could hide.
    """
    if end_ns <= start_ns:
        return 0
    inside = np.sort(instants[(instants >= start_ns) & (instants <= end_ns)])
    return int(np.diff(np.concatenate(([start_ns], inside, [end_ns]))).max())


def control_interval(
    instants: Instants, length_ns: int, steady: tuple[tuple[int, int], ...]
) -> tuple[int, int]:
    """The longest stretch without an instant in a window of `length_ns` that holds no act.

    Taken from the start of the longest steady stretch. Returns that gap and the window's length,
    both in ns; the length is smaller than wanted where no steady stretch is long enough.
    """
    if not steady:
        return 0, 0
    start, end = max(steady, key=lambda edges: edges[1] - edges[0])
    end = min(end, start + length_ns)
    return longest_interval(instants, start, end), end - start


@dataclass(frozen=True)
class Latency:
    """Quantiles of one set of requests, in milliseconds; NaN where n = 0.

    `raw` is counted from sending, `corrected` from when the request was due, so that a stall of
    the client or of the site before it cannot hide (coordinated omission: G. Tene, "How NOT to
    measure latency", 2013).
    """

    n: int
    raw: dict[str, float]
    corrected: dict[str, float]


def latency(due_ns: Instants, sent_ns: Instants, end_ns: Instants) -> Latency:
    """The latency of requests that were answered."""
    return Latency(
        n=len(end_ns), raw=quantiles(end_ns - sent_ns), corrected=quantiles(end_ns - due_ns)
    )


def quantiles(durations_ns: Any) -> dict[str, float]:  # noqa: ANN401 - any array of numbers
    """Milliseconds by name: p50, p90, p99, p99.9, max."""
    names = ("p50", "p90", "p99", "p99.9", "max")
    values = np.asarray(durations_ns)
    if not len(values):
        return dict.fromkeys(names, math.nan)
    found = np.quantile(values, QUANTILES) / MILLISECOND
    return dict(zip(names, (float(v) for v in found), strict=True))
