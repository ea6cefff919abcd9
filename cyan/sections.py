"""What each section of invoke.yaml may say, as one frozen model each."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic import field_validator as validated

from cyan.bundled import bundled
from cyan.errors import UsageError
from cyan.names import Color, EngineKind, Kind, seconds
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


class HostSettings(Model):
    """One machine that the application is deployed to, and how SSH reaches it.

    A site without a domain is published on `bind`: the loopback, unless a balancer or another
    machine is to reach it. The `engine` follows from `cyan.engine`.
    """

    address: str = Field(min_length=1, pattern=r"^[a-zA-Z0-9:][a-zA-Z0-9:._-]*$")
    port: Port = 22
    user: str = Field(
        default_factory=getpass.getuser,
        validate_default=True,  # it comes from the environment
        pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$",
    )
    identity: Local | None = None
    known_hosts: Local | None = None
    bind: Literal["127.0.0.1", "0.0.0.0"] = "127.0.0.1"  # noqa: S104 - it must be asked for
    engine: EngineKind = EngineKind.DOCKER

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

    Where the proxy is nginx: its `certificate`, with all that leads to a root, and its `key`, files
    on the host in PEM. Of an adopted application: whether answers say their color, as X-Color, and
    for how many seconds the proxy keeps an idle connection to it (0: not at all): shorter than the
    application does, or a request meets it closing; `auto`: for one second, a color that was seen
    to keep it for twice as long, once it has baked; and within how many seconds each answer
    begins (0: whenever): a replica that does not by then is taken for lost, and who only asks is
    led to another. With `sticky`, of several hosts: who was answered by the new color on one is by
    it on all, from before the first is switched until the last one has been: a cookie, of Caddy's.
    And where a proxy of the user's own stays in front, as what its users come to
    that one: what it says of them is passed on.
    """

    domain: DomainIfAny = ""
    port: Port
    tls_port: Port
    host: str = Field(default="127.0.0.1", pattern=r"^[a-zA-Z0-9.:-]+$")
    certificate: AbsolutePath | None = None
    key: AbsolutePath | None = None
    tell_color: bool = False
    keepalive: Literal["auto"] | Annotated[float, Field(ge=0, le=3600)] = "auto"
    answers_within: Annotated[float, Field(ge=0, le=3600)] = 0
    sticky: bool = False
    behind: Literal["", "http", "https"] = ""

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
    def authority(self) -> str:
        """The Host header; with the port that users of a domain send, where it is an unusual one.

        Caddy tells by it to which log a request belongs.
        """
        return urlsplit(self.url).netloc if self.domain else self.name

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


class PlaceSettings(Model):
    """The node of a swarm that a color runs on, as `docker node ls` calls it; any unless given."""

    host: Name | None = None


class ColorsSettings(Model):
    """Where each color runs, if that is one node: its own, or whichever the proxy is on."""

    blue: PlaceSettings = PlaceSettings()
    green: PlaceSettings = PlaceSettings()

    def host_of(self, color: Color) -> str:
        """The node of a color; "" for any."""
        return (self.blue if color is Color.BLUE else self.green).host or ""


class HealthSettings(Model):
    """When a standby color counts as healthy; `services` have a timeout of their own."""

    timeout: Seconds = 300
    services: Mapping[Name, Seconds] = Field(default_factory=dict)
    interval: Annotated[float, Field(gt=0, le=3600)] = 1
    passes: Annotated[int, Field(ge=1, le=100)] = 2


class HoldSettings(Model):
    """How long requests may wait at the proxy while one color takes the other's place.

    `timeout`: seconds until a new one that is not healthy makes way for the old one again, which
    has as long to get up; `drain`: seconds for what is in flight when the first request waits.
    What waits is answered within `cyan.proxies.front.LONGEST` seconds, or told to come back.
    """

    timeout: Annotated[float, Field(gt=0, le=30)] = 30
    drain: Annotated[float, Field(ge=0, le=10)] = 5


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
    """How the database follows the releases: SQL files, commands in a release's image, or both.

    `host` is the address of the one that has the database of several hosts; "" where each has one.
    """

    directory: Path | None = None
    expand: str = ""
    contract: str = ""
    host: str = ""
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
    """The throwaway host, and the addresses of those beside it: `inv lab.up --hosts` makes them."""

    directory: Local = Path(".lab")
    nodes: tuple[str, ...] = ()
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
    """How `inv verify-zero-downtime` loads the site, and who else bears witness.

    Of an application that is adopted: `ledger` is a command on the host that prints the ids of what
    was written, `application` the field of its log, JSON lines on the standard output of what
    routes lead to, that holds X-Request-ID as it was passed on.
    """

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
    application: str = Field(default="", pattern=r"^([A-Za-z0-9_@-]+(\.[A-Za-z0-9_@-]+)*)?$")

    @model_validator(mode="after")
    def _two_versions(self) -> Self:
        if self.versions and len(set(self.versions)) < 2:  # noqa: PLR2004 - A and B
            raise ValueError("versions: a rotation wants two that differ")
        return self
