"""The log of an application that is nobody's but its own, as a witness: pure.

What a container prints is one JSON object a line, and a field of it is the request's id as the
proxy passed it on (`X-Request-ID`). A line is a request that was executed. When is not known: the
engine notes when it has read a line, which may be after the answer.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cyan.engines.containers import Container

SHORT = 12  # characters of a container's id
UNKNOWN = 0
"""The instant of what has none."""


def command(container: Container, since: float) -> str:
    """The shell command that prints what a container printed since then, wall seconds there."""
    words = ["docker", "logs", container.id]
    if container.task:  # it may be on another node
        words = ["docker", "service", "logs", "--raw", container.task]
    return shlex.join([*words, "--since", f"{since:.6f}"]) + " 2>&1"


def name_of(container: Container) -> str:
    """The file in which a container's log is kept."""
    return f"app-{container.color}-{container.service}-{container.id[:SHORT]}.jsonl"


def converted(
    lines: Iterable[str], field: str, container: Container, service: str
) -> Iterator[str]:
    """What a container printed as the witness `service` says it: a start and an end a request.

    Lines without an id in `field`, a dotted path, are the application's other business.
    """
    told = {"color": str(container.color), "version": container.version, "service": service}
    for line in lines:
        if number := _field(line, field):
            for event in ("start", "end"):
                yield json.dumps({"id": number, "event": event, "at_ns": UNKNOWN, **told})


def _field(text: str, path: str) -> str:
    """The text that a dotted path leads to in a JSON object; "" where it leads nowhere."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        return ""
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
