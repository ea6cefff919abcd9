"""What is mounted of the user's checkout: what goes with a release, and what stays. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cyan.application.source import OURS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cyan.adopted import AdoptedSettings

Given = Mapping[str, Any]

WRITTEN = (".db", ".log", ".sqlite", ".sqlite3")
"""How the names of files end that an application writes: of those a release has no copy."""

FILES = "files"
"""The folder within the release's that holds what is mounted from the checkout."""


def files_of(source: str, adopted: AdoptedSettings, only: Collection[str] = ()) -> tuple[str, ...]:
    """What of the checkout goes with a release, by its path in the folder: files, or folders.

    Files that are mounted, folders that are mounted to be read, configs and secrets; those of
    `only` some services, where any are given.
    """
    config: Given = json.loads(source)
    folder = folder_of(config)
    meant = [name for name in adopted.rotating if not only or name in only]
    found = [
        each["source"]
        for name in meant
        for each in mounts_of(name, config, adopted)
        if each["type"] == "bind" and goes_along(each)
    ]
    bound = [
        str(config[key][each["source"]].get("file") or "")
        for key in ("configs", "secrets")
        for name in meant
        for each in config["services"][name].get(key) or ()
    ]
    inside = (PurePosixPath(path) for path in (*found, *bound) if path)
    return tuple(
        sorted({str(path.relative_to(folder)) for path in inside if path.is_relative_to(folder)})
    )


def mounts_of(name: str, config: Given, adopted: AdoptedSettings) -> Iterator[Given]:
    """What is mounted into a service, without what is left out."""
    for each in config["services"][name].get("volumes") or ():
        if f"{name}:{each['target']}" not in adopted.without:
            yield each


def goes_along(mount: Given) -> bool:
    """Whether what is mounted from the checkout goes with a release: a file, or what is only read.

    What is written must outlive the release, and stays where it is.
    """
    name = PurePosixPath(str(mount["source"])).name
    return bool(mount.get("read_only")) or ("." in name and not name.endswith(WRITTEN))


def there(mount: Given, folder: PurePosixPath, adopted: AdoptedSettings) -> Given:
    """A mount as it is where the application's own stack lies on the host."""
    source = PurePosixPath(str(mount.get("source") or ""))
    if mount["type"] != "bind" or not source.is_relative_to(folder):
        return mount
    return {
        **mount,
        "source": str(PurePosixPath(adopted.there or folder, source.relative_to(folder))),
    }


def folder_of(config: Given) -> PurePosixPath:
    """The folder of this machine in which the Compose file lies."""
    return PurePosixPath(str(config[OURS]["folder"]))
