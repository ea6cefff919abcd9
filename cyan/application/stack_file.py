"""A color's Compose file as a stack of Docker Swarm: what has a translation, and what has none.

From the file that `color_file` makes; pure. `docker stack deploy` rejects some keys, drops others
with a warning and some without a word. Here each key is kept, translated, known to mean nothing
there, or named before anything is touched:
https://docs.docker.com/reference/cli/docker/stack/deploy/ and
https://github.com/docker/cli/tree/master/cli/compose/schema/data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cyan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Given = Mapping[str, Any]

KEPT = frozenset((
    "cap_add", "cap_drop", "command", "configs", "dns", "dns_opt", "dns_search", "entrypoint",
    "environment", "extra_hosts", "healthcheck", "image", "init", "isolation", "labels", "logging",
    "networks", "read_only", "secrets", "stdin_open", "stop_grace_period", "stop_signal", "sysctls",
    "tty", "ulimits", "user", "working_dir",
))  # fmt: skip
"""Keys of a service that mean there what they mean to Compose."""

NOTHING = frozenset((
    "attach", "build", "depends_on", "develop", "expose", "external_links", "platform",
    "pull_policy",
))  # fmt: skip
"""Keys without which it does the same there, but for an order of starting, which Swarm has not:
who needs another begins again until that is there."""

MEMORY = {"mem_limit": ("limits", "memory"), "mem_reservation": ("reservations", "memory")}
LIMITS = {**MEMORY, "cpus": ("limits", "cpus"), "pids_limit": ("limits", "pids")}
TRANSLATED = frozenset((*LIMITS, "deploy", "restart", "scale", "shm_size", "tmpfs", "volumes"))

DEPLOY = frozenset((
    "endpoint_mode", "labels", "mode", "placement", "replicas", "resources", "restart_policy",
    "rollback_config", "update_config",
))  # fmt: skip

RESTARTS = {"no": "none", "on-failure": "on-failure"}
"""What Compose calls when a container is begun again, as Swarm does; else it is always."""

SIZE = re.compile(r"\bsize=(\d+)([kmgKMG]?)(?=,|$)")
SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30}
"""How large a temporary folder may be, as mount(8) is told, and as bytes."""

HERE = "cyan.data."
"""How the label of the node begins that has an application's data: the rest is the application."""

REPLICAS = "cyan.replicas"
"""The label of a service that keeps how many it is to have, also while it has none."""


def stack_file(
    color: str, app: str, release: str, *, without: Iterable[str] = (), node: str = ""
) -> str:
    """The stack of a color's file, JSON, from that file's text.

    `without` are keys that may be lost, as SERVICE:KEY; all of it runs on `node`, if that is given.
    Raises UsageError where other keys would be lost, or data are not on that node.
    """
    config: Given = json.loads(color)
    gone = [each for each in _lost(config) if each not in set(without)]
    if gone:
        raise UsageError(
            f"Docker Swarm has nothing for {', '.join(gone)}, and would leave it out",
            todo="take it out of the Compose file; or say that it may be lost: "
            f"cyan.adopted.without: [{', '.join(gone)}]",
        )
    kept = [name for name, each in config["services"].items() if node and _keeps(each)]
    if kept:
        raise UsageError(
            f"{', '.join(kept)} would run on {node} only, and what it mounts is on one node, "
            "whichever that is",
            where="cyan.colors",
            todo="leave cyan.colors out, or the mount: cyan.adopted.without",
        )
    made = {
        "services": {name: _service(each, app, node) for name, each in config["services"].items()},
        "networks": config["networks"],
    }
    for key in ("configs", "secrets"):
        if given := config.get(key):
            made[key] = {
                name: {**each, "name": f"{app}-{name}-{release}"} for name, each in given.items()
            }
    if volumes := config.get("volumes"):
        made["volumes"] = volumes
    return json.dumps(made, indent=1)


def lost(color: str) -> tuple[str, ...]:
    """What of a color's file a swarm would leave out, as SERVICE:KEY."""
    return tuple(_lost(json.loads(color)))


def only(stack: str, services: Collection[str]) -> str:
    """The stack's file with these of its services."""
    made: dict[str, Any] = json.loads(stack)
    chosen = {name: each for name, each in made["services"].items() if name in services}
    return json.dumps({**made, "services": chosen}, indent=1)


def resting(services: Iterable[str]) -> str:
    """A file that, read after the stack's own, has no replica of some of its services."""
    made = {name: {"deploy": {"replicas": 0}} for name in services}
    return json.dumps({"services": made})


def _lost(config: Given) -> Iterator[str]:
    """Keys that would be, as SERVICE:KEY without the color."""
    known = KEPT | NOTHING | TRANSLATED
    for name, service in config["services"].items():
        plain = str(service.get("labels", {}).get("cyan.service") or name)
        deploy: Given = service.get("deploy") or {}
        found = [key for key, value in service.items() if value is not None and key not in known]
        found += [f"deploy.{key}" for key, value in deploy.items() if value and key not in DEPLOY]
        if str(deploy.get("mode") or "").endswith("-job"):
            found.append("deploy.mode")
        yield from (f"{plain}:{key}" for key in found)
    for kind in ("configs", "secrets"):
        for name, each in (config.get(kind) or {}).items():
            if not (each.get("file") or each.get("external")):
                yield f"{kind}:{name}"


def _keeps(given: Given) -> bool:
    """Whether a service has data, or files, that are on one node."""
    return any(each["type"] in ("bind", "volume") for each in given.get("volumes") or ())


def _service(given: Given, app: str, node: str) -> dict[str, Any]:
    made = {key: value for key, value in given.items() if key in KEPT and value is not None}
    volumes = [*(given.get("volumes") or ()), *_temporary(given.get("tmpfs") or ())]
    if shared := given.get("shm_size"):
        room = {"size": int(shared)}  # Compose prints it in bytes
        volumes.append({"type": "tmpfs", "target": "/dev/shm", "tmpfs": room})  # noqa: S108
    if volumes:
        made["volumes"] = [_mount(each) for each in volumes]
    here = f"node.labels.{HERE}{app} == here" if _keeps(given) else ""
    made["deploy"] = _deploy(given, here or (f"node.hostname == {node}" if node else ""))
    return made


def _deploy(given: Given, place: str) -> dict[str, Any]:
    """How it is run: on a node that is such a `place`; all at once, and never by halves."""
    asked: Given = given.get("deploy") or {}
    replicas = asked.get("replicas", given.get("scale", 1))
    placement = dict(asked.get("placement") or {})
    if place:
        placement["constraints"] = [*(placement.get("constraints") or ()), place]
    everywhere = asked.get("mode") == "global"
    always = {"condition": RESTARTS.get(str(given.get("restart") or ""), "any"), "delay": "1s"}
    told = {key: str(value) for key, value in given["labels"].items() if key.startswith("cyan.")}
    return {
        **({"mode": "global"} if everywhere else {"replicas": replicas}),
        "endpoint_mode": "dnsrr",  # an address of its own leads nowhere without IPVS
        "labels": {**(asked.get("labels") or {}), **told, REPLICAS: str(replicas)},
        "update_config": {"parallelism": 0, "failure_action": "pause"},
        "restart_policy": asked.get("restart_policy") or always,
        "resources": _resources(given, asked),
        **({"placement": placement} if placement else {}),
    }


def _resources(given: Given, asked: Given) -> dict[str, Any]:
    made = {kind: dict(each or {}) for kind, each in (asked.get("resources") or {}).items()}
    for key, (kind, name) in LIMITS.items():
        if given.get(key):
            made.setdefault(kind, {}).setdefault(name, given[key])
    for each in made.values():
        for name in ("cpus", "memory"):  # Compose prints numbers, and takes texts
            if name in each:
                each[name] = str(each[name])
    return made


def _temporary(given: Any) -> Iterator[Given]:  # noqa: ANN401 - a text, or several
    for each in [given] if isinstance(given, str) else given:
        target, _, options = str(each).partition(":")
        size = SIZE.search(options)
        room = {"tmpfs": {"size": int(size[1]) << SHIFTS[size[2].lower()]}} if size else {}
        yield {"type": "tmpfs", "target": target, **room}


def _mount(given: Given) -> dict[str, Any]:
    """A mount without what `docker stack deploy` does not take: there all paths must exist."""
    made = dict(given)
    bind = {key: value for key, value in (given.get("bind") or {}).items() if key == "propagation"}
    made.pop("bind", None)
    return {**made, **({"bind": bind} if bind else {})}
