"""What is wrong with a color's Compose file for an application that rotates: pure.

It is read as `docker compose config --format json` resolves it, so nothing here parses YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cyan.application.record import Application

BOUND = ("configs", "secrets")


@dataclass(frozen=True)
class Fault:
    """What is wrong, with service and key, and how it is mended."""

    says: str
    todo: str


@dataclass(frozen=True)
class ComposeFile:
    """What Compose makes of the file of one color.

    `project` is the color's, `folder` that of its file on the host: a relative path starts there,
    and it goes with the release.
    """

    config: Mapping[str, Any]
    project: str
    folder: PurePosixPath

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """The services by name."""
        found: Mapping[str, Mapping[str, Any]] = self.config.get("services") or {}
        return found


def quick_starters(file: ComposeFile) -> tuple[str, ...]:
    """The services whose health check has a `start_interval`, which old engines do not know."""
    checks = ((name, each.get("healthcheck") or {}) for name, each in file.services.items())
    return tuple(name for name, check in checks if "start_interval" in check)


def faults(file: ComposeFile, application: Application) -> tuple[Fault, ...]:
    """Everything that would fork between the colors, go with a release, or is not there at all."""
    return (*_names(file, application), *_volumes(file), *_files(file))


def _names(file: ComposeFile, application: Application) -> Iterator[Fault]:
    there, wanted = set(file.services), set(application.services)
    for name in sorted(wanted - there):
        says = f"it has no service {name}, which cyan.stateless names"
        yield Fault(says, f"its services are {', '.join(sorted(there)) or 'none'}")
    for name in sorted(there - wanted):
        says = f"its service {name} would start and never be judged: cyan.stateless lacks it"
        yield Fault(says, f"add {name} to cyan.stateless, or give it a profile that is off")
    if application.public.service not in there:
        says = f"it has no service {application.public.service}, which is cyan.public.service"
        yield Fault(says, f"its services are {', '.join(sorted(there)) or 'none'}")


def _volumes(file: ComposeFile) -> Iterator[Fault]:
    volumes = file.config.get("volumes") or {}
    for service, given in file.services.items():
        for each in given.get("volumes") or ():
            source = each.get("source", "")
            if each.get("type") == "volume" and _forks(volumes.get(source, {}), source, file):
                yield Fault(
                    f"{service}.volumes: {source} would be another volume for each color "
                    f"({file.project}_{source})",
                    "to share it, give it one name: "
                    f'volumes: {{{source}: {{name: "${{APP}}-{source}"}}}}',
                )
            if each.get("type") == "bind" and (path := _within(source, file)):
                yield Fault(
                    f"{service}.volumes: {path} lies in the release's folder, which is removed "
                    "with it",
                    "to keep it, give it an absolute path on the host, such as /srv/uploads",
                )


def _forks(volume: Mapping[str, Any], source: str, file: ComposeFile) -> bool:
    """Whether its name is the one that Compose makes of the project's: another for each color."""
    return not volume.get("external") and volume.get("name") == f"{file.project}_{source}"


def _files(file: ComposeFile) -> Iterator[Fault]:
    for key in BOUND:
        made = file.config.get(key) or {}
        for service, given in file.services.items():
            for each in given.get(key) or ():
                path = _within(made.get(each["source"], {}).get("file", ""), file)
                if path:
                    yield Fault(
                        f"{service}.{key}: {each['source']} is {path} of the release's folder, "
                        "where it is not",
                        "give it an absolute path on the host",
                    )


def _within(path: str, file: ComposeFile) -> str:
    """A path as the file has it, where that is in the folder of the release; else ""."""
    found = PurePosixPath(path)
    if not path or not found.is_relative_to(file.folder):
        return ""
    return f"./{found.relative_to(file.folder)}"
