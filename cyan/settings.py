"""What the user asked for: invoke.yaml, environment and flags, validated into frozen models."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic import field_validator as validated

from cyan.adopted import AdoptedSettings, HostProxySettings
from cyan.bundled import bundled, text_of
from cyan.errors import UsageError
from cyan.names import APP_PATTERN, Color, Kind, Role, in_color, seconds
from cyan.values import (
    AbsolutePath,
    DomainIfAny,
    Headers,
    Local,
    Model,
    Name,
    Port,
    RequestPath,
    RequestPathIfAny,
    Seconds,
    Variable,
    Version,
)

LOCAL = (".local", ".internal", ".home.arpa")
"""Names that Caddy certifies by its own authority: https://caddyserver.com/docs/automatic-https."""

FRONT = "cyan-proxy"
"""The service of the host's one proxy."""

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

LEGACY_ENVIRONMENT = {
    "HEALTH_CHECK_TIMEOUT": ("health", "timeout"),
    "HEALTH_CHECK_INTERVAL": ("health", "interval"),
    "DRAIN_TIMEOUT": ("drain", "timeout"),
}
"""Environment variables that win over invoke.yaml, and the setting each stands for."""


class HostSettings(Model):
    """One machine that the application is deployed to, and how SSH reaches it."""

    address: str = Field(min_length=1, pattern=r"^[a-zA-Z0-9:][a-zA-Z0-9:._-]*$")
    port: Port = 22
    user: str = Field(
        default_factory=getpass.getuser,
        validate_default=True,  # it comes from the environment
        pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$",
    )
    identity: Local | None = None
    known_hosts: Local | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, by its address."""
        return self.address in ("127.0.0.1", "::1", "localhost")

    @property
    def name(self) -> str:
        """The host as messages name it."""
        return f"{self.user}@{self.address}:{self.port}"


class ComposeSettings(Model):
    """The two Compose files: what both colors share, and one color."""

    stateful: Local = Path("compose/stateful.yml")
    stateless: Local = Path("compose/stateless.yml")


class PublicSettings(Model):
    """The service that users reach, the path that says it is ready, and what is sent to ask it.

    It is ready when it answers 200 or, where `below` is given, with any status below that.
    """

    service: Name
    port: Port = 8000
    ready: RequestPath = "/ready"
    below: Annotated[int, Field(ge=201, le=600)] | None = None
    send: Headers = Field(default_factory=dict)


class SiteSettings(Model):
    """Where the site answers, seen from the host, and the name that its users call it by.

    With a `domain` it is served over HTTPS, and plain HTTP redirects there; without one over plain
    HTTP, to whoever sends `host`. The ports are those that are usual for either.

    Of an adopted application: whether answers say their color, as X-Color, and for how many seconds
    the proxy keeps an idle connection to it (0: not at all): shorter than the application does, or
    a request meets it closing.
    """

    domain: DomainIfAny = ""
    port: Port
    tls_port: Port
    host: str = Field(default="127.0.0.1", pattern=r"^[a-zA-Z0-9.:-]+$")
    tell_color: bool = False
    keepalive: Annotated[float, Field(ge=0, le=3600)] = 0

    @model_validator(mode="before")
    @classmethod
    def _usual_ports(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was configured
        if not isinstance(given, Mapping):
            return given
        plain, secure = (80, 443) if given.get("domain") else (8080, 8443)
        return {"port": plain, "tls_port": secure, **given}

    @property
    def name(self) -> str:
        """The Host header that users send, without its port."""
        return self.domain or self.host

    @property
    def is_local(self) -> bool:
        """Whether no public authority certifies the domain: the proxy's own does."""
        return self.is_here or self.domain.endswith(LOCAL)

    @property
    def is_here(self) -> bool:
        """Whether the domain leads each machine to itself: https://www.rfc-editor.org/rfc/rfc6761."""
        return self.domain == "localhost" or self.domain.endswith(".localhost")

    @property
    def url(self) -> str:
        """The site as its users ask for it."""
        if self.domain:
            return f"https://{self.domain}" + (f":{self.tls_port}" if self.tls_port != 443 else "")  # noqa: PLR2004
        return f"http://{self.host}:{self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that users reach."""
        return (self.port, self.tls_port) if self.domain else (self.port,)


class DoorSettings(Model):
    """Each color's private door, on the host's loopback only."""

    blue: Port = 8001
    green: Port = 8002

    def of(self, color: Color) -> int:
        """The port of `color`'s door."""
        return self.blue if color is Color.BLUE else self.green


class HealthSettings(Model):
    """When a standby color counts as healthy; `services` have a timeout of their own."""

    timeout: Seconds = 300
    services: Mapping[Name, Seconds] = Field(default_factory=dict)
    interval: Annotated[float, Field(gt=0, le=3600)] = 1
    passes: Annotated[int, Field(ge=1, le=100)] = 2


class DrainSettings(Model):
    """How long requests in flight to the old color may take to end."""

    timeout: Seconds = 30
    settle: Seconds = 0.3


class BakeSettings(Model):
    """How long the new live color is watched, with the old one still warm, and what is too bad.

    `errors` is how much more of its answers may be 5xx than of the old color's just before,
    `slower` how many times its 95th percentile may be the old color's, by more than `slower_by`.
    With `prove` the deploy itself may have failed no request by then: cyan.rollout.witnessed.
    """

    seconds: Seconds = 2
    errors: Annotated[float, Field(ge=0, le=1)] = 0.01
    prove: bool = False
    slower: Annotated[float, Field(ge=1)] = 5
    slower_by: Seconds = 0.5


class ProveSettings(Model):
    """How often a second a deploy asks the site while it happens; 0 for never."""

    rate: Annotated[float, Field(ge=0, le=100)] = 10


class SmokeCheck(Model):
    """One request through the standby's private door and what its answer must be.

    `send` are headers of the request; `headers` and `fields` (of a JSON body, as
    `order.items.0.name`) must be in the answer and equal.
    In the place of a path, `command` is run in the container of `service` and must exit with 0.
    """

    path: RequestPathIfAny = ""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"] = "GET"
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: str = ""
    send: Headers = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    fields: Mapping[str, str | int | float | bool | None] = Field(default_factory=dict)
    body: str = ""
    within: Annotated[float, Field(gt=0, le=86_400)] = 10
    service: Name | None = None
    command: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.path) == bool(self.command) or bool(self.command) != bool(self.service):
            msg = "give a path, or a service and a command to run in it"
            raise ValueError(msg)
        return self

    @property
    def name(self) -> str:
        """The check as messages name it."""
        return f"{self.service}: {' '.join(self.command)}" if self.command else self.request

    @property
    def request(self) -> str:
        """What is asked of the door."""
        return f"{self.method} {self.path}"


class HookSettings(Model):
    """A command of the user's before or after one step, on this machine or on the host."""

    before: Kind | None = None
    after: Kind | None = None
    run: str = Field(min_length=1)
    where: Literal["here", "host"] = "here"
    within: Annotated[float, Field(gt=0, le=86_400)] = 60

    @model_validator(mode="before")
    @classmethod
    def _where(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was configured
        if isinstance(given, Mapping) and {"on", True} & set(given):  # YAML reads on as true
            raise ValueError("the place of a hook is called 'where': where: host, or where: here")
        return given

    @model_validator(mode="after")
    def _before_or_after(self) -> Self:
        if (self.before is None) == (self.after is None):
            msg = "give either before or after, and the step"
            raise ValueError(msg)
        return self


class ReloadSettings(Model):
    """How long clients are asked to reconnect before a changed Caddyfile is loaded."""

    lameduck: Seconds = 5


class WarmSettings(Model):
    """What stays up of the old color after a switch, and how long; 0: until the next deploy."""

    services: Literal["all", "none"] | tuple[Name, ...] = "all"
    seconds: Seconds = Field(default=0, alias="for")

    @property
    def kept(self) -> tuple[str, ...]:
        """The services that are named, where it is not all or none."""
        return self.services if isinstance(self.services, tuple) else ()

    @validated("seconds", mode="before")
    @classmethod
    def _a_duration(cls, given: object) -> object:
        try:
            return seconds(given) if isinstance(given, str) else given
        except UsageError as error:
            raise ValueError(error.what) from None


class LoginSettings(Model):
    """How the host logs in to a registry; the password is another's to keep."""

    registry: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.:_/-]*$")
    user: str = Field(min_length=1, pattern=r"^[^-\x00-\x1f][^\x00-\x1f]*$")
    password_environment: str = ""
    password_command: str = ""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if bool(self.password_environment) == bool(self.password_command):
            raise ValueError("give either password_environment or password_command")
        return self


class ImagesSettings(Model):
    """How a release's images come to the host."""

    source: Literal["pull", "build", "send"] = Field(default="pull", alias="from")
    login: LoginSettings | None = None
    context: Path | None = None


class SecretsSettings(Model):
    """Where the values come from that a release's containers get and nobody else."""

    file: Path | None = None
    environment: tuple[Variable, ...] = ()
    command: str = ""


class DatabaseSettings(Model):
    """The shared service that is PostgreSQL, and how psql reaches it from inside its container.

    `socket` is what psql's -h takes: the folder of the server's socket, or a host.
    """

    service: Name | Literal[""] = ""
    user: Name = "postgres"
    name: Name = "postgres"
    socket: str = Field(default="/var/run/postgresql", pattern=r"^[a-zA-Z0-9/][a-zA-Z0-9/._-]*$")

    @property
    def named(self) -> tuple[str, ...]:
        """The service that is named, if one is."""
        return (self.service,) if self.service else ()


class MigrateSettings(Model):
    """How the database follows the releases: SQL files, commands in a release's image, or both."""

    directory: Path | None = None
    expand: str = ""
    contract: str = ""
    service: Name | Literal[""] = ""
    database: DatabaseSettings = DatabaseSettings()
    lock_timeout: Annotated[float, Field(ge=0.01, le=3600)] = 2
    statement_timeout: Annotated[float, Field(ge=0.01, le=86_400)] = 60

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.directory and not self.database.service:
            raise ValueError("database.service is missing: the shared service that is PostgreSQL")
        if (self.expand or self.contract) and not self.service:
            raise ValueError("service is missing: whose image and environment the commands get")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The service that is named, if one is."""
        return (self.service,) if self.service else ()

    @validated("expand", "contract")
    @classmethod
    def _is_a_command(cls, command: str) -> str:
        shlex.split(command)  # ValueError for an open quotation mark
        return command


class LabSettings(Model):
    """The throwaway host."""

    directory: Local = Path(".lab")
    ssh_port: Port = 2222
    secrets: Path | None = None


class StallSettings(Model):
    """How long an act may let users wait before a verification without a drop is no pass.

    `gap`: seconds without any answer; `p99`: seconds, and `slow`: the share of answers that take
    over a second, both beyond the steady state's.
    """

    gap: Seconds = 1.0
    p99: Seconds = 5.0
    slow: Annotated[float, Field(ge=0, le=1)] = 0.2


class VerifySettings(Model):
    """How `inv verify-zero-downtime` loads the site."""

    sessions: Annotated[int, Field(ge=1)] = 60
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    steady: Seconds = 15
    gap: Seconds = 5
    seed: int = 1
    in_flight: Annotated[int, Field(ge=1)] = 2000
    locustfile: Local = bundled("loadtests/locustfile.py")
    workers_directory: AbsolutePath | None = None
    stall: StallSettings = StallSettings()
    load: Local | None = None
    versions: tuple[Version, ...] = ()
    ledger: str = ""

    @model_validator(mode="after")
    def _two_versions(self) -> Self:
        if self.versions and len(set(self.versions)) < 2:  # noqa: PLR2004 - A and B
            raise ValueError("versions: a rotation wants two that differ")
        return self


class Settings(Model):
    """Every setting; `invoke.yaml` beside tasks.py shows each with a comment.

    An application that is `adopted` has no Compose files and no Caddyfile of cyan's: what they
    would say follows from its own, and its proxy is the host's.
    """

    app: str
    hosts: tuple[HostSettings, ...] = Field(min_length=1)
    directory: Local
    compose: ComposeSettings = ComposeSettings()
    caddyfile: Local = bundled("Caddyfile")
    stateless: tuple[Name, ...] = Field(min_length=1)
    stateful: tuple[Name, ...] = Field(min_length=1)
    workers: tuple[Name, ...] = ()
    schedulers: tuple[Name, ...] = ()
    proxy: Name
    public: PublicSettings
    site: SiteSettings = Field(default_factory=lambda: SiteSettings.model_validate({}))
    doors: DoorSettings = DoorSettings()
    health: HealthSettings = HealthSettings()
    drain: DrainSettings = DrainSettings()
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
        if not isinstance(given, Mapping) or not given.get("adopted"):
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

    @property
    def stateless_text(self) -> str:
        """The Compose file of a color. Raises UsageError where it cannot be read."""
        return text_of(self.compose.stateless, "cyan.compose.stateless", "compose/stateless.yml")

    @property
    def stateful_text(self) -> str:
        """The Compose file of the shared services. Raises UsageError where it cannot be read."""
        return text_of(self.compose.stateful, "cyan.compose.stateful", "compose/stateful.yml")

    @property
    def caddyfile_text(self) -> str:
        """The proxy's configuration. Raises UsageError where it cannot be read."""
        return text_of(self.caddyfile, "cyan.caddyfile", "Caddyfile")

    @property
    def rate(self) -> float:
        """Requests a second of a verification.

        Unless given, what two cores carry that are clients, proxy and application at once: the
        handshakes of TLS take so much of them that at 300 a deploy has too little left.
        """
        usual = 300.0 if not self.site.domain and not self.adopted else 100.0
        return self.verify.rate or usual

    @property
    def is_lab(self) -> bool:
        """Whether all that is deployed to is this machine, by the lab's sshd."""
        return all(host.is_here and host.port == self.lab.ssh_port for host in self.hosts)

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
    return _anchored(settings, base)


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


def _fault(item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    key = ".".join(["cyan", *(str(part) for part in item["loc"])])
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
