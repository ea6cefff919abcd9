"""What the faults decide by themselves."""

from __future__ import annotations

import pytest

from cyan.chaos.faults.deployer import AFTER, AT, BEFORE, Cut, Killed, apart, becomes
from cyan.names import Kind
from cyan.proof.scenario import Traffic


@pytest.mark.parametrize(
    ("events", "were"),
    [
        ((), False),
        (("step", "done", "end"), False),
        (("begin", "step", "end"), False),
        (("step", "end", "begin", "step"), True),
    ],
)
def test_two_deploys_were_at_once_unless_one_ended_before_the_other_began(
    events: tuple[str, ...], were: bool
) -> None:
    assert apart(events) is were


def test_the_moments_of_a_kill_are_steps_in_the_order_of_a_deploy() -> None:
    order = [str(kind) for kind in Kind]
    steps = [order.index(moment.split()[0]) for moment in (*BEFORE, *AT, *AFTER)]
    assert steps == sorted(steps)
    assert {order[step] for step in steps} == set(order) - {Kind.CLEAR}
    assert becomes("start done") is Traffic.UNTOUCHED
    assert becomes("switch step") is Traffic.EITHER
    assert becomes("switch done") is Traffic.SWITCH


def test_a_deployer_whose_wire_is_cut_must_say_so_unless_it_may_have_ended() -> None:
    assert Cut({"moment": "drain step"}).expects.exits == ((1,),)
    assert "lock was lost" in Cut({"moment": "drain step"}).expects.says[0]
    assert Cut({"moment": "prune step"}).expects.exits == ((1, 0),)
    assert Killed({"moment": "drain step"}).expects.exits == ((-9,),)
