"""What invoke.yaml says of an application whose own Compose files stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from cyan.names import EngineKind, Role, Server
from cyan.values import (
    AbsolutePath,
    DomainIfAny,
    Local,
    Model,
    Name,
    Port,
    RequestPath,
    RequestPathIfAny,
)

IMAGES = {Server.CADDY: "caddy:2", Server.NGINX: "nginx:1"}
"""The image of a host's proxy, unless it is given."""


class RouteSettings(Model):
    """What users ask for, and the service and port that answer; "" is any host, or any path.

    Without a host, `published` is the port of the host that leads there, as the application's own
    Compose file has it, and `bind` the address that it is open on; "" is every one. Where the site
    has a domain, such a port leads there as well, over plain HTTP and by any name.
    """

    service: Name
    port: Port
    host: DomainIfAny = ""
    path: RequestPathIfAny = ""
    published: Port | None = None
    bind: str = Field(default="", pattern=r"^[0-9a-fA-F.:]*$")


class AdoptedSettings(Model):
    """What `cyan init` found: Compose's files and its name of the project, services and routes.

    `folder` is where the files lie on this machine, that of tasks.py unless given; `there` is
    where the application's own stack lies on the host, as here unless given. `without` are mounts
    that are left out, as SERVICE:PATH, the path inside the container, and keys that a swarm may
    leave out, as SERVICE:KEY. `assets` are paths that old
    pages ask for, such as /_next/static/*: what the live color has not, the warm one is asked for.
    `snippet` is a file on this machine, of the proxy's words, that each site includes.
    """

    files: tuple[Local, ...] = ()
    project: Name
    folder: Local = Path()
    there: AbsolutePath | None = None
    services: Mapping[Name, Role] = Field(min_length=1)
    routes: Annotated[tuple[RouteSettings, ...], Field(min_length=1)]
    without: tuple[str, ...] = ()
    assets: tuple[RequestPath, ...] = ()
    snippet: Local | None = None

    @model_validator(mode="after")
    def _routes_lead_to_what_rotates(self) -> Self:
        web = self.named(Role.WEB)
        for route in self.routes:
            if route.service not in web:
                raise ValueError(f"a route leads to {route.service!r}, which is no web service")
        return self

    def named(self, *roles: Role) -> tuple[str, ...]:
        """The services of these roles, by name."""
        return tuple(sorted(name for name, role in self.services.items() if role in roles))

    @property
    def rotating(self) -> tuple[str, ...]:
        """The services of which each color has one."""
        return self.named(*(role for role in Role if role.rotates))

    @property
    def shared(self) -> tuple[str, ...]:
        """The services that keep data: both colors use those that run."""
        return self.named(Role.SHARED)

    @property
    def replaced(self) -> tuple[str, ...]:
        """The services of the own stack that make way for the colors, and the host's proxy."""
        return (*self.rotating, *self.named(Role.PROXY))

    @property
    def published(self) -> tuple[int, ...]:
        """The host's ports that lead to routes without a host."""
        return tuple(dict.fromkeys(each.published for each in self.routes if each.published))


class HostProxySettings(Model):
    """The one proxy of a host, for all of its applications: a Compose project of its own.

    `door` is the port, on the host's loopback, of every color's private door. `server` follows from
    `cyan.proxy`, `engine` from `cyan.engine`.
    """

    directory: Local = Path("/srv/cyan/proxy")
    project: Name = "cyan-proxy"
    server: Server = Server.CADDY
    engine: EngineKind = EngineKind.DOCKER
    image: str = Field(default=IMAGES[Server.CADDY], pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$")
    door: Port = 8009
