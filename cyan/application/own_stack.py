"""What of an application's own stack does not rotate, as a Compose file of its own: pure."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cyan.application.color import but
from cyan.application.mounts import FILES, Given, folder_of, goes_along, there
from cyan.application.source import OURS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cyan.adopted import AdoptedSettings


def own_file(
    source: str, adopted: AdoptedSettings, brought: Collection[str] = (), *, spread: bool = False
) -> str:
    """The application's own stack, but for what rotates, as a Compose file: JSON.

    With it shared services are started where they have never been. What was `brought` to the host,
    by its path in the checkout, lies beside this file. Its networks are `spread` over all nodes
    where it has more.
    """
    config: dict[str, Any] = json.loads(source)
    folder = folder_of(config)
    services = {}
    for name, given in config["services"].items():
        if name in adopted.rotating:
            continue
        needs: Given = given.get("depends_on") or {}
        kept = {key: how for key, how in needs.items() if key not in adopted.rotating}
        mounts = [_placed(each, folder, adopted, brought) for each in given.get("volumes") or ()]
        changed = {
            key: value for key, value in (("depends_on", kept), ("volumes", mounts)) if value
        }
        services[name] = {**but(given, "depends_on", "volumes"), **changed}
    made = {key: value for key, value in config.items() if key != OURS}
    if spread:
        over = {"driver": "overlay", "attachable": True}
        each = (config.get("networks") or {}).items()
        made["networks"] = {
            name: given if (given or {}).get("external") else {**(given or {}), **over}
            for name, given in each
        }
    return json.dumps({**made, "services": services}, indent=1)


def mounted(source: str, adopted: AdoptedSettings) -> dict[str, Sequence[tuple[str, bool]]]:
    """What shared services mount of the checkout: by service, each path in it.

    And whether it goes along: a file, or what is only read; what is written does not.
    """
    config: Given = json.loads(source)
    folder = folder_of(config)
    return {
        name: [
            (str(PurePosixPath(each["source"]).relative_to(folder)), goes_along(each))
            for each in config["services"][name].get("volumes") or ()
            if each["type"] == "bind" and PurePosixPath(each["source"]).is_relative_to(folder)
        ]
        for name in adopted.shared
        if name in config["services"]
    }


def _placed(
    mount: Given, folder: PurePosixPath, adopted: AdoptedSettings, brought: Collection[str]
) -> Given:
    source = PurePosixPath(str(mount.get("source") or ""))
    if mount["type"] == "bind" and source.is_relative_to(folder):
        name = str(source.relative_to(folder))
        if name in brought:
            return {**mount, "source": f"./{FILES}/{name}"}
    return there(mount, folder, adopted)
