"""What Docker Swarm says of a stack's services, as the containers that they are to be: pure.

A service's own count of replicas lies, and `docker stack deploy` exits with 0 after a rollback. So
what is there is asked of the tasks: those of the release that the service is defined with, on nodes
that are ready, one for each replica; what is missing of them is told as such, and why.

The states of tasks: https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cyan.engines.containers import DEFAULT_GRACE, Container
from cyan.engines.stack import NAMESPACE
from cyan.names import Color

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Raw = Mapping[str, Any]

FAILED = ("complete", "failed", "rejected")
"""How a replica ends that nobody told to; also one that Swarm stops as its health check fails."""

ENDED = ("shutdown", "orphaned", "remove", *FAILED)
UNTOLD = "it ended by itself, or its health check failed: Swarm does not say"
READY = "ready"


@dataclass(frozen=True)
class Found:
    """A container, on whichever node, its addresses by network, and what failed in its place."""

    container: Container
    addresses: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""


def found(services: Iterable[Raw], tasks: Iterable[Raw], nodes: Iterable[Raw]) -> tuple[Found, ...]:
    """What there is of each service, as the API lists services, tasks and nodes."""
    known = {each["ID"]: each for each in nodes}
    by_service: dict[str, list[Raw]] = {}
    for each in tasks:
        by_service.setdefault(each["ServiceID"], []).append(each)
    return tuple(
        one
        for service in services
        for one in _of_service(service, by_service.get(service["ID"], []), known)
    )


def _of_service(service: Raw, tasks: Sequence[Raw], nodes: Mapping[str, Raw]) -> list[Found]:
    spec, labels = service["Spec"], _labels(service["Spec"]["TaskTemplate"])
    release = labels.get("cyan.release", "")
    own = [each for each in tasks if _labels(each["Spec"]).get("cyan.release", "") == release]
    slots: dict[Any, list[Raw]] = {}
    for each in own:
        slots.setdefault(each.get("Slot") or each.get("NodeID", ""), []).append(each)
    replicas = (spec["Mode"].get("Replicated") or {}).get("Replicas")
    if replicas == 0:
        return [Found(replace(_defined(spec, 1), state="exited"))]
    wanted = range(1, replicas + 1) if replicas else sorted(slots) or [1]
    return [_of_slot(spec, slot, slots.get(slot, ()), nodes) for slot in wanted]


def _of_slot(
    spec: Raw,
    slot: Any,  # noqa: ANN401 - a number, or a node's id
    tasks: Sequence[Raw],
    nodes: Mapping[str, Raw],
) -> Found:
    """The newest task of one replica; what failed before it are the replica's restarts."""
    if not tasks:
        return Found(replace(_defined(spec, slot), why="Swarm has not begun it"))
    newest = max(tasks, key=lambda each: (_wanted(each), each["CreatedAt"]))
    failed = [each for each in tasks if each["Status"]["State"] in FAILED]
    last = max(failed, key=lambda each: str(each["CreatedAt"]), default=None)
    status, node = newest["Status"], nodes.get(newest.get("NodeID", ""), {})
    said = status.get("ContainerStatus") or {}
    up = _state(status, node, newest["Spec"])
    container = replace(
        _defined(spec, slot),
        id=str(said.get("ContainerID") or newest["ID"]),
        image=str(newest["Spec"]["ContainerSpec"]["Image"]),
        state=up.state,
        health=up.health,
        why=up.why,
        started_at=str(status.get("Timestamp", "")),
        exit_code=int(said.get("ExitCode") or 0),
        restarts=len(failed),
        task=str(newest["ID"]),
        node=_called(node),
    )
    if last is not None and not container.up:
        container = replace(container, why=str(last["Status"].get("Err") or UNTOLD))
    ended = ((last or {}).get("Status") or {}).get("ContainerStatus") or {}
    return Found(container, _addresses(newest), str(ended.get("ContainerID") or ""))


def explained(found: Iterable[Found], said: Mapping[str, str]) -> tuple[Container, ...]:
    """The containers, with what a health check said where Swarm does not say why one ended.

    `said` has it by the id of a container that failed on a node which could be asked; it is taken
    to be so of the other replicas of that service.
    """
    told = {each.container.service: said[each.failed] for each in found if each.failed in said}
    return tuple(
        replace(each.container, why=told[each.container.service])
        if each.container.why == UNTOLD and each.container.service in told
        else each.container
        for each in found
    )


@dataclass(frozen=True)
class _State:
    """State and health in the words of an engine, and why it is not up."""

    state: str
    health: str = ""
    why: str = ""


def _wanted(task: Raw) -> bool:
    return str(task["DesiredState"]) in ("running", "ready", "accepted")


def _state(status: Raw, node: Raw, task: Raw) -> _State:
    state, why = str(status["State"]), str(status.get("Err") or "")
    checked = bool((task["ContainerSpec"].get("Healthcheck") or {}).get("Test"))
    if node and (node.get("Status") or {}).get("State") != READY:
        return _State("created", why=f"its node {_called(node)} does not answer")
    if state == "running":
        return _State("running", "healthy" if checked else "")
    if state == "starting" and checked:
        return _State("running", "starting")
    return _State("restarting" if state in ENDED else "created", why=why or state)


def _addresses(task: Raw) -> Mapping[str, str]:
    joined = task.get("NetworksAttachments") or ()
    return {
        each["Network"]["Spec"]["Name"]: each["Addresses"][0].partition("/")[0]
        for each in joined
        if each.get("Addresses")
    }


def _called(node: Raw) -> str:
    return str((node.get("Description") or {}).get("Hostname", ""))


def _defined(spec: Raw, slot: object) -> Container:
    """One replica as its service defines it: nothing of it is there yet."""
    template = spec["TaskTemplate"]
    labels, grace = _labels(template), template["ContainerSpec"].get("StopGracePeriod")
    color = labels.get("cyan.color", "")
    name = f"{spec['Name']}.{slot}"
    return Container(
        id=name,
        name=name,
        project=(spec.get("Labels") or {}).get(NAMESPACE, ""),
        service=labels.get("cyan.service", ""),
        color=Color(color) if color in tuple(Color) else None,
        version=labels.get("cyan.version", ""),
        release=labels.get("cyan.release", ""),
        by=labels.get("cyan.by", ""),
        image=str(template["ContainerSpec"]["Image"]),
        state="created",
        health="",
        started_at="",
        exit_code=0,
        oom_killed=False,
        restarts=0,
        grace=round(grace / 1e9) if grace else DEFAULT_GRACE,
    )


def _labels(task: Raw) -> Mapping[str, str]:
    labels: Mapping[str, str] = task["ContainerSpec"].get("Labels") or {}
    return labels
