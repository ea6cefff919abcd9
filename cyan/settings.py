"""What the user asked for: invoke.yaml, environment and flags, validated into frozen models."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import field_validator as validated

from cyan.errors import UsageError
from cyan.names import APP_PATTERN, Color

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=63)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]

LEGACY_ENVIRONMENT = {
    "HEALTH_CHECK_TIMEOUT": ("health", "timeout"),
    "HEALTH_CHECK_INTERVAL": ("health", "interval"),
    "DRAIN_TIMEOUT": ("drain", "timeout"),
}
"""Environment variables that win over invoke.yaml, and the setting each stands for."""


class Model(BaseModel):
    """Frozen, and a key that nobody knows is an error: a misspelt setting must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HostSettings(Model):
    """One machine that the application is deployed to, and how SSH reaches it."""

    address: str = Field(min_length=1, pattern=r"^[a-zA-Z0-9:][a-zA-Z0-9:._-]*$")
    port: Port = 22
    user: str = Field(default_factory=getpass.getuser, pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$")
    identity: Path | None = None
    known_hosts: Path | None = None

    @property
    def name(self) -> str:
        """The host as messages name it."""
        return f"{self.user}@{self.address}:{self.port}"


class ComposeSettings(Model):
    """The two Compose files: what both colors share, and one color."""

    stateful: Path = Path("compose/stateful.yml")
    stateless: Path = Path("compose/stateless.yml")


class PublicSettings(Model):
    """The service that the proxy sends users to, and the path that says it is ready."""

    service: Name = "platform"
    port: Port = 8000
    ready: str = Field(default="/ready", pattern=r"^/")


class SiteSettings(Model):
    """Where the site answers, seen from the host, and the Host header its users send."""

    port: Port = 8080
    tls_port: Port = 8443
    host: str = Field(default="127.0.0.1", pattern=r"^[a-zA-Z0-9.:-]+$")


class DoorSettings(Model):
    """Each color's private door, on the host's loopback only."""

    blue: Port = 8001
    green: Port = 8002

    def of(self, color: Color) -> int:
        """The port of `color`'s door."""
        return self.blue if color is Color.BLUE else self.green


class HealthSettings(Model):
    """When a standby color counts as healthy."""

    timeout: Seconds = 300
    interval: Annotated[float, Field(gt=0, le=3600)] = 1
    passes: Annotated[int, Field(ge=1, le=100)] = 2


class DrainSettings(Model):
    """How long requests in flight to the old color may take to end."""

    timeout: Seconds = 30
    settle: Seconds = 0.3


class BakeSettings(Model):
    """How long the new live color is watched, with the old one still warm."""

    seconds: Seconds = 2


class SmokeCheck(Model):
    """One request through the standby's private door and what its answer must be."""

    path: str = Field(pattern=r"^/")
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"] = "GET"
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: str = ""
    body: str = ""
    within: Annotated[float, Field(gt=0)] = 10


class WarmSettings(Model):
    """What stays up of the old color after a switch: every service, some, or none."""

    services: Literal["all", "none"] | tuple[Name, ...] = "all"


class LabSettings(Model):
    """The throwaway host."""

    directory: Path = Path(".lab")
    ssh_port: Port = 2222


class VerifySettings(Model):
    """How `inv verify-zero-downtime` loads the site."""

    sessions: Annotated[int, Field(ge=1)] = 60
    rate: Annotated[float, Field(gt=0)] = 300
    steady: Seconds = 15
    gap: Seconds = 5
    seed: int = 1
    locustfile: Path = Path("loadtests/locustfile.py")
    workers_directory: Path | None = None


class Settings(Model):
    """Every setting; `invoke.yaml` beside tasks.py shows each with a comment."""

    app: str = "demo"
    hosts: tuple[HostSettings, ...] = Field(min_length=1)
    directory: Path
    compose: ComposeSettings = ComposeSettings()
    caddyfile: Path = Path("Caddyfile")
    stateless: tuple[Name, ...] = Field(default=("platform", "rag", "crawler"), min_length=1)
    stateful: tuple[Name, ...] = ("database", "proxy")
    proxy: Name = "proxy"
    public: PublicSettings = PublicSettings()
    site: SiteSettings = SiteSettings()
    doors: DoorSettings = DoorSettings()
    health: HealthSettings = HealthSettings()
    drain: DrainSettings = DrainSettings()
    bake: BakeSettings = BakeSettings()
    smoke: tuple[SmokeCheck, ...] = ()
    warm: WarmSettings = WarmSettings()
    keep_releases: Annotated[int, Field(ge=2)] = 10
    lab: LabSettings = LabSettings()
    verify: VerifySettings = VerifySettings()

    @validated("app")
    @classmethod
    def _app_names_a_project(cls, app: str) -> str:
        if not APP_PATTERN.fullmatch(app):
            msg = "use at most 41 lower-case letters, digits and '-', not beginning with '-'"
            raise ValueError(msg)
        return app

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
    given = {"address": address, **({"user": user} if user else {}), "port": port or 22}
    try:
        return HostSettings.model_validate(given)
    except ValidationError:
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
    return f"{key}: {item['msg']} (got {item['input']!r})"


def _anchored(settings: Settings, base: Path) -> Settings:
    """The same settings with this machine's relative paths made absolute."""

    def at(path: Path) -> Path:
        return base / path.expanduser()

    hosts = tuple(
        host.model_copy(
            update={
                "identity": at(host.identity) if host.identity else None,
                "known_hosts": at(host.known_hosts) if host.known_hosts else None,
            }
        )
        for host in settings.hosts
    )
    compose = ComposeSettings(
        stateful=at(settings.compose.stateful), stateless=at(settings.compose.stateless)
    )
    return settings.model_copy(
        update={
            "hosts": hosts,
            "directory": at(settings.directory),
            "compose": compose,
            "caddyfile": at(settings.caddyfile),
            "lab": settings.lab.model_copy(update={"directory": at(settings.lab.directory)}),
            "verify": settings.verify.model_copy(
                update={"locustfile": at(settings.verify.locustfile)}
            ),
        }
    )
