"""What the user asked for: invoke.yaml, environment and flags, validated into frozen models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic import field_validator as validated

from cyan.adopted import IMAGES, AdoptedSettings, HostProxySettings
from cyan.bundled import bundled, text_of
from cyan.names import APP_PATTERN, Color, EngineKind, Role, Server, Strategy, in_color
from cyan.sections import (
    BakeSettings,
    ColorsSettings,
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


class Settings(Model):
    """Every setting; `invoke.yaml` beside tasks.py shows each with a comment.

    What runs containers is the hosts' `engine`: docker, podman (5 or newer), or swarm, where each
    host is a manager and has a proxy; the first one begins and ends what runs, for all of them.
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
    colors: ColorsSettings = ColorsSettings()
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
    def _engine_is_said_once(self) -> Self:
        if any(host.engine is not self.engine for host in self.hosts):
            raise ValueError("cyan.engine says it for all hosts: what is sent to them follows it")
        return self

    @model_validator(mode="after")
    def _swarm_is_for_the_adopted(self) -> Self:
        if self.engine is not EngineKind.SWARM:
            if self.colors != ColorsSettings():
                raise ValueError("cyan.colors is for nodes of a swarm: cyan.engine: swarm")
            return self
        if self.adopted is None:
            raise ValueError("cyan.engine: swarm is for an application that is adopted: cyan init")
        if self.site.sticky:
            raise ValueError("cyan.site.sticky is for hosts that have colors of their own")
        if self.strategy is not Strategy.COLORS:
            raise ValueError("cyan.strategy is colors on a swarm: its nodes have room for both")
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        given = {
            "site.tell_color": self.site.tell_color,
            "site.keepalive": self.site.keepalive != "auto",
            "site.answers_within": self.site.answers_within,
            "site.sticky": self.site.sticky,
            "public.below": self.public.below,
            "site.behind": self.site.behind,
            "verify.application": self.verify.application,
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
        if site.keepalive not in (0, "auto") and nginx:
            raise ValueError(
                "cyan.site.keepalive is for Caddy: nginx keeps no connection to a color"
            )
        if site.answers_within and nginx:
            raise ValueError("cyan.site.answers_within is for Caddy")
        if site.sticky and nginx:
            raise ValueError("cyan.site.sticky is for Caddy")
        if site.certificate and not nginx:
            raise ValueError("cyan.site.certificate is for nginx: Caddy gets its own")
        if site.domain and nginx and not site.certificate:
            raise ValueError("nginx gets no certificate: cyan.site.certificate and cyan.site.key")
        return self

    @property
    def shares_colors(self) -> bool:
        """Whether its hosts lead to the same containers: those of a swarm."""
        return self.engine is EngineKind.SWARM and len(self.hosts) > 1

    def leads(self, machine: HostSettings) -> bool:
        """Whether a host begins and ends what runs: each its own, of a swarm the first for all."""
        first = self.hosts[0]
        mine = (machine.address, machine.port) == (first.address, first.port)
        return mine or self.engine is not EngineKind.SWARM

    def at(self, machine: HostSettings) -> Settings:
        """The same as they are on one of the hosts: what another one has is not asked of it.

        The database may be at one of them only, and on a swarm what is shared is at the first.
        """
        leads, database = self.leads(machine), self.migrate.host in ("", machine.address)
        if leads and database:
            return self
        none = {"directory": None, "expand": "", "contract": ""}
        changes: dict[str, Any] = {"migrate": self.migrate.model_copy(update=none)}
        return self.model_copy(update=changes if leads else {**changes, "stateful": (FRONT,)})

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
        others = self.adopted.published if self.adopted else ()
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
    each = [dict(host) | all_of_it if isinstance(host, Mapping) else host for host in hosts]
    return {**given, "hosts": each, "host_proxy": (given.get("host_proxy") or {}) | all_of_it}
