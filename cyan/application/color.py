"""The Compose file of one color, made from what Compose resolved of the user's own: pure.

A service `web` of the color blue is called `web-blue`, so that no name of a color is one that the
application's own stack, or the other color, could answer to. Within its color's network it has its
own name back, and a link to it: a name means that color's, and while that is down it is an error
and never somebody else's. The network's name, `shop-blue`, sorts before the `shop_default` of the
application's own, which is joined too and where the shared services are: the engine asks a
container's networks in the order of their names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cyan.application.mounts import FILES, Given, folder_of, goes_along, mounts_of, there
from cyan.errors import UsageError
from cyan.names import Color, Role, in_color

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cyan.adopted import AdoptedSettings

ACTING = (
    "caddy",
    "com.centurylinklabs.watchtower",
    "com.github.nginx-proxy",
    "autoheal",
    "diun",
    "docker-volume-backup",
    "ofelia",
    "traefik",
    "wud",
)
"""What labels begin with that other tools act on: they would do so to each color."""

OWN = ("build", "depends_on", "image", "labels", "networks", "network_mode", "volumes")
"""Keys of a service that a color has of its own."""

JOINED = ("network_mode", "ipc", "pid")
"""Keys of what a service may have of another one's: `service:NAME`."""

LEFT_OUT = ("ports", "container_name", "hostname", "links", "external_links", "profiles")
"""Keys that a color lacks: the proxy publishes, and a name would be one for two."""

QUICK: Given = {"start_interval": "1s", "start_period": "30s"}
"""How often a service that has just begun is checked: else a check of every half minute is one."""

COMPOSES = 10
"""Seconds: https://docs.docker.com/reference/compose-file/services/#stop_grace_period."""

STARTED: Given = {"condition": "service_started", "required": True}

NETWORK = "cyan.color"
"""The color's network, in its file: what nobody else calls one of theirs."""


@dataclass(frozen=True)
class Mould:
    """What a color's file is made with.

    `grace` is the seconds that a service gets to end which does not say how many it wants; no more
    than Compose's own where users wait meanwhile (`held`), for what they reach. `quick`
    says that the engine knows a `start_interval`; Compose refuses it where it does not. `sick` is a
    service that is never to be healthy. `linked` says that siblings are containers of one host.
    """

    app: str
    color: Color
    version: str
    release: str
    by: str
    adopted: AdoptedSettings
    grace: float
    quick: bool = False
    sick: str = ""
    linked: bool = True
    held: bool = False

    @property
    def network(self) -> str:
        """The color's network: the proxy joins it as well."""
        return f"{self.app}-{self.color}"

    def named(self, service: str) -> str:
        """What a service is called in the color."""
        return in_color(service, self.color)


@dataclass(frozen=True)
class External:
    """A network or a volume of the application's own stack: its key there, and its name."""

    kind: str
    key: str
    name: str


def but(given: Given, *keys: str) -> dict[str, Any]:
    """What is given, without some keys."""
    return {key: value for key, value in given.items() if key not in keys}


def upstream(app: str, color: Color, service: str) -> str:
    """The name by which the proxy asks a color's service: of all applications, only this one's."""
    return f"{app}-{color}-{service}"


def color_file(source: str, mould: Mould) -> str:
    """The file of a color, JSON, from what Compose resolved.

    Raises UsageError where that has services of which the settings do not know.
    """
    config: Given = json.loads(source)
    _known(config, mould.adopted)
    services = {
        mould.named(name): _Service(name, config, mould).made for name in mould.adopted.rotating
    }
    made: dict[str, Any] = {"services": services, "networks": _networks(config, services, mould)}
    for key in ("volumes", "configs", "secrets"):
        if found := _top(key, config, services):
            made[key] = found
    return json.dumps(made, indent=1)


def external_names(source: str, adopted: AdoptedSettings) -> tuple[External, ...]:
    """What of the application's own stack a color joins."""
    config: Given = json.loads(source)
    services = [config["services"][name] for name in adopted.rotating]
    networks = [key for each in services for key in each.get("networks") or ()]
    volumes = sorted(_sources("volumes", services))
    found = (
        *(External("network", key, _real(config, "networks", key)) for key in networks),
        *(External("volume", key, _real(config, "volumes", key)) for key in volumes),
    )
    return tuple(dict.fromkeys(found))


def others_of(service: Given) -> tuple[tuple[str, str], ...]:
    """The services of whose containers one has something: the key that says so, and the name."""
    given = ((key, str(service.get(key) or "")) for key in JOINED)
    joined = ((key, mode.partition(":")) for key, mode in given)
    mounted = (str(each).partition(":") for each in service.get("volumes_from") or ())
    return (
        *((key, name) for key, (kind, _, name) in joined if kind == "service"),
        *(("volumes_from", name) for name, _, _ in mounted if name != "container"),
    )


class _Service:
    """One service of a color."""

    def __init__(self, name: str, config: Given, mould: Mould) -> None:
        self.name = name
        self.config = config
        self.mould = mould
        self.given: Given = config["services"][name]

    @property
    def made(self) -> dict[str, Any]:
        """The service as its color has it."""
        kept = {key: value for key, value in self.given.items() if key not in (*OWN, *LEFT_OUT)}
        kept.setdefault("stop_grace_period", f"{self._grace:g}s")
        kept |= {"image": self._image, "labels": self._labels}
        check: Given = kept.get("healthcheck") or {}
        if self.mould.quick and check.get("test") and not check.get("disable"):
            kept["healthcheck"] = {**QUICK, **check}
        elif not self.mould.quick and "start_interval" in check:
            kept["healthcheck"] = but(check, "start_interval")
        if self.name == self.mould.sick:
            kept["healthcheck"] = {"test": ["CMD", "false"], "interval": "1s", "retries": 3}
        if build := self._build():
            kept["build"] = build
        if needs := self._needs():
            kept["depends_on"] = needs
        if volumes := self._volumes():
            kept["volumes"] = volumes
        kept |= self._joined()
        if "network_mode" not in kept:
            kept["networks"] = self._networks()
            links = self._links() if self.mould.linked else ()
            if links:  # an empty list is none where Compose merges two files
                kept["external_links"] = links
        return kept

    def _joined(self) -> dict[str, Any]:
        """What it has of others, which are its own color's."""
        found: dict[str, Any] = {}
        for key in JOINED:
            if mode := str(self.given.get(key) or ""):
                other = mode.removeprefix("service:")
                found[key] = mode if other == mode else f"service:{self.mould.named(other)}"
        if mounted := self.given.get("volumes_from"):
            found["volumes_from"] = [
                each if each.startswith("container:") else self._called(each) for each in mounted
            ]
        return found

    def _called(self, mounted: str) -> str:
        """The service whose volumes are mounted, as NAME or NAME:ro."""
        name, mark, how = mounted.partition(":")
        return f"{self.mould.named(name)}{mark}{how}"

    @property
    def _grace(self) -> float:
        """The seconds that it gets to end, where it does not say how many it wants."""
        late = self.mould.adopted.services[self.name] in (Role.WORKER, Role.SCHEDULER)
        return self.mould.grace if late or not self.mould.held else COMPOSES

    @property
    def _image(self) -> str:
        usual = f"{self.mould.adopted.project}-{self.name}:{self.mould.version}"
        return str(self.given.get("image") or usual)

    @property
    def _labels(self) -> dict[str, str]:
        given: Given = self.given.get("labels") or {}
        mould = self.mould
        return {
            **{key: value for key, value in given.items() if not str(key).startswith(ACTING)},
            "cyan.app": mould.app,
            "cyan.color": str(mould.color),
            "cyan.service": self.name,
            "cyan.role": str(mould.adopted.services[self.name]),
            "cyan.version": mould.version,
            "cyan.release": mould.release,
            "cyan.by": mould.by.replace("$", "$$"),
        }

    def _build(self) -> Given:
        """How it is built, from a folder beside the others that are sent."""
        build: Given = self.given.get("build") or {}
        if not build or "://" in str(build.get("context", "")):
            return build
        context = PurePosixPath(str(build.get("context") or "."))
        folder = folder_of(self.config)
        if not context.is_relative_to(folder):
            raise UsageError(
                f"{self.name} is built from {context}, which is outside of {folder}",
                todo="only the folder of the Compose file is sent to the host: build the image "
                "here and send it (cyan.images.from: send), or pull it",
            )
        return {**build, "context": f"./{context.relative_to(folder)}"}

    def _needs(self) -> dict[str, Any]:
        """What of its own color it waits for; the shared services run."""
        adopted, needs = self.mould.adopted, dict(self.given.get("depends_on") or {})
        routed = {route.service for route in adopted.routes}
        if self.name in routed:  # as their own nginx, which ends where it finds no name
            for name in set(adopted.named(Role.WEB)) - routed:
                if self.name not in _needed(name, self.config):
                    needs.setdefault(name, STARTED)
        late = adopted.named(Role.WORKER, Role.SCHEDULER)  # these begin when the color is live
        there = set(adopted.rotating) - set(late if self.name not in late else ())
        return {self.mould.named(name): needs[name] for name in sorted(needs) if name in there}

    def _volumes(self) -> list[Given]:
        folder = folder_of(self.config)
        made: list[Given] = []
        for each in mounts_of(self.name, self.config, self.mould.adopted):
            source = PurePosixPath(str(each.get("source") or ""))
            if each["type"] != "bind" or not source.is_relative_to(folder):
                made.append(each)
                continue
            sent = {**each, "source": f"./{FILES}/{source.relative_to(folder)}"}
            stays = there(each, folder, self.mould.adopted)
            made.append(sent if goes_along(each) else stays)
        return made

    def _networks(self) -> dict[str, Any]:
        """Its color's own, where it has the names that it has elsewhere; and those, as they are."""
        joined: Given = self.given.get("networks") or {}
        asked = {route.service for route in self.mould.adopted.routes}
        aliases = [self.name, *_also_called(self.given)]
        if self.name in asked:
            aliases.append(upstream(self.mould.app, self.mould.color, self.name))
        return {
            NETWORK: {"aliases": list(dict.fromkeys(aliases))},
            **dict.fromkeys(joined),
        }

    def _links(self) -> list[str]:
        """Its siblings by their containers' names: asked for first, and found in no other place.

        A link leads to one container: of those that have more, the network's own name must do.
        """
        made = []
        adopted, project = self.mould.adopted, f"{self.mould.app}-{self.mould.color}"
        for name in adopted.rotating:
            other: Given = self.config["services"][name]
            once = adopted.services[name] is Role.ONCE
            if name == self.name or once or _replicas(other) != 1 or other.get("network_mode"):
                continue
            container = f"{project}-{self.mould.named(name)}-1"
            made += [f"{container}:{alias}" for alias in (name, *_also_called(other))]
        for link in (*(self.given.get("links") or ()), *(self.given.get("external_links") or ())):
            target, _, alias = str(link).partition(":")
            made.append(f"{self._linked(target)}:{alias or target}")
        return list(dict.fromkeys(made))

    def _linked(self, target: str) -> str:
        """The container that a link of theirs leads to."""
        adopted = self.mould.adopted
        if target in adopted.rotating:
            return f"{self.mould.app}-{self.mould.color}-{self.mould.named(target)}-1"
        other: Given = self.config["services"].get(target)
        if other is None:
            return target  # an external one's
        return str(other.get("container_name") or f"{adopted.project}-{target}-1")


def _needed(name: str, config: Given) -> set[str]:
    """All services that one waits for, and those that these wait for."""
    found: set[str] = set()
    new = {name}
    while new:
        found |= new
        each = (config["services"].get(one, {}).get("depends_on") or {} for one in new)
        new = {other for needs in each for other in needs} - found
    return found


def _known(config: Given, adopted: AdoptedSettings) -> None:
    there = set(config.get("services") or {})
    if new := sorted(there - set(adopted.services)):
        raise UsageError(
            f"the Compose file has {', '.join(new)}, of which cyan.adopted.services says nothing",
            todo="cyan init --check says what it would be taken for; then name it there",
        )
    if gone := sorted(set(adopted.rotating) - there):
        raise UsageError(
            f"the Compose file has no {', '.join(gone)}, which cyan.adopted.services names",
            todo=f"take it out there; the file has {', '.join(sorted(there)) or 'no service'}",
        )


def _also_called(service: Given) -> Iterator[str]:
    """The other names that a service has: its container's, and its aliases."""
    if name := service.get("container_name"):
        yield str(name)
    for joined in (service.get("networks") or {}).values():
        yield from (joined or {}).get("aliases") or ()


def _replicas(service: Given) -> int:
    deploy: Given = service.get("deploy") or {}
    return int(service.get("scale") or deploy.get("replicas") or 1)


def _networks(config: Given, services: Given, mould: Mould) -> dict[str, Any]:
    joined = {key for each in services.values() for key in each.get("networks") or ()}
    return {
        NETWORK: {"name": mould.network, "external": True},
        **{
            key: {"name": _real(config, "networks", key), "external": True}
            for key in sorted(joined - {NETWORK})
        },
    }


def _top(key: str, config: Given, services: Given) -> dict[str, Any]:
    """The volumes, configs or secrets that the color's services use, by their own names."""
    given: Given = config.get(key) or {}
    used = _sources(key, services.values())
    if key == "volumes":
        return {name: {"name": _real(config, key, name), "external": True} for name in sorted(used)}
    folder = folder_of(config)
    made = {}
    for name in sorted(used):
        each = dict(given[name])
        path = PurePosixPath(str(each.get("file") or ""))
        if each.get("file") and path.is_relative_to(folder):
            each["file"] = f"./{FILES}/{path.relative_to(folder)}"
        made[name] = each
    return made


def _sources(key: str, services: Iterable[Given]) -> set[str]:
    kinds = ("volume",) if key == "volumes" else (None,)
    return {
        str(each["source"])
        for service in services
        for each in service.get(key) or ()
        if each.get("type") in kinds and each.get("source")
    }


def _real(config: Given, key: str, name: str) -> str:
    """The name that a network or volume has on the host."""
    given: Given = (config.get(key) or {}).get(name) or {}
    return str(given.get("name") or f"{config['name']}_{name}")
