"""The evidence of an application that knows nothing of cyan: client, proxy, journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from cyan.errors import UsageError
from cyan.proof import checks, theirs
from cyan.proof.findings import Finding, Kind, Verdict
from cyan.proof.history import Observation
from cyan.proof.measures import drop_ids
from cyan.proof.verdict import basis

if TYPE_CHECKING:
    from tests.proof.synthetic import Run

BOUNDS: dict[str, Any] = {"required": ("proxy", "journal"), "methods": ("GET",)}


@pytest.fixture(scope="module")
def silent(clean: Run) -> Run:
    """The run, of an application whose answers name nothing and which leaves no log."""
    nothing = pd.Categorical([""] * len(clean.requests), [""])
    frame = clean.requests.assign(color=nothing, version=nothing, digest=np.int8(-1))
    proxy = clean.witnesses.proxy
    assert proxy is not None
    unnamed = pd.Categorical([""] * len(proxy), [""])
    kept = replace(clean.witnesses, proxy=proxy.assign(version=unnamed), application=None,
                   orders=None, jobs=None, job_runs=None, logs=())  # fmt: skip
    return replace(clean, requests=frame, witnesses=kept)


def troubles(run: Run) -> list[Finding]:
    found = checks.run_all(run.evidence(**BOUNDS))
    return [each for each in found if each.verdict is not Verdict.PASS]


def colored(run: Run, row: int, color: str) -> Run:
    """The run in which the proxy says that it asked another color for one request."""
    proxy = run.witnesses.proxy
    assert proxy is not None
    proxy = proxy.assign(color=proxy["color"].cat.add_categories(
        [color] if color not in proxy["color"].cat.categories else []))  # fmt: skip
    proxy.loc[proxy["id"] == run.requests["id"][row], "color"] = color
    return replace(run, witnesses=replace(run.witnesses, proxy=proxy))


def test_color_and_version_are_those_of_the_proxy_and_of_the_containers(
    silent: Run, clean: Run
) -> None:
    assert troubles(silent) == []
    frame = silent.evidence(**BOUNDS).requests
    assert (frame["color"].astype(str) == clean.requests["color"].astype(str)).all()
    assert (frame["version"].astype(str) == clean.requests["version"].astype(str)).mean() > 0.99


@pytest.mark.parametrize("color", ["green", "mauve"])
def test_who_was_asked_although_it_was_not_live_is_found(silent: Run, color: str) -> None:
    settled = silent.history.switches[1].done_ns + 200_000_000
    row = int(np.flatnonzero(silent.requests["sent_ns"] > settled)[0])
    (found,) = troubles(colored(silent, row, color))
    assert (found.kind, found.verdict, found.count) == (Kind.STALE, Verdict.FAIL, 1)


def test_what_the_proxy_has_lost_is_unknown_and_no_drop(silent: Run) -> None:
    proxy = silent.witnesses.proxy
    assert proxy is not None
    half = replace(silent.witnesses, proxy=proxy.iloc[: len(proxy) // 2])
    found = troubles(replace(silent, witnesses=half))
    assert {each.verdict for each in found} == {Verdict.UNKNOWN}
    assert drop_ids(found) == ()


def test_an_answer_that_ends_with_its_connection_is_unknown_and_a_chunked_one_is_not(
    silent: Run,
) -> None:
    row = int(np.flatnonzero(silent.requests["journey"] == "items")[0])
    assert troubles(silent.planted(row, framing="chunked", expected_bytes=-1)) == []
    (found,) = troubles(silent.planted(row, framing="close", expected_bytes=-1))
    assert (found.check, found.verdict) == ("answers measured", Verdict.UNKNOWN)


def test_a_chunked_answer_that_the_application_cut_is_found_by_the_proxy_s_errors(
    silent: Run,
) -> None:
    row = int(np.flatnonzero(silent.requests["journey"] == "items")[50])
    run = silent.planted(row, framing="chunked", expected_bytes=-1)
    told = run.witnesses.proxy
    assert told is not None
    ended = int(told["at_ns"][told["id"] == run.requests["id"][row]].iloc[0])
    near = replace(run.witnesses, aborted_ns=(ended - 300_000,))
    (found,) = troubles(replace(run, witnesses=near))
    assert (found.kind, found.verdict) == (Kind.TRUNCATED, Verdict.FAIL)
    assert found.ids == (f"{int(run.requests['id'][row]):016x}",)
    far = replace(run.witnesses, aborted_ns=(ended - 60_000_000,))
    assert troubles(replace(run, witnesses=far)) == []


def test_the_basis_says_what_nobody_looked_at() -> None:
    assert basis({"witnesses": ["proxy", "journal"]}) == (
        "on client and proxy; not looked at: what was executed twice, writes lost or doubled"
    )
    assert basis({"witnesses": ["proxy", "ledger", "journal"]}) == (
        "on client, proxy and ledger; not looked at: what was executed twice"
    )
    assert basis({}) == ""


def test_an_application_that_was_never_deployed_is_not_verified() -> None:
    theirs.live(Observation("blue"))
    with pytest.raises(UsageError, match="no release of cyan's is live yet"):
        theirs.live(Observation(""))
