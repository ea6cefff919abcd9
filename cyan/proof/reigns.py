"""Who reigned when: a run's stretches, of each of which one release alone may answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyan.proof.history import History, Switch

    Numbers = npt.NDArray[np.int64]


def reigns_of(history: History) -> list[tuple[str, str]]:
    """Color and version of each reign in order; a version "" is any. None without a journal.

    Before the first switch under load it is what was live then, after each what that made live.
    """
    loaded = [item for item in history.performed if item.loaded]
    if not history.journal_present or not loaded:
        return []
    before = loaded[0].before
    return [(before.live, before.version), *((s.target, s.version) for s in _switches(history))]


def _switches(history: History) -> list[Switch]:
    """The switches under load."""
    return [switch for switch in history.switches if switch.done_ns > history.load_begun_ns]


def spans(
    requests: pd.DataFrame, history: History, uncertainty_ns: int, stale_ns: int
) -> tuple[Numbers, Numbers]:
    """The numbers of the first and the last reign in which each request was on its way.

    A switch is over `stale_ns` after it was done, and either end of it may be `uncertainty_ns` off.
    """
    switches = _switches(history)
    done = np.array([each.done_ns for each in switches], np.int64) + stale_ns + uncertainty_ns
    begun = np.array([each.begun_ns for each in switches], np.int64) - uncertainty_ns
    first = np.searchsorted(done, requests["sent_ns"].to_numpy(), side="left")
    last = np.searchsorted(begun, requests["end_ns"].to_numpy(), side="right")
    return first, np.maximum(first, last)


def versions(
    color: pd.Series[Any], history: History, span: tuple[Numbers, Numbers]
) -> pd.Series[Any]:
    """For each answer by its color the version that this color then had; "" where it had none.

    What containers say of themselves: for an application whose answers name no version.
    """
    reigns = reigns_of(history)
    names = ["", *dict.fromkeys(version for _, version in reigns if version)]
    codes = np.zeros(len(color), np.int64)
    first, last = span
    for number, (reigning, version) in enumerate(reigns):
        mine = (first <= number) & (number <= last) & (color == reigning).to_numpy()
        codes[mine] = names.index(version)
    return pd.Series(
        pd.Categorical.from_codes(codes, categories=pd.Index(names)), index=color.index
    )
