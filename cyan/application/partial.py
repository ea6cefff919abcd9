"""A release that replaces a part of the live color: the rest stays as it is, and runs on. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyan.application.color import others_of
from cyan.application.mounts import FILES
from cyan.errors import UsageError
from cyan.names import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import PurePosixPath

    from cyan.adopted import AdoptedSettings

    Given = Mapping[str, Any]

SHARED = ("networks", "volumes", "configs", "secrets")
"""What the services of a Compose file refer to."""


@dataclass(frozen=True)
class Live:
    """The live release that a part of is replaced: its name, and its color's Compose file.

    `mounted` is what of its files belongs to what stays.
    """

    release: str
    file: str
    mounted: tuple[str, ...] = ()


def replaced(source: str, live: str, named: Iterable[str], adopted: AdoptedSettings) -> set[str]:
    """The services that are replaced where some are `named`: these, and who depends on them.

    Of the latter those that differ, in what Compose resolved, from the `live` release's; those that
    share the network of one that is replaced; and those of which Compose says `restart: true`.
    Raises UsageError for other services.
    """
    new, old = json.loads(source)["services"], json.loads(live)["services"]
    rotating = [name for name in adopted.rotating if adopted.services[name] is not Role.ONCE]
    if other := sorted(set(adopted.rotating) - set(old)):
        raise UsageError(
            f"what is live has no {', '.join(other)}",
            todo="a file with other services is deployed as a whole: leave --only out",
        )
    found = set(named)
    while more := {name for name in rotating if _needs(new[name]) & found} - found:
        found |= more
    differ = {name for name in found if new[name] != old[name]}
    wanted = set(named) | differ
    while more := {name for name in found if _follows(new[name]) & wanted} - wanted:
        wanted |= more
    return wanted


def _needs(service: Given) -> set[str]:
    return {*(service.get("depends_on") or {}), *_follows(service)}


def _follows(service: Given) -> set[str]:
    """With whose containers a service's own are replaced, whether it differs or not."""
    needs: Given = service.get("depends_on") or {}
    inside = {name for _, name in others_of(service)}
    return inside | {name for name, how in needs.items() if how.get("restart")}


def blended(source: str, live: str, services: Iterable[str]) -> str:
    """What the release is made from: what Compose resolved of `services`, and else what is live."""
    new, old = json.loads(source), json.loads(live)
    mine = {name: new["services"][name] for name in services}
    return json.dumps(_merged(new, old, {**old["services"], **mine}))


def staying(file: str, live: str, services: Iterable[str], folder: PurePosixPath) -> str:
    """The color's Compose file in which all but `services` are as their containers were made.

    To the letter, so that Compose takes these for its own; `folder` is the live release's, where
    what they mount is.
    """
    new, old = json.loads(file), json.loads(live)
    mine = set(services)
    stays = {
        name: {**each, "volumes": list(_mounted(each, folder))} if each.get("volumes") else each
        for name, each in old["services"].items()
        if name not in mine
    }
    return json.dumps(_merged(new, old, {**new["services"], **stays}), indent=1)


def _merged(new: Given, old: Given, services: Given) -> Given:
    """The new file with these services, and with what those of the old one refer to as well."""
    shared = {key: {**(old.get(key) or {}), **(new.get(key) or {})} for key in SHARED}
    return {**new, "services": services, **{key: each for key, each in shared.items() if each}}


def _mounted(service: Given, folder: PurePosixPath) -> Iterator[Given]:
    for each in service["volumes"]:
        source = str(each.get("source") or "")
        sent = source.startswith(f"./{FILES}/")
        yield {**each, "source": str(folder / source)} if sent else each
