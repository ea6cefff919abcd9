"""What the faults decide by themselves."""

from __future__ import annotations

import re

import pytest

from cyan.chaos.catalogue import fault
from cyan.chaos.faults.deployer import (
    AFTER,
    AT,
    BEFORE,
    Cut,
    Killed,
    RollbackKilled,
    apart,
    becomes,
)
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
    others = {
        Kind.CLEAR,
        Kind.CREATE,
        Kind.HOLD,
        Kind.STOP,
        Kind.TAKE_OVER,
        Kind.WORKERS,
        Kind.SCHEDULERS,
        Kind.RETIRE,
    }
    assert {order[step] for step in steps} == set(order) - others, "those of every demo's deploy"
    assert becomes("start done") is Traffic.UNTOUCHED
    assert becomes("switch step") is Traffic.EITHER
    assert becomes("switch done") is Traffic.SWITCH


def test_a_deployer_is_killed_before_and_after_every_step() -> None:
    moments = {*BEFORE, *AT, *AFTER}
    steps = {moment.split()[0] for moment in moments}
    late = {f"{step} done" for step in steps} - moments
    assert not late
    assert {f"{step} step" for step in steps} <= moments
    for moment in ("retain done", "prune done"):  # it may have ended before it can be killed
        assert fault("deployer-killed", {"moment": moment}).expects.exits == ((-9, 0),)


@pytest.mark.parametrize(
    ("moment", "traffic"),
    [
        ("preflight step", Traffic.SWITCH),  # only the deploy before it
        ("healthy done", Traffic.EITHER),
        ("switch step", Traffic.EITHER),
        ("switch done", Traffic.BACK),
        ("drain step", Traffic.BACK),
    ],
)
def test_a_rollback_that_is_killed_stands_at_what_it_had_done(
    moment: str, traffic: Traffic
) -> None:
    assert moment in RollbackKilled.choices["moment"]
    assert RollbackKilled({"moment": moment}).expects.traffic is traffic


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("failed at drain: the deploy lock was lost: Socket is closed", True),
        ("the SSH connection broke while a command ran (EOFError)", True),
        ("the journal could not be written: the connection is gone", True),
        ("blue did not become healthy: database: connection refused", False),
        ("the pool has 60 connections", False),
    ],
)
def test_only_what_is_said_of_a_lost_connection_counts_as_noticing_it(
    output: str, found: bool
) -> None:
    (says,) = Cut({"moment": "drain step"}).expects.says
    assert (re.search(says, output) is not None) is found


def test_a_deployer_whose_wire_is_cut_must_say_so_unless_it_may_have_ended() -> None:
    assert Cut({"moment": "drain step"}).expects.exits == ((1,),)
    assert "lock was lost" in Cut({"moment": "drain step"}).expects.says[0]
    assert Cut({"moment": "prune step"}).expects.exits == ((1, 0),)
    assert Killed({"moment": "drain step"}).expects.exits == ((-9,),)
