"""The words of the domain that every part shares: color, version, and what may be called so."""

from __future__ import annotations

import re
from enum import StrEnum

from cyan.errors import UsageError

VERSION_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""A Docker tag: https://docs.docker.com/reference/cli/docker/image/tag/."""

APP_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
"""A Compose project name, short enough for two suffixes."""

PATH_PATTERN = re.compile(r"/(?!/)[^\s#]*")
"""The path and query of a request: one line, no fragment, and no other host's."""

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN = re.compile(rf"{LABEL}(\.{LABEL})*", re.IGNORECASE)
"""A host name: https://www.rfc-editor.org/rfc/rfc1123#section-2.1."""

DURATION_PATTERN = re.compile(r"([0-9]{1,6})(ms|s|m|h|)")


class Color(StrEnum):
    """One of the two sets of stateless containers."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Color:
        """The color that this one rotates with."""
        return Color.GREEN if self is Color.BLUE else Color.BLUE


def in_color(service: str, color: Color) -> str:
    """What Compose calls a service of an adopted application in a color: web-blue."""
    return f"{service}-{color}"


class Server(StrEnum):
    """The program that is the proxy."""

    CADDY = "caddy"
    NGINX = "nginx"


class EngineKind(StrEnum):
    """What runs containers; all are spoken to by the docker command.

    With Swarm, Docker Engine's own, the host is a manager of several machines.
    """

    DOCKER = "docker"
    PODMAN = "podman"
    SWARM = "swarm"


class Phase(StrEnum):
    """What its steps may do: nothing that a user can notice, move the users, or finish."""

    PREPARE = "prepare"
    SWITCH = "switch"
    SETTLE = "settle"


class Strategy(StrEnum):
    """How one color follows the other."""

    COLORS = "colors"  # both are up: the new one is tried before any user reaches it
    HOLD = "hold"  # one at a time: requests wait at the proxy while it is replaced
    AUTO = "auto"  # colors where memory and volumes allow, else hold


class Kind(StrEnum):
    """The steps, in the order in which a deploy takes them."""

    PREFLIGHT = "preflight"
    CLEAR = "clear"
    FETCH = "fetch"
    EXPAND = "expand"
    CREATE = "create"
    HOLD = "hold"
    STOP = "stop"
    START = "start"
    HEALTHY = "healthy"
    SMOKE = "smoke"
    SWITCH = "switch"
    TAKE_OVER = "take-over"
    WORKERS = "workers"
    VERIFY = "verify"
    DRAIN = "drain"
    SCHEDULERS = "schedulers"
    BAKE = "bake"
    RETIRE = "retire"
    RETAIN = "retain"
    PRUNE = "prune"

    @property
    def phase(self) -> Phase:
        """The phase that the step belongs to: undo and hooks ask for it."""
        if self in (Kind.HOLD, Kind.STOP, Kind.SWITCH, Kind.TAKE_OVER):
            return Phase.SWITCH
        return Phase.SETTLE if self in SETTLING else Phase.PREPARE

    @property
    def reversible(self) -> bool:
        """Whether the old color is whole until the step has ended well."""
        return self not in (Kind.RETIRE, Kind.RETAIN, Kind.PRUNE)


class Role(StrEnum):
    """What a service of an application is to a rotation."""

    WEB = "web"  # rotates: it answers requests
    WORKER = "worker"  # rotates, and takes work by itself
    SCHEDULER = "scheduler"  # rotates, and must never run twice
    ONCE = "once"  # runs once for each deploy, and ends
    SHARED = "shared"  # keeps data: both colors use the one that runs
    PROXY = "proxy"  # a proxy of their own
    TOOL = "tool"  # looks after the others: stays as it is

    @property
    def rotates(self) -> bool:
        """Whether each color has one of its own."""
        return self in (Role.WEB, Role.WORKER, Role.SCHEDULER, Role.ONCE)


SETTLING = frozenset(
    {
        Kind.WORKERS,
        Kind.VERIFY,
        Kind.DRAIN,
        Kind.SCHEDULERS,
        Kind.BAKE,
        Kind.RETIRE,
        Kind.RETAIN,
        Kind.PRUNE,
    }
)


REHEARSED = ("never-healthy", "fails-smoke")
"""How a deploy can be made to fail on purpose: by cyan's own hand, whatever the application is."""


def valid_version(text: str) -> str:
    """Return `text` if it can name a release; UsageError says why where it cannot."""
    if text == "latest":
        raise UsageError(
            "version 'latest' is refused: nobody can know what is running, "
            "and a rollback cannot name it",
            todo="deploy a tag that stays, such as a release number or a full commit id",
        )
    if not VERSION_PATTERN.fullmatch(text):
        raise UsageError(
            f"version {text!r} is not a tag",
            todo="use at most 128 letters, digits, '.', '_' and '-', not beginning with '.' or '-'",
        )
    return text


def names_a_path(text: str) -> bool:
    """Whether `text` can be the path of a request as it is: a client takes "." and ".." away."""
    dots = {".", ".."} & set(text.partition("?")[0].split("/"))
    return text.isprintable() and PATH_PATTERN.fullmatch(text) is not None and not dots


def seconds(text: str) -> float:
    """`40ms`, `90`, `90s`, `10m` or `1h` in seconds. Raises UsageError for anything else."""
    found = DURATION_PATTERN.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is not a duration", todo="for example: 90s, 10m or 1h")
    return float(found[1]) * {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600}[found[2]]
