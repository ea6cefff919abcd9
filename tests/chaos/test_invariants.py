"""The invariants: each is broken once, and found by its name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cyan.chaos import acted, invariants
from cyan.chaos.acted import Ran, Record
from cyan.chaos.fault import GONE, Expectation
from cyan.chaos.world import Piece, World
from cyan.proof.findings import Verdict
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ("platform", "rag", "crawler")


def pieces(color: str, version: str, **changes: str) -> tuple[Piece, ...]:
    def piece(service: str) -> Piece:
        made = Piece(
            color, service, version, "r1", f"{color}-{service}", "then", "running", "healthy"
        )
        return replace(made, **changes)

    return tuple(piece(service) for service in SERVICES)


BLUE = World(("blue",), ("blue", "v1"), pieces("blue", "v1"))
GREEN = World(("green",), ("green", "v2"), (*pieces("blue", "v1"), *pieces("green", "v2")))
FAILED = Expectation(Traffic.UNTOUCHED, ((1,),), ("not healthy",), standby=GONE)
GOOD = Record(
    "it", BLUE, BLUE, 1, 2, unhealed="", ran=(Ran(("deploy",), 1, "it was\nnot healthy"),)
)


def broken(seen: Record, expects: Expectation = FAILED) -> dict[str, Verdict]:
    held = invariants.judge(seen, expects, SERVICES)
    return {each.name: each.verdict for each in held if each.verdict is not Verdict.PASS}


def test_a_fault_that_left_what_it_should_breaks_nothing() -> None:
    assert broken(GOOD) == {}
    switched = replace(GOOD, after=GREEN, ran=(Ran(("deploy",), 0, ""),))
    assert broken(switched, Expectation(Traffic.SWITCH)) == {}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"unhealed": "still paused"}, "fault healed"),
        ({"ran": (Ran(("deploy",), 0, "not healthy"),)}, "deployer ended"),
        ({"ran": ()}, "deployer ended"),
        ({"ran": (Ran(("deploy",), 1, "not healthy", "did not end in 9 s"),)}, "deployer ended"),
        ({"ran": (Ran(("deploy",), 1, "oh dear"),)}, "deployer says"),
        ({"unserved": ("send: reset",)}, "its own clients served"),
        ({"after": replace(BLUE, owner="ann")}, "lock free"),
        ({"after": replace(BLUE, markers=("blue", "green"))}, "world whole"),
        ({"after": replace(BLUE, markers=())}, "world whole"),
        ({"after": replace(BLUE, answering=("green", "v1"))}, "world whole"),
        ({"after": replace(BLUE, answering=("blue", "v3"))}, "world whole"),
        ({"after": replace(BLUE, pieces=BLUE.pieces[1:])}, "world whole"),
        ({"after": replace(BLUE, pieces=pieces("blue", "v1", health="unhealthy"))}, "world whole"),
        (
            {"after": replace(BLUE, pieces=pieces("blue", "v1", started_at="now"))},
            "live color untouched",
        ),
        ({"after": replace(BLUE, pieces=(*GREEN.pieces,))}, "standby removed"),
    ],
)
def test_what_a_fault_must_not_leave_is_found_by_its_name(
    change: dict[str, Any], name: str
) -> None:
    assert broken(replace(GOOD, **change))[name] is Verdict.FAIL


def test_a_live_color_that_was_replaced_in_place_was_touched() -> None:
    other = replace(BLUE, pieces=pieces("blue", "v1", id="another"))
    assert "live color untouched" in broken(replace(GOOD, after=other))


@pytest.mark.parametrize("change", [{"error": "no"}, {"injected_ns": 0}, {"before": None}])
def test_of_a_fault_that_did_not_happen_only_what_must_always_hold_is_judged(
    change: dict[str, Any],
) -> None:
    tried = replace(GOOD, ran=(Ran(("deploy",), 3, "oh dear"),), **change)
    assert broken(tried) == {"fault injected": Verdict.UNKNOWN}
    two = replace(BLUE, markers=("blue", "green"), owner="ann")
    assert broken(replace(tried, unhealed="still there", after=two)) == {
        "fault injected": Verdict.UNKNOWN,
        "fault healed": Verdict.FAIL,
        "world whole": Verdict.FAIL,
        "lock free": Verdict.FAIL,
    }


def test_a_deployer_that_hangs_fails_also_where_its_fault_did_not_happen() -> None:
    hung = Ran(("deploy",), 1, "", "did not come to drain step in 120 s")
    seen = replace(GOOD, error="NotInjectedError", ran=(hung,))
    assert broken(seen) == {"fault injected": Verdict.UNKNOWN, "deployer ended": Verdict.FAIL}


def test_what_both_colors_share_must_be_up() -> None:
    (why,) = invariants.unwhole(BLUE, SERVICES, ("proxy",))
    assert why == "the shared proxy is not up"
    held = invariants.judge(GOOD, FAILED, SERVICES, ("proxy",))
    assert (why, Verdict.FAIL) in {(each.text, each.verdict) for each in held}


def test_a_world_that_cannot_be_looked_at_is_unknown() -> None:
    assert broken(replace(GOOD, after=None)) == {"world whole": Verdict.UNKNOWN}


def test_the_deploy_after_a_fault_must_leave_nothing_to_complain_of() -> None:
    (held,) = invariants.converged(replace(GOOD, after=replace(BLUE, drift=("two markers",))))
    assert (held.verdict, held.text) == (Verdict.FAIL, "two markers")
    (held,) = invariants.converged(GOOD)
    assert held.verdict is Verdict.PASS


def test_a_record_is_read_as_it_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    hung = Ran(("cleanup",), -9, "", "did not end in 9 s")
    seen = replace(GOOD, after=GREEN, unserved=("send: reset",), ran=(*GOOD.ran, hung))
    acted.save(seen, path)
    assert acted.load(path) == seen


def test_a_process_that_left_no_record_is_unknown_and_unhealed(tmp_path: Path) -> None:
    assert broken(acted.load(tmp_path / "it.json")) == {
        "fault injected": Verdict.UNKNOWN,
        "fault healed": Verdict.FAIL,
        "world whole": Verdict.UNKNOWN,
    }
