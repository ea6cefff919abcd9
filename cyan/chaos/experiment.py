"""Experiments as data: YAML in Chaos Toolkit's format, which `chaos run` takes too.

https://chaostoolkit.org/reference/api/experiment/: steady-state hypothesis, method, rollbacks;
every activity calls a function of `cyan.chaos.actions`. Chaos Toolkit looks whether the hypothesis
holds before the method and after it, and the invariants are its last probe.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cyan.chaos.fault import Expectation
from cyan.errors import UsageError
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.chaos.draw import Drawn
    from cyan.chaos.fault import Fault

MODULE = "cyan.chaos.actions"
FUNCTIONS = ("whole", "play", "heal", "healed", "held")
"""What an experiment may call; nothing else, in no other module."""

HELD = "held"
"""What the probe of the invariants says where none is broken; else it says which are."""


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
    wanted = invariants(fault.expects)
    heal = _activity("action", "heal", "heal", about)
    return yaml.dump(
        {
            "title": drawn.title,
            "description": fault.tells,
            "tags": ["cyan", fault.group],
            "steady-state-hypothesis": {
                "title": "the world is whole, and of what was done every invariant holds",
                "probes": [
                    _probe("the world is whole", "whole", {}, tolerance=True),
                    _probe("every invariant holds", "held", {"wanted": wanted}, tolerance=HELD),
                ],
            },
            "method": [_activity("action", "rotate", "play", {**about, "version": version}), heal],
            "rollbacks": [heal],
        },
        Dumper=_Plain,
        sort_keys=False,
    )


class _Plain(yaml.SafeDumper):
    """Writes what is said twice out twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - of whatever is written
        """No aliases."""
        return True


def invariants(expects: Expectation) -> dict[str, Any]:
    """What must be seen, as the probe that looks for it is told."""
    return {
        **asdict(expects),
        "traffic": str(expects.traffic),
        "exits": [list(codes) for codes in expects.exits],
        "says": list(expects.says),
    }


def expected(wanted: Mapping[str, Any]) -> Expectation:
    """What must be seen, as that probe was told. Raises ValueError, KeyError or TypeError."""
    return Expectation(
        **{
            **wanted,
            "traffic": Traffic(wanted["traffic"]),
            "exits": tuple(tuple(codes) for codes in wanted["exits"]),
            "says": tuple(wanted["says"]),
        }
    )


def _activity(kind: str, name: str, func: str, arguments: dict[str, Any]) -> dict[str, Any]:
    provider = {"type": "python", "module": MODULE, "func": func, "arguments": arguments}
    return {"type": kind, "name": name, "provider": provider}


def _probe(name: str, func: str, arguments: dict[str, Any], *, tolerance: object) -> dict[str, Any]:
    return {**_activity("probe", name, func, arguments), "tolerance": tolerance}


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
