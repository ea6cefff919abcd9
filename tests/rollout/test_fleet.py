"""Several hosts: what may go on on all of them, and what is told where one fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyan.errors import CyanError, DeployError, HostError
from cyan.rollout import fleet
from cyan.rollout.fleet import Standing, differ, difference, failed, flag, refuse, standing
from cyan.rollout.plan import Request
from cyan.sections import HostSettings
from tests.rollout.worlds import EMPTY, V1_ON_BLUE, V2_ON_GREEN, settings

DEPLOY = Request("deploy", "v2", "ann")
ROLLBACK = Request("rollback", "", "ann")
A = Standing("a", "v2", "v1", "green v2")
B = Standing("b", "v1", "v0", "blue v1")
C = Standing("c", "v1", "v0", "blue v1")
SILENT = Standing("c", silent="the host cannot be reached")


def test_a_host_stands_by_what_is_live_and_what_a_rollback_would_go_to() -> None:
    assert standing("a", V2_ON_GREEN) == Standing("a", "v2", "v1", V2_ON_GREEN.serving)
    assert standing("a", V1_ON_BLUE).back == ""
    assert standing("a", EMPTY).live == ""


def test_hosts_differ_where_one_rollback_would_not_take_all_to_one_version() -> None:
    assert not differ((B, C))
    assert differ((A, B))
    assert differ((A, replace(A, flag="b", back="v0")))
    assert differ((C, SILENT))
    assert difference((B, C)) == difference(()) == ""
    assert "a: green v2; before it v1" in difference((A, B))


def test_a_rollback_of_hosts_that_differ_is_refused_with_how_each_stands() -> None:
    refuse(ROLLBACK, (B, C))
    with pytest.raises(DeployError, match="the hosts differ, so rollback was begun on none") as it:
        refuse(ROLLBACK, (A, B))
    assert "a: green v2; before it v1" in it.value.serving
    assert "b: blue v1; before it v0" in it.value.serving
    assert "inv rollback --host a" in it.value.todo
    assert "inv rollback --host b" in it.value.todo


@pytest.mark.parametrize("request_", [DEPLOY, ROLLBACK])
def test_nothing_is_begun_on_any_host_where_one_does_not_answer(request_: Request) -> None:
    with pytest.raises(DeployError, match=r"c cannot be looked at, so .* was begun on none") as it:
        refuse(request_, (B, SILENT))
    assert "c: unknown, the host cannot be reached" in it.value.serving
    assert f"inv {request_.title.replace(' ', ' --version ')} --host b" in it.value.todo
    assert "--host c" not in it.value.todo


def test_a_deploy_of_hosts_that_differ_makes_them_the_same_and_is_not_refused() -> None:
    refuse(DEPLOY, (A, B))


def test_a_failure_on_the_second_host_tells_of_each_how_it_stands_and_what_is_next_there() -> None:
    error = HostError("it broke", todo="mend it")
    told = failed(DEPLOY, (A, B, C), 1, error)
    assert (told.what, told.where) == ("it broke", "b")
    assert told.serving.split(fleet.LINE) == [f"{A} (done)", f"{B} (failed)", f"{C} (not tried)"]
    assert told.todo.split(fleet.LINE) == [
        "mend it",
        "to take a back: inv rollback --host a",
        "inv deploy --version v2 --host b",
        "inv deploy --version v2 --host c",
    ]
    left = replace(B, left="deploy of v2")
    cut_off = failed(DEPLOY, (A, left, SILENT), 1, KeyboardInterrupt())
    assert cut_off.what == "it was interrupted"
    assert "inv deploy --resume --host b, or --abort" in cut_off.todo
    assert "c: unknown, the host cannot be reached (not tried)" in cut_off.serving


def test_the_error_of_one_host_alone_is_its_own() -> None:
    error, mine = CyanError("it broke"), settings()
    assert fleet.failure(mine, mine.hosts, DEPLOY, 0, error) is error


def test_hosts_of_one_address_are_told_apart_by_their_whole_name() -> None:
    a, b = (HostSettings(address="10.0.0.1", port=port, user="ann") for port in (22, 2222))
    c = HostSettings(address="10.0.0.2", user="ann")
    assert [flag(each, (a, b, c)) for each in (a, c)] == ["ann@10.0.0.1:22", "10.0.0.2"]
