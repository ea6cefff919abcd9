"""The verdict on several hosts: the worst of theirs, and never a pass where they differ."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from cyan.proof import several
from cyan.proof.findings import Verdict
from cyan.proof.history import SECOND, Clock, Container, History, Observation, Performed, Switch
from cyan.proof.load import Pace, together
from cyan.proof.roaming import Roamed
from cyan.proof.scenario import Act, Traffic
from cyan.proof.several import OfAll, OfHost
from cyan.proof.verdict import Judgement

if TYPE_CHECKING:
    from pathlib import Path

ACT = Act("deploy v2", ("deploy", "--version", "v2"), Traffic.SWITCH, "v2")


def live(version: str, color: str = "blue") -> Observation:
    return Observation(color, (Container("1", color, "web", version, "now"),))


def of_host(  # noqa: PLR0913 - one fault each
    host: str,
    verdict: Verdict = Verdict.PASS,
    *,
    version: str = "v2",
    at: float = 12.0,
    drops: tuple[str, ...] = (),
    switched: bool = True,
) -> OfHost:
    """A host on which one deploy was performed, with its rename `at` a second."""
    done = Performed(ACT, 10 * SECOND, 15 * SECOND, 0, live("v1"), live(version, "green"))
    ns = round(at * SECOND)
    switches = (Switch(ns - SECOND, ns, "blue", "green", version),) if switched else ()
    clock = Clock(0, SECOND // 1000)
    history = History((done,), (ACT.name,), 0, switches, load_ended_ns=30 * SECOND, clock=clock)
    sentence = f"what was found of {host}"
    judged = Judgement(verdict, sentence, 1000, drops, 0.01, (), (), history, {})
    return OfHost(host, f"20261127-{host}-verify", judged)


def judged(*hosts: OfHost, roamed: Roamed = Roamed(4, 900), sticky: bool = True) -> OfAll:  # noqa: B008 - frozen
    return several.judge(hosts, roamed, sticky=sticky)


@pytest.mark.parametrize(
    ("roamed", "sticky", "verdict"),
    [
        (Roamed(4, 900), True, Verdict.PASS),
        (Roamed(4, 900, back=1), True, Verdict.FAIL),
        (Roamed(4, 900, back=1), False, Verdict.PASS),
        (Roamed(4, 900, unknown=2), True, Verdict.UNKNOWN),
        (Roamed(4, 900, ("1.0 roam-1: status 502",)), False, Verdict.FAIL),
    ],
)
def test_a_user_of_all_hosts_is_answered_and_never_by_the_old_version_again_where_it_is_promised(
    roamed: Roamed, sticky: bool, verdict: Verdict
) -> None:
    found = judged(of_host("a"), of_host("b"), roamed=roamed, sticky=sticky)
    assert found.verdict is verdict
    assert (roamed.sentence in found.sentence) is (verdict is not Verdict.PASS)
    assert found.as_json()["roaming"]["back"] == roamed.back


def test_hosts_that_all_pass_pass_together_and_it_says_how_far_apart_they_switched() -> None:
    found = judged(of_host("a", at=12.0), of_host("b", at=12.004), of_host("c", at=12.001))
    assert found.verdict is Verdict.PASS
    assert (found.n, found.drops) == (3000, 0)
    assert found.sentence == (
        "Not one of 3,000 requests to 3 hosts, which switched within 4.0 ms of each other, was "
        "dropped in 1 act."
    )
    assert found.acts[0].spread_ms == pytest.approx(4.0)
    assert found.acts[0].clocks_ms == pytest.approx(2.0)
    assert found.bound == pytest.approx(3 / 3000, rel=0.01)  # the rule of three


def test_one_host_that_fails_fails_all_and_is_named() -> None:
    found = judged(of_host("a"), of_host("b", Verdict.FAIL, drops=("1", "2")))
    assert found.verdict is Verdict.FAIL
    assert found.sentence == (
        "2 of 2,000 requests were dropped. 1 of 2 hosts did not pass. b: what was found of b"
    )


def test_a_host_of_which_too_little_is_known_is_no_pass() -> None:
    found = judged(of_host("a", Verdict.UNKNOWN), of_host("b"))
    assert found.verdict is Verdict.UNKNOWN
    assert "a: what was found of a" in found.sentence


def test_hosts_that_an_act_left_with_different_versions_fail_though_each_one_passed() -> None:
    found = judged(of_host("a"), of_host("b", version="v1"))
    assert found.verdict is Verdict.FAIL
    assert found.sentence == "after “deploy v2” the hosts differ: a v2, b v1"


def test_an_act_that_did_not_switch_everywhere_has_no_distance() -> None:
    found = judged(of_host("a"), of_host("b", switched=False))
    assert math.isnan(found.acts[0].spread_ms)
    assert found.as_json()["acts"][0]["spread_ms"] is None
    assert found.sentence == "Not one of 2,000 requests to 2 hosts was dropped in 1 act."


def test_its_page_leads_to_the_page_of_each_host(tmp_path: Path) -> None:
    found = judged(of_host("a"), of_host("b", Verdict.FAIL, drops=("1",)))
    several.write(found, tmp_path / "20261127-fleet")
    text = (tmp_path / "20261127-fleet/report.html").read_text()
    assert 'href="../20261127-a-verify/report.html"' in text
    assert "what was found of b" in text
    told = json.loads((tmp_path / "20261127-fleet/verdict.json").read_text())
    assert told["schema"] == "cyan.fleet/1"
    assert [each["verdict"] for each in told["hosts"]] == ["pass", "fail"]


def test_several_swarms_are_told_of_as_one() -> None:
    assert together([Pace(1, 2, 3, 4, 5.0), Pace(10, 20, 30, 40, 3.0)]) == Pace(11, 22, 33, 44, 5.0)
