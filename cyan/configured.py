"""invoke.yaml as it is read: validated, its paths made absolute, the lab's hosts in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cyan.adopted import AdoptedSettings
from cyan.errors import UsageError
from cyan.names import EngineKind
from cyan.sections import ComposeSettings, HostSettings
from cyan.settings import Settings

LEGACY_ENVIRONMENT = {
    "HEALTH_CHECK_TIMEOUT": ("health", "timeout"),
    "HEALTH_CHECK_INTERVAL": ("health", "interval"),
    "DRAIN_TIMEOUT": ("drain", "timeout"),
}
"""Environment variables that win over invoke.yaml, and the setting each stands for."""

NODES = "hosts.json"
"""In the lab's directory: the hosts beside the first one, as cyan.hosts has them."""


ELSEWHERE = (EngineKind.PODMAN, EngineKind.SWARM)
"""With these the lab is not this machine but containers of it, which it has not itself."""


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
    return with_nodes(_anchored(settings, base))


def with_nodes(settings: Settings) -> Settings:
    """The lab has the hosts that `inv lab.up --hosts` made."""
    if not settings.is_lab:
        return settings
    if settings.engine in ELSEWHERE:
        return with_own_node(settings)
    made = settings.lab.directory / NODES
    if not made.exists():
        return settings
    nodes = tuple(HostSettings.model_validate(each) for each in json.loads(made.read_text()))
    addresses = tuple(each.address for each in nodes)
    lab = settings.lab.model_copy(update={"nodes": addresses})
    return settings.model_copy(update={"hosts": (*settings.hosts, *nodes), "lab": lab})


def node_file(settings: Settings) -> Path:
    """Where the lab's hosts are written down where this machine is none of them."""
    return settings.lab.directory / f"{settings.engine}.json"


def with_own_node(settings: Settings) -> Settings:
    """The lab is the hosts that `inv lab.up` made, once it has."""
    made = node_file(settings)
    if not made.exists():
        return settings
    told = json.loads(made.read_text())
    listed = told if isinstance(told, list) else [told]  # one that was up before there could be two
    nodes = tuple(HostSettings.model_validate(each) for each in listed)
    lab = settings.lab.model_copy(update={"nodes": tuple(each.address for each in nodes)})
    site = settings.site.model_copy(update={"host": nodes[0].address})
    return settings.model_copy(update={"hosts": nodes, "lab": lab, "site": site})


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
