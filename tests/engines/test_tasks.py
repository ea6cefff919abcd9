"""What Swarm says of its tasks, as the containers that they are to be."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cyan.engines import stack
from cyan.engines.containers import lacking
from cyan.engines.docker import _frames
from cyan.engines.tasks import UNTOLD, explained, found
from cyan.names import Color
from cyan.rollout.health import State, judge_containers

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.engines.containers import Container

NODES = [
    {"ID": "n1", "Status": {"State": "ready"}, "Description": {"Hostname": "one"}},
    {"ID": "n2", "Status": {"State": "down"}, "Description": {"Hostname": "two"}},
]


def spec(release: str = "r2") -> dict[str, Any]:
    labels = {"cyan.color": "blue", "cyan.service": "web", "cyan.version": "v2",
              "cyan.release": release, "cyan.by": "ann"}  # fmt: skip
    check = {"Test": ["CMD", "true"]}
    return {
        "ContainerSpec": {
            "Image": "shop/web:v2", "Labels": labels, "Healthcheck": check,
            "StopGracePeriod": 40_000_000_000,
        }
    }  # fmt: skip


def service(replicas: int | None = 2) -> dict[str, Any]:
    mode: dict[str, Any] = (
        {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}}
    )
    labels = {"com.docker.stack.namespace": "shop-blue"}
    return {
        "ID": "s1",
        "Spec": {
            "Name": "shop-blue_web-blue", "Labels": labels, "TaskTemplate": spec(), "Mode": mode,
        },
    }  # fmt: skip


def task(  # noqa: PLR0913, PLR0917 - what is told of one
    slot: int,
    state: str = "running",
    desired: str = "running",
    release: str = "r2",
    node: str = "n1",
    at: int = 1,
    err: str = "",
) -> dict[str, Any]:
    return {
        "ID": f"t{slot}{at}", "ServiceID": "s1", "Slot": slot, "NodeID": node,
        "Spec": spec(release), "DesiredState": desired, "CreatedAt": f"2026-11-27T00:00:0{at}Z",
        "Status": {
            "State": state, "Err": err, "Timestamp": "2026-11-27T00:00:00Z",
            "ContainerStatus": {"ContainerID": f"c{slot}{at}", "ExitCode": 0},
        },
    }  # fmt: skip


def containers(*tasks: dict[str, Any], replicas: int | None = 2) -> tuple[Container, ...]:
    return tuple(each.container for each in found([service(replicas)], tasks, NODES))


def test_a_replica_that_runs_is_a_container_that_is_healthy() -> None:
    one, two = containers(task(1), task(2))
    assert one.up
    assert two.up
    assert (one.id, one.name, one.project) == ("c11", "shop-blue_web-blue.1", "shop-blue")
    assert (one.color, one.version, one.release, one.by) == (Color.BLUE, "v2", "r2", "ann")
    assert (one.service, one.image, one.grace) == ("web", "shop/web:v2", 40)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (task(2, "pending", err="no suitable node (insufficient resources on 3 nodes)"),
         "no suitable node (insufficient resources on 3 nodes)"),
        (task(2, "preparing"), "preparing"),
        (task(2, release="r1"), "Swarm has not begun it"),
        (task(2, node="n2"), "its node two does not answer"),
        (task(2, "shutdown", "shutdown"), "shutdown"),
    ],
)  # fmt: skip
def test_one_of_two_is_not_converged_and_why_is_told(second: dict[str, Any], why: str) -> None:
    seen = containers(task(1), second)
    assert lacking(seen, ["web"]) == ("web",)
    look = judge_containers(seen, ["web"])
    assert (look.state, look.reason) == (State.WAITING, f"web is {why}")


def test_what_runs_of_another_release_is_never_taken_for_what_was_begun() -> None:
    seen = containers(task(1, release="r1"), task(2, release="r1"))
    assert [each.state for each in seen] == ["created", "created"]
    assert {each.release for each in seen} == {"r2"}


def test_a_replica_that_fails_again_and_again_is_broken_and_says_why() -> None:
    ill = [task(1, "failed", "shutdown", at=at, err=f"exit {at}") for at in (1, 2)]
    seen = containers(*ill, task(1, "starting", at=3), task(2))
    assert seen[0].restarts == 2
    look = judge_containers(seen, ["web"], restarts=1)
    assert look.state is State.BROKEN
    assert look.reason == "web ended and was restarted by the engine: exit 2"


def test_a_replica_whose_check_fails_ends_as_if_it_were_well_and_is_not() -> None:
    """An unhealthy one is stopped by Swarm, exits with code 0, and its task is called complete."""
    ended = [task(1, "complete", "shutdown", at=at) for at in (1, 2)]
    seen = containers(*ended, task(1, "starting", at=3), task(2))
    look = judge_containers(seen, ["web"], restarts=1)
    assert (look.state, look.reason.partition(": ")[2]) == (State.BROKEN, UNTOLD)
    assert not seen[0].up


def test_what_its_check_said_is_told_of_each_where_one_is_on_a_node_that_can_be_asked() -> None:
    ended = [task(slot, "complete", "shutdown", at=1) for slot in (1, 2)]
    seen = found([service()], [*ended, task(1, "starting", at=3), task(2, "starting", at=3)], NODES)
    assert [each.failed for each in seen] == ["c11", "c21"]
    said = explained(seen, {"c21": "its health check ended with exit code 1: no"})
    assert {each.why for each in said} == {"its health check ended with exit code 1: no"}
    assert {each.why for each in explained(seen, {})} == {UNTOLD}
    told = found([service()], [task(1, "failed", "shutdown", err="exit 2"), task(2)], NODES)
    assert [each.why for each in explained(told, {"c11": "no"})] == ["exit 2", ""]


def test_what_was_stopped_is_known_by_its_release() -> None:
    (one,) = containers(replicas=0)
    assert (one.state, one.release, one.color) == ("exited", "r2", Color.BLUE)


def test_one_on_each_node_is_counted_by_its_node() -> None:
    tasks = [{**task(0, node=node), "ID": node} for node in ("n1", "n2")]
    seen = containers(*tasks, replicas=None)
    assert [each.up for each in seen] == [True, False]


def test_the_log_of_a_task_is_taken_out_of_its_frames() -> None:
    raw = b"\x01\0\0\0\0\0\0\x06hello\n" + b"\x02\0\0\0\0\0\0\x03bye"
    assert b"".join(_frames(raw)) == b"hello\nbye"
    assert list(_frames(b"")) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("one\tComplete 1 second ago\t\ntwo\tComplete 2 seconds ago\t", ""),
        # without `true` in the image it fails to start, and so is there
        ("one\tFailed 1 second ago\texec: true: not found", ""),
        ("one\tComplete 1 second ago\t\ntwo\tRejected now\tNo such image", "two: No such image"),
        # it is tried again and again, and one try is under way
        ("two\tAssigned now\t\ntwo\tRejected 1 second ago\tNo such image", "two: No such image"),
        ("one\tPreparing 3 minutes ago\t", "one did not say within its time"),
        ("", ""),
    ],
)  # fmt: skip
def test_which_node_lacks_an_image_is_read_from_its_job(
    tmp_path: Path, lines: str, said: str
) -> None:
    called = tmp_path / "called"
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\necho "$@" >> {called}\n'
        f"case \"$*\" in 'service ps'*) cat {tmp_path}/lines ;; esac\n"
    )
    docker.chmod(0o755)
    (tmp_path / "lines").write_text(lines)
    script = stack.fetched("docker", "shop", "a:1", within=1)
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip("\n"), done.stderr) == (said, "")
    assert "--mode global-job" in called.read_text()
    assert called.read_text().count("service ls") == 2  # what was left, and its own
