"""What Compose makes of the user's own files: the only parser of them."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from cyan.errors import UsageError
from cyan.names import EngineKind
from cyan.world import local

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from cyan.settings import Settings

WITHIN = 60.0  # seconds
USUAL = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""What Compose itself looks for, in its order:
https://docs.docker.com/compose/intro/compose-application-model/#the-compose-file."""

NO_VERSION = "none"
"""The tag of what is not to run."""

OURS = "x-cyan"
_VARIABLE = re.compile(r"\$(?:\{(\w+)|(\w+))")


def resolve(
    folder: Path,
    files: Sequence[object] = (),
    variables: Iterable[tuple[str, str]] = (),
    *flags: str,
) -> Mapping[str, Any]:
    """The application in `folder` as Compose resolves it, by `files`, or by those it would take.

    `variables` win over those of `.env` and of this process. Nothing is written and nothing
    started. Raises UsageError where it is no valid application.
    """
    if not files and not any((folder / name).exists() for name in USUAL):
        raise UsageError(
            f"there is no Compose file in {folder}",
            todo=f"name it: --file, which may be repeated; else one of {', '.join(USUAL)} is read",
        )
    named = [word for name in files for word in ("-f", str(folder / str(name)))]
    words = ["docker", "compose", "--project-directory", str(folder), *named, "config", *flags]
    done = local.run(shlex.join([*words, "--format", "json"]), dict(variables), WITHIN)
    if done.code != 0:
        told = [line for line in done.stderr.splitlines() if "level=warning" not in line]
        raise UsageError(
            "Compose does not take these files",
            where="\n         ".join(told[-4:]) or f"exit code {done.code}",
            todo="docker compose config says the same; variables may stand in .env beside them",
        )
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def without_version(
    folder: Path,
    files: Sequence[object],
    environment: Iterable[tuple[str, str]] = (),
    services: Iterable[str] = (),
) -> Mapping[str, Any]:
    """The application as it is without cyan, which gives the version that its tags ask for.

    A file that takes no tag from nobody (`${TAG:?}`) has another in its place; `services` are those
    whose tags may be so, all of them unless given. Raises UsageError as `resolve`.
    """
    given = tuple(environment)
    try:
        return resolve(folder, files, given)
    except UsageError:
        raw = resolve(folder, files, (), "--no-interpolate")
        tags = version_variables(raw, services or raw.get("services") or {})
        if not tags:
            raise
        return resolve(folder, files, (*((name, NO_VERSION) for name in tags), *given))


def source_of(settings: Settings, version: str, environment: Iterable[tuple[str, str]] = ()) -> str:
    """What a color's Compose file is made from, for a version: cyan's template, or their own files.

    The variables of `environment` win over those of `.env`. Without a version what tags are made of
    is as it would be without cyan. Raises UsageError.
    """
    if settings.adopted is None:
        return settings.stateless_text
    folder, files = settings.adopted.folder, settings.adopted.files
    rotating = settings.adopted.rotating
    if version:
        tags = version_variables(resolve(folder, files, (), "--no-interpolate"), rotating)
        named = ((name, version) for name in tags)
        config = dict(resolve(folder, files, (*named, *environment)))
    else:
        config = dict(without_version(folder, files, environment, rotating))
    if settings.engine is EngineKind.PODMAN:  # whose API of Docker does not know it
        for each in config["services"].values():
            (each.get("healthcheck") or {}).pop("start_interval", None)
    return json.dumps({**config, OURS: {"folder": str(folder)}})


def version_variables(raw: Mapping[str, Any], rotating: Iterable[str]) -> tuple[str, ...]:
    """The variables that the tags of rotating services' images are made of: pure.

    `raw` is the application before interpolation.
    """
    services = raw.get("services") or {}
    images = (str((services.get(name) or {}).get("image") or "") for name in rotating)
    tags = (image[_after_the_name(image) :] for image in images)
    found = (first or second for tag in tags for first, second in _VARIABLE.findall(tag))
    return tuple(dict.fromkeys(found))


def repository(image: str) -> str:
    """An image's name without tag and digest: pure."""
    name = image.partition("@")[0]
    return name[: _after_the_name(name)]


def _after_the_name(image: str) -> int:
    """Where the tag of an image begins; its end where it has none.

    A colon within braces belongs to a default, one before the last slash to a registry's port.
    """
    depth, begin = 0, len(image)
    for at, letter in enumerate(image):
        depth += (letter == "{") - (letter == "}")
        if letter == "/" and not depth:
            begin = len(image)
        elif letter == ":" and not depth:
            begin = at
    return begin
