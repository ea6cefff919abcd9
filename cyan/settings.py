"""What the user asked for: invoke.yaml, environment and flags, validated into frozen models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic import field_validator as validated

from cyan.adopted import IMAGES, AdoptedSettings, HostProxySettings
from cyan.bundled import bundled, text_of
from cyan.errors import UsageError
from cyan.names import APP_PATTERN, Color, EngineKind, Role, Server, Strategy, in_color
from cyan.sections import (
    BakeSettings,
    ComposeSettings,
    DoorSettings,
    DrainSettings,
    HealthSettings,
    HoldSettings,
    HookSettings,
    HostSettings,
    ImagesSettings,
    LabSettings,
    MigrateSettings,
    ProveSettings,
    PublicSettings,
    ReloadSettings,
    SecretsSettings,
    SiteSettings,
    SmokeCheck,
    VerifySettings,
    WarmSettings,
)
from cyan.values import (
    Local,
    Model,
    Name,
)

FRONT = "cyan-proxy"
"""The service of the host's one proxy."""

PROXY = "proxy"
"""The service that is the proxy where the settings name only its program."""

CYANS_OWN = (
    "compose",
    "caddyfile",
    "stateless",
    "stateful",
    "workers",
    "schedulers",
    "proxy",
    "doors",
)
"""Keys that follow from what an adopted application's own files say."""

START_INTERVAL = re.compile(r"^ *start_interval:.*\n", re.MULTILINE)
"""A line of a Compose file; the health check of Podman's API of Docker has no such thing."""

LOOPBACK = ("127.0.0.1", "::1")

LEGACY_ENVIRONMENT = {
    "HEALTH_CHECK_TIMEOUT": ("health", "timeout"),
    "HEALTH_CHECK_INTERVAL": ("health", "interval"),
    "DRAIN_TIMEOUT": ("drain", "timeout"),
}
"""Environment variables that win over invoke.yaml, and the setting each stands for."""

NODES = "hosts.json"
"""In the lab's directory: the hosts beside the first one, as cyan.hosts has them."""


PODMAN_NODE = "podman.json"
"""There, too: the lab's host where its engine is Podman."""


class Settings(Model):
    """Every setting; `invoke.yaml` beside tasks.py shows each with a comment.

    What runs containers is the hosts' `engine`: docker, or podman (5 or newer).
    `proxy` is the shared service that is the proxy, or `nginx` or `caddy`, which is its `server`
    and may be said so, too. An application that is `adopted` has no Compose files and no Caddyfile
    of cyan's: what they would say follows from its own, and its proxy is the host's.
    """

    app: str
    engine: EngineKind = EngineKind.DOCKER
    hosts: tuple[HostSettings, ...] = Field(min_length=1)
    directory: Local
    compose: ComposeSettings = ComposeSettings()
    caddyfile: Local = bundled("Caddyfile")
    stateless: tuple[Name, ...] = Field(min_length=1)
    stateful: tuple[Name, ...] = Field(min_length=1)
    workers: tuple[Name, ...] = ()
    schedulers: tuple[Name, ...] = ()
    proxy: Name
    server: Server = Server.CADDY
    public: PublicSettings
    site: SiteSettings = Field(default_factory=lambda: SiteSettings.model_validate({}))
    doors: DoorSettings = DoorSettings()
    health: HealthSettings = HealthSettings()
    drain: DrainSettings = DrainSettings()
    strategy: Strategy = Strategy.COLORS
    hold: HoldSettings = HoldSettings()
    bake: BakeSettings = BakeSettings()
    prove: ProveSettings = ProveSettings()
    smoke: tuple[SmokeCheck, ...] = ()
    hooks: tuple[HookSettings, ...] = ()
    reload: ReloadSettings = ReloadSettings()
    warm: WarmSettings = WarmSettings()
    images: ImagesSettings = ImagesSettings()
    secrets: SecretsSettings = SecretsSettings()
    keep_releases: Annotated[int, Field(ge=2)] = 10
    migrate: MigrateSettings = MigrateSettings()
    lab: LabSettings = LabSettings()
    verify: VerifySettings = VerifySettings()
    adopted: AdoptedSettings | None = None
    host_proxy: HostProxySettings = HostProxySettings()

    @model_validator(mode="before")
    @classmethod
    def _of_the_adopted(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was configured
        """What an adopted application's services and routes say is said once, there."""
        if not isinstance(given, Mapping):
            return given
        given = _by_engine(_by_server(given))
        if not given.get("adopted"):
            return given
        for key in CYANS_OWN:
            if key in given:
                raise ValueError(f"cyan.{key} is cyan's own to say where cyan.adopted is given")
        adopted = AdoptedSettings.model_validate(given["adopted"])
        first, site = adopted.routes[0], dict(given.get("site") or {})
        public = {"service": first.service, "port": first.port, "ready": "/", "below": 500}
        if first.published and not site.get("domain"):
            site.setdefault("port", first.published)
        if first.host and not site.get("domain"):
            site.setdefault("host", first.host)
        return {
            **given,
            "stateless": adopted.rotating,
            "stateful": (*adopted.shared, FRONT),
            "workers": adopted.named(Role.WORKER),
            "schedulers": adopted.named(Role.SCHEDULER),
            "proxy": FRONT,
            "public": {**public, **(given.get("public") or {})},
            "site": site,
        }

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        given = {
            "site.tell_color": self.site.tell_color,
            "site.keepalive": self.site.keepalive,
            "public.below": self.public.below,
            "site.behind": self.site.behind,
        }
        for key, value in given.items():
            if value and not self.adopted:
                raise ValueError(f"cyan.{key} is for an application that is adopted")
        return self

    @model_validator(mode="after")
    def _named_services_are_there(self) -> Self:
        named = (
            ("public.service", (self.public.service,), "stateless"),
            ("workers", self.workers, "stateless"),
            ("schedulers", self.schedulers, "stateless"),
            ("warm.services", self.warm.kept, "stateless"),
            ("health.services", tuple(self.health.services), "stateless"),
            ("smoke", tuple(each.service for each in self.smoke if each.service), "stateless"),
            ("migrate.service", self.migrate.named, "stateless"),
            ("proxy", (self.proxy,), "stateful"),
            ("migrate.database.service", self.migrate.database.named, "stateful"),
        )
        for key, names, group in named:
            for name in names:
                if name not in getattr(self, group):
                    raise ValueError(f"cyan.{key} names {name!r}, which cyan.{group} does not have")
        if self.public.service in (*self.workers, *self.schedulers):
            raise ValueError(f"cyan.public.service, {self.public.service!r}, starts with its color")
        return self

    @validated("app")
    @classmethod
    def _app_names_a_project(cls, app: str) -> str:
        if not APP_PATTERN.fullmatch(app):
            msg = "use at most 41 lower-case letters, digits and '-', not beginning with '-'"
            raise ValueError(msg)
        return app

    @model_validator(mode="after")
    def _only_who_stays_in_front_comes(self) -> Self:
        if not self.site.behind:
            return self
        if self.site.domain:
            raise ValueError("cyan.site.behind: who is in front has the domain; cyan.site.host")
        for each in self.adopted.routes if self.adopted else ():
            if each.bind not in LOOPBACK:
                port = each.published or self.site.port
                raise ValueError(
                    f"cyan.site.behind: port {port} is open to everybody, who could say to be "
                    "anybody; bind: 127.0.0.1 in adopted.routes"
                )
        return self

    @model_validator(mode="after")
    def _certificate_is_for_nginx(self) -> Self:
        site, nginx = self.site, self.server is Server.NGINX
        if bool(site.certificate) != bool(site.key):
            raise ValueError("cyan.site.certificate and cyan.site.key are given together")
        if site.keepalive and nginx:
            raise ValueError(
                "cyan.site.keepalive is for Caddy: nginx keeps no connection to a color"
            )
        if site.certificate and not nginx:
            raise ValueError("cyan.site.certificate is for nginx: Caddy gets its own")
        if site.domain and nginx and not site.certificate:
            raise ValueError("nginx gets no certificate: cyan.site.certificate and cyan.site.key")
        return self

    @property
    def stateless_text(self) -> str:
        """The Compose file of a color. Raises UsageError where it cannot be read."""
        path = self.compose.stateless
        return self._known(text_of(path, "cyan.compose.stateless", "compose/stateless.yml"))

    @property
    def stateful_text(self) -> str:
        """The Compose file of the shared services. Raises UsageError where it cannot be read."""
        path = self.compose.stateful
        return self._known(text_of(path, "cyan.compose.stateful", "compose/stateful.yml"))

    def _known(self, text: str) -> str:
        """A Compose file without what Podman does not know, and Compose would refuse there."""
        return START_INTERVAL.sub("", text) if self.engine is EngineKind.PODMAN else text

    @property
    def caddyfile_text(self) -> str:
        """The proxy's configuration. Raises UsageError where it cannot be read."""
        return text_of(self.caddyfile, "cyan.caddyfile", "Caddyfile")

    @property
    def proxy_file(self) -> str:
        """What the proxy's configuration is called."""
        return "Caddyfile" if self.server is Server.CADDY else "nginx.conf"

    @property
    def rate(self) -> float:
        """Requests a second of a verification.

        Unless given, what two cores carry that are clients, proxy and application at once: the
        handshakes of TLS take so much of them that at 300 a deploy has too little left. Where
        requests wait, all of them are in flight at once.
        """
        plain = not self.site.domain and not self.adopted and self.strategy is Strategy.COLORS
        usual = 300.0 if plain else 100.0
        if len(self.hosts) > 1:  # those of a lab are all one machine
            usual = 60.0 if self.is_lab else 100.0
        return self.verify.rate or usual

    @property
    def is_lab(self) -> bool:
        """Whether all that is deployed to is this machine, by the lab's sshd."""
        return all(
            (host.is_here and host.port == self.lab.ssh_port) or host.address in self.lab.nodes
            for host in self.hosts
        )

    @property
    def proxy_project(self) -> str:
        """The Compose project of the proxy."""
        return self.host_proxy.project if self.adopted else self.app

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the host that users reach."""
        others = self.adopted.published if self.adopted and not self.site.domain else ()
        return tuple(dict.fromkeys((*self.site.ports, *others)))

    @property
    def door_ports(self) -> tuple[int, ...]:
        """The ports of the colors' private doors, on the host's loopback."""
        return tuple(dict.fromkeys(map(self.door_of, Color)))

    def door_of(self, color: Color) -> int:
        """The port of a color's private door: of an adopted application a header says whose."""
        return self.host_proxy.door if self.adopted else self.doors.of(color)

    def in_compose(self, service: str, color: Color) -> str:
        """What Compose calls a service in a color's project."""
        return in_color(service, color) if self.adopted else service

    def project(self, color: Color) -> str:
        """The Compose project of one color."""
        return f"{self.app}-{color}"


def load(section: Mapping[str, Any], environment: Mapping[str, str], base: Path) -> Settings:
    """Validate the `cyan` section of the configuration.

    `environment` may hold the variables of LEGACY_ENVIRONMENT. A relative path of this machine is
    taken from `base`, the folder of tasks.py. Raises UsageError naming each key and its fault.
    """
    merged = {key: _plain(value) for key, value in section.items()}
    for variable, (group, key) in LEGACY_ENVIRONMENT.items():
        if variable in environment:
            merged[group] = {**(merged.get(group) or {}), key: environment[variable]}
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise UsageError(
            "the configuration is not valid",
            where="\n         ".join(_fault(item) for item in error.errors()),
            todo="mend invoke.yaml, or the INVOKE_CYAN_* or HEALTH_CHECK_* variable of that key",
        ) from None
    return _with_nodes(_anchored(settings, base))


def _with_nodes(settings: Settings) -> Settings:
    """The lab has the hosts that `inv lab.up --hosts` made."""
    if not settings.is_lab:
        return settings
    if settings.engine is EngineKind.PODMAN:
        return with_podman(settings)
    made = settings.lab.directory / NODES
    if not made.exists():
        return settings
    nodes = tuple(HostSettings.model_validate(each) for each in json.loads(made.read_text()))
    addresses = tuple(each.address for each in nodes)
    lab = settings.lab.model_copy(update={"nodes": addresses})
    return settings.model_copy(update={"hosts": (*settings.hosts, *nodes), "lab": lab})


def with_podman(settings: Settings) -> Settings:
    """The lab is the host that `inv lab.up` made, once it has."""
    made = settings.lab.directory / PODMAN_NODE
    if not made.exists():
        return settings
    node = HostSettings.model_validate_json(made.read_text())
    lab = settings.lab.model_copy(update={"nodes": (node.address,)})
    site = settings.site.model_copy(update={"host": node.address})
    return settings.model_copy(update={"hosts": (node,), "lab": lab, "site": site})


def machine_of(name: str, settings: Settings) -> HostSettings:
    """`user@host:port` as a machine; one of the configured hosts where it is that.

    Raises UsageError where it names none.
    """
    known = next((host for host in settings.hosts if name in {host.name, host.address}), None)
    if known:
        return known
    user, _, place = name.rpartition("@")
    address, _, port = place.partition(":")
    return machine_at(address, port or 22, user)


def machine_at(address: str, port: str | int, user: str) -> HostSettings:
    """The machine at an address; as the one who asks where `user` is "". Raises UsageError."""
    given = {"address": address, **({"user": user} if user else {}), "port": port}
    try:
        return HostSettings.model_validate(given)
    except ValidationError:
        name = f"{user}@{address}:{port}"
        raise UsageError(f"{name!r} is no machine", todo="user@host or user@host:port") from None


def _plain(value: Any) -> Any:  # noqa: ANN401 - configuration is any JSON-like value
    """Invoke's DataProxy objects as plain dictionaries and lists."""
    if isinstance(value, Mapping) or hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _by_server(given: Mapping[str, Any]) -> dict[str, Any]:
    """`proxy: nginx` says which program it is, unless a service is called so."""
    proxy, made = str(given.get("proxy", "")), dict(given)
    if proxy not in tuple(Server):
        return made
    made["server"] = proxy
    if made.get("adopted"):
        del made["proxy"]
        made["host_proxy"] = {"image": IMAGES[Server(proxy)], **(made.get("host_proxy") or {})}
        made["host_proxy"]["server"] = proxy
    elif proxy not in made.get("stateful", ()):
        made["proxy"] = PROXY
    return made


def _by_engine(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """`engine: podman` is said once, and holds for each host and for its proxy."""
    hosts, engine = given.get("hosts"), given.get("engine")
    if not engine or not isinstance(hosts, list | tuple):
        return given
    all_of_it = {"engine": engine}
    each = [all_of_it | dict(host) if isinstance(host, Mapping) else host for host in hosts]
    return {**given, "hosts": each, "host_proxy": all_of_it | (given.get("host_proxy") or {})}


def _fault(item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    loc = item["loc"]
    if loc and loc[0] in AdoptedSettings.model_fields.keys() - Settings.model_fields.keys():
        loc = ("adopted", *loc)  # it is validated before the rest, and by itself
    key = ".".join(["cyan", *(str(part) for part in loc)])
    whole = item["type"] == "missing" or isinstance(item["input"], Mapping)
    given = "" if whole else f" (got {item['input']!r})"
    return f"{key}: {item['msg']}{given}"


def _anchored(settings: Settings, base: Path) -> Settings:
    """The same settings with this machine's relative paths made absolute."""

    def at(path: Path) -> Path:
        try:
            return base / path.expanduser()
        except RuntimeError:  # ~nobody
            raise UsageError(f"{path} names a user that this machine does not have") from None

    hosts = tuple(
        host.model_copy(
            update={
                "identity": at(host.identity) if host.identity else None,
                "known_hosts": at(host.known_hosts) if host.known_hosts else None,
            }
        )
        for host in settings.hosts
    )
    folder = settings.migrate.directory
    built = base if settings.adopted else settings.compose.stateless.parent
    compose = ComposeSettings(
        stateful=at(settings.compose.stateful), stateless=at(settings.compose.stateless)
    )
    return settings.model_copy(
        update={
            "hosts": hosts,
            "directory": _mountable(at(_same_there(settings))),
            "compose": compose,
            "caddyfile": at(settings.caddyfile),
            "adopted": settings.adopted
            and settings.adopted.model_copy(
                update={
                    "folder": at(settings.adopted.folder),
                    "snippet": at(settings.adopted.snippet) if settings.adopted.snippet else None,
                }
            ),
            "host_proxy": settings.host_proxy.model_copy(
                update={"directory": _mountable(at(settings.host_proxy.directory))}
            ),
            "migrate": settings.migrate.model_copy(update={"directory": folder and at(folder)}),
            "images": settings.images.model_copy(
                update={"context": at(settings.images.context or built)}
            ),
            "secrets": settings.secrets.model_copy(
                update={"file": at(settings.secrets.file) if settings.secrets.file else None}
            ),
            "lab": settings.lab.model_copy(
                update={
                    "directory": at(settings.lab.directory),
                    "secrets": at(settings.lab.secrets) if settings.lab.secrets else None,
                }
            ),
            "verify": settings.verify.model_copy(
                update={
                    "locustfile": at(settings.verify.locustfile),
                    "load": at(settings.verify.load) if settings.verify.load else None,
                }
            ),
        }
    )


def _same_there(settings: Settings) -> Path:
    """The directory, if it means the same on the hosts as here.

    A relative one, or one of somebody's home, is another there; only the lab is this machine.
    """
    directory = settings.directory
    others = [host.name for host in settings.hosts if not host.is_here]
    if not directory.is_absolute() and others:
        raise UsageError(
            f"cyan.directory {str(directory)!r} would be taken from this machine's folders",
            where=", ".join(others),
            todo=f"a path that begins with '/' on the host, such as /srv/{settings.app}",
        )
    return directory


def _mountable(directory: Path) -> Path:
    """The directory if Compose can mount its folders: it splits a volume at every colon."""
    if ":" in str(directory) or directory == Path(directory.anchor):
        raise UsageError(
            f"cyan.directory cannot be {str(directory)!r}",
            todo="a folder of its own on the host, whose path holds no ':'",
        )
    return directory
