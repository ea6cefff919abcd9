"""Which service is what: pure, from what Compose resolved, by rules that are printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cyan.adoption import known
from cyan.names import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SOCKET = "/var/run/docker.sock"
_PARTS = re.compile(r"[^a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BEAT = re.compile(r"\bcelery\b.*\bworker\b.*\s(-[A-Za-z]*B|--beat)(\s|$)")
_NUMBERED = re.compile(r"\d+$")


@dataclass(frozen=True)
class Port:
    """A port that a service publishes; `published` is 0 where the engine chooses one."""

    target: int
    published: int
    protocol: str
    bind: str = ""


@dataclass(frozen=True)
class Mount:
    """What is mounted into a service: `kind` is volume, bind or tmpfs."""

    kind: str
    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Service:
    """One service as Compose resolved it, with what the others say of it."""

    name: str
    raw: Mapping[str, Any]
    needed_by: frozenset[str] = frozenset()
    awaited: bool = False  # somebody waits until it has ended well

    @cached_property
    def image(self) -> str:
        """The image's own name, without registry, tag and digest; its folder where that tells."""
        return str(self.raw.get("image") or "").split("@")[0].rsplit("/", 1)[-1].split(":")[0]

    @property
    def built(self) -> bool:
        """Whether it is made of a source that is theirs."""
        return "build" in self.raw

    @cached_property
    def given(self) -> str:
        """What it runs, as it stands there."""
        words = (*(self.raw.get("entrypoint") or ()), *(self.raw.get("command") or ()))
        return " ".join(map(str, words))

    @property
    def command(self) -> str:
        """What it runs, in lower case."""
        return self.given.lower()

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """What it publishes."""
        return tuple(
            Port(
                int(port["target"]),
                _number(port.get("published")),
                port.get("protocol", "tcp"),
                str(port.get("host_ip") or ""),
            )
            for port in self.raw.get("ports") or ()
        )

    @cached_property
    def mounts(self) -> tuple[Mount, ...]:
        """What is mounted into it."""
        return tuple(
            Mount(
                str(each["type"]),
                str(each.get("source") or ""),
                str(each["target"]),
                bool(each.get("read_only")),
            )
            for each in self.raw.get("volumes") or ()
        )

    @property
    def needs(self) -> frozenset[str]:
        """The services that it depends on."""
        return frozenset(self.raw.get("depends_on") or ())

    @cached_property
    def words(self) -> frozenset[str]:
        """The parts of its name."""
        return words_of(self.name)

    @property
    def environment(self) -> Mapping[str, str]:
        """Its variables; those without a value are "" here."""
        given = self.raw.get("environment") or {}
        return {name: value or "" for name, value in given.items()}


@dataclass(frozen=True)
class Judged:
    """What a service was taken for, and by which rule; `sure` is False where that is a guess."""

    service: Service
    role: Role
    why: str
    sure: bool = True

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name


def services_of(config: Mapping[str, Any]) -> tuple[Service, ...]:
    """The services of a resolved Compose file, by name."""
    raw: Mapping[str, Mapping[str, Any]] = config.get("services") or {}
    needed: dict[str, set[str]] = {name: set() for name in raw}
    awaited = set()
    for name, each in raw.items():
        for other, how in (each.get("depends_on") or {}).items():
            needed.setdefault(other, set()).add(name)
            if (how or {}).get("condition") == "service_completed_successfully":
                awaited.add(other)
    return tuple(
        Service(name, raw[name], frozenset(needed[name]), name in awaited) for name in sorted(raw)
    )


def judge(services: Iterable[Service], told: Mapping[str, Role]) -> tuple[Judged, ...]:
    """Every service's role; `told` are those that the user gave."""
    every = tuple(services)
    return tuple(
        Judged(each, told[each.name], "as you said") if each.name in told else _judged(each, every)
        for each in every
    )


def words_of(name: str) -> frozenset[str]:
    """The parts of a name, in lower case and without the numbers at their ends."""
    parts = _PARTS.split(_CAMEL.sub("-", name).lower())
    whole = name.lower().replace("-", "_")
    return frozenset({*(_NUMBERED.sub("", part) for part in parts), *parts, whole} - {""})


def _judged(service: Service, every: tuple[Service, ...]) -> Judged:
    for rule in (_off, _once, _data, _scheduler, _tool, _proxy, _worker):
        found = rule(service, every)
        if found:
            return found
    return _web(service, every)


def _off(service: Service, _every: tuple[Service, ...]) -> Judged | None:
    asked = (service.raw.get("scale"), (service.raw.get("deploy") or {}).get("replicas"))
    if 0 in asked:
        return Judged(service, Role.TOOL, "it is switched off: it has no replicas")
    return None


def _data(service: Service, _every: tuple[Service, ...]) -> Judged | None:
    if _keeps(service):
        return Judged(service, Role.SHARED, f"{service.image} keeps data")
    for mount in service.mounts:
        if mount.target.startswith(known.DATA_PATHS):
            return Judged(service, Role.SHARED, f"data is kept in {mount.target}")
    last = _NUMBERED.sub("", _PARTS.split(service.name.lower())[-1])
    if last in known.DATA_WORDS and not service.command:
        keeps = any(mount.kind == "volume" for mount in service.mounts)
        sure = keeps or not service.built
        return Judged(service, Role.SHARED, f"it is called {service.name}", sure)
    if any(port.target in known.DATA_PORTS for port in service.ports):
        return Judged(service, Role.SHARED, "it listens where databases do", sure=False)
    return None


def _scheduler(service: Service, _every: tuple[Service, ...]) -> Judged | None:
    said = service.words | _programs(service.command)
    if _BEAT.search(service.given):
        return Judged(service, Role.SCHEDULER, "a Celery worker that is the beat, too")
    for phrase in known.SCHEDULER_PHRASES:
        if phrase in service.command:
            return Judged(service, Role.SCHEDULER, f"its command says {phrase}")
    found = said & known.SCHEDULER_WORDS
    if found:
        return Judged(service, Role.SCHEDULER, f"{min(found)} in its name or command")
    clocks = said & known.CLOCKS
    if clocks and not said & known.WORKER_WORDS:
        return Judged(service, Role.SCHEDULER, f"{min(clocks)} in its name or command")
    return None


def _once(service: Service, _every: tuple[Service, ...]) -> Judged | None:
    if service.awaited:
        return Judged(service, Role.ONCE, "another waits until it has ended well")
    found = service.words & known.ONCE_WORDS
    if found and not service.ports and not service.needed_by:
        return Judged(service, Role.ONCE, f"it is called {service.name}", sure=_ends(service))
    if found and not service.ports and _ends(service):
        return Judged(service, Role.ONCE, f"it is called {service.name}", sure=_ends(service))
    restart = str(service.raw.get("restart") or "")
    if restart == "no" and service.command and words_of(service.command) & known.ONCE_WORDS:
        return Judged(service, Role.ONCE, "it is not restarted, and its command prepares")
    if re.match(r"(/bin/)?(ba)?sh -c chown|chown ", service.command):
        return Judged(service, Role.ONCE, "it gives files to their owner and ends")
    return None


def _tool(service: Service, _every: tuple[Service, ...]) -> Judged | None:
    words = words_of(service.image)
    data = known.AROUND_DATA if words & (known.DATA_IMAGES | known.DATA_WORDS) else frozenset()
    parts = words & (known.TOOL_IMAGES | data)
    if not service.built and parts and not _proxies(service):
        return Judged(service, Role.TOOL, f"{service.image} looks after the others")
    if service.words & known.TOOL_WORDS:
        return Judged(service, Role.TOOL, f"it is called {service.name}", sure=not service.built)
    if any(mount.source == SOCKET for mount in service.mounts) and not _proxies(service):
        return Judged(service, Role.TOOL, "it works with the Docker Engine itself")
    return None


def _proxy(service: Service, every: tuple[Service, ...]) -> Judged | None:
    doors = [port for port in service.ports if port.target in known.DOOR_PORTS]
    others = service.needs & {each.name for each in every}
    told = [each.target for each in service.mounts if each.target.startswith(known.PROXY_PATHS)]
    theirs = not service.built or service.words & (known.PROXY_WORDS | {"gateway"})
    if told and theirs and (others or doors):
        return Judged(service, Role.PROXY, f"a proxy's configuration is mounted at {told[0]}")
    pages = any(each.target.startswith("/usr/share/nginx/html") for each in service.mounts)
    if _proxies(service) and not (pages and not others):
        return Judged(service, Role.PROXY, f"{service.image} leads to others")
    if service.words & known.PROXY_WORDS and (doors or others):
        return Judged(service, Role.PROXY, f"it is called {service.name}")
    if "gateway" in service.words and doors and others and not service.built:
        return Judged(service, Role.PROXY, f"{service.name} leads to others", sure=False)
    return None


def _worker(service: Service, every: tuple[Service, ...]) -> Judged | None:
    for phrase in known.WORKER_PHRASES:
        if phrase in service.command:
            return Judged(service, Role.WORKER, f"its command says {phrase}")
    found = (service.words | _programs(service.command)) & known.WORKER_WORDS
    if service.ports or service.words & known.WEB_WORDS:
        found -= known.WEAK_WORKER_WORDS
    if found:
        return Judged(service, Role.WORKER, f"{min(found)} in its name or command")
    alone = not (service.ports or service.needed_by or service.raw.get("expose"))
    theirs = service.built or any(
        each.image == service.image for each in every if each is not service
    )
    led = any(_proxies(each) or each.words & known.PROXY_WORDS for each in every)
    others = any(each.ports for each in every if each is not service and not _keeps(each))
    if alone and theirs and others and not led and not service.words & known.WEB_WORDS:
        return Judged(service, Role.WORKER, "no port, and nobody depends on it", sure=False)
    return None


def _web(service: Service, _every: tuple[Service, ...]) -> Judged:
    if service.ports:
        return Judged(service, Role.WEB, f"it publishes {service.ports[0].target}")
    if service.needed_by:
        return Judged(service, Role.WEB, f"{min(service.needed_by)} depends on it")
    return Judged(service, Role.WEB, "nothing says that it is anything else")


def _proxies(service: Service) -> bool:
    parts = words_of(service.image) | {service.image}
    return not service.built and bool(parts & known.PROXY_IMAGES)


def _keeps(service: Service) -> bool:
    parts = words_of(service.image)
    full = "/".join(str(service.raw.get("image") or "").split(":")[0].split("/")[-2:])
    around = parts & (known.AROUND_DATA | known.TOOL_IMAGES)
    data = parts & known.DATA_IMAGES or full in known.DATA_IMAGES
    return bool(data) and not around and not service.built


def _ends(service: Service) -> bool:
    return str(service.raw.get("restart") or "") in {"no", ""} or str(
        service.raw["restart"]
    ).startswith("on-failure")


def _programs(command: str) -> frozenset[str]:
    """The words of a command that name a program or what it shall do, not values and addresses."""
    plain = (word for word in command.split() if not re.search(r"[=:@]|^-|//", word))
    return frozenset().union(*(words_of(word.rsplit("/", 1)[-1]) for word in plain))


def _number(text: object) -> int:
    first = str(text or "").split("-", 1)[0]
    return int(first) if first.isdigit() else 0
