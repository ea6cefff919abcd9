"""Experiments as data: YAML in Chaos Toolkit's format, which `chaos run` takes too.

https://chaostoolkit.org/reference/api/experiment/: steady-state hypothesis, method, rollbacks;
every activity calls a function of `cyan.chaos.actions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cyan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.chaos.draw import Drawn
    from cyan.chaos.fault import Fault

MODULE = "cyan.chaos.actions"
FUNCTIONS = ("whole", "play", "heal", "healed")
"""What an experiment may call; nothing else, in no other module."""


@dataclass(frozen=True)
class Activity:
    """One call of an experiment. `tolerance` is what a probe must return."""

    name: str
    func: str
    arguments: Mapping[str, Any]
    tolerance: Any = None


@dataclass(frozen=True)
class Experiment:
    """What is looked at before and after, what is done between, and what is always done last."""

    title: str
    hypothesis: tuple[Activity, ...]
    method: tuple[Activity, ...]
    rollbacks: tuple[Activity, ...]


def write(fault: Fault, drawn: Drawn, version: str) -> str:
    """The experiment of a drawn fault, in which `version` is deployed, as YAML."""
    about = {"fault": drawn.name, "values": dict(drawn.values)}
    return yaml.safe_dump(
        {
            "title": drawn.title,
            "description": fault.tells,
            "tags": ["cyan", fault.group],
            "steady-state-hypothesis": {
                "title": "one color is live, complete, and the one that answers",
                "probes": [_probe("the world is whole", "whole", {})],
            },
            "method": [_activity("action", "rotate", "play", {**about, "version": version})],
            "rollbacks": [_activity("action", "heal", "heal", about)],
        },
        sort_keys=False,
    )


def _activity(kind: str, name: str, func: str, arguments: dict[str, Any]) -> dict[str, Any]:
    provider = {"type": "python", "module": MODULE, "func": func, "arguments": arguments}
    return {"type": kind, "name": name, "provider": provider}


def _probe(name: str, func: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {**_activity("probe", name, func, arguments), "tolerance": True}


def read(text: str) -> Experiment:
    """An experiment from its YAML. Raises UsageError where it is none, or calls what it may not."""
    try:
        kept = yaml.safe_load(text)
        return Experiment(
            title=str(kept["title"]),
            hypothesis=_read(kept["steady-state-hypothesis"]["probes"]),
            method=_read(kept["method"]),
            rollbacks=_read(kept.get("rollbacks", [])),
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"this is no experiment: {error!r}",
            todo="see https://chaostoolkit.org/reference/api/experiment/",
        ) from None


def _read(kept: list[dict[str, Any]]) -> tuple[Activity, ...]:
    return tuple(_one(item) for item in kept)


def _one(item: dict[str, Any]) -> Activity:
    provider = item["provider"]
    called = (provider["type"], provider["module"])
    if called != ("python", MODULE) or provider["func"] not in FUNCTIONS:
        raise UsageError(
            f"an experiment may not call {provider['func']} of {provider['module']}",
            todo=f"one of {', '.join(FUNCTIONS)} of {MODULE}",
        )
    arguments = dict(provider.get("arguments") or {})
    return Activity(str(item["name"]), provider["func"], arguments, item.get("tolerance"))
