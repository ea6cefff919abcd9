"""Which images a release runs, by id: pure. Kept in its folder, and pinned by it.

`images.json` is both: Compose reads its `services` after the release's own file, so the containers
are made from exactly these images, whatever their tags have come to mean; `x-cyan` says where each
came from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cyan.application.compose_file import ComposeFile


@dataclass(frozen=True)
class ServiceImage:
    """One service's image: what the Compose file calls it, its id, its digests in registries.

    `brought` says that cyan put it on the host, and so may remove it again.
    """

    service: str
    reference: str
    id: str
    digests: tuple[str, ...] = ()
    brought: bool = False

    @property
    def anywhere(self) -> str:
        """What it is called on other machines too: by its digest, where a registry has it."""
        name = self.reference.rpartition("@")[0] or self.reference
        plain = name[: name.rfind(":")] if ":" in name.rpartition("/")[2] else name
        own = (each for each in self.digests if each.partition("@")[0] in (plain, name))
        return next(own, self.digests[0] if self.digests else self.reference)


@dataclass(frozen=True)
class Service:
    """What a Compose file says of one service's image."""

    name: str
    reference: str
    built: bool  # whether it has a build section


def services(file: ComposeFile) -> tuple[Service, ...]:
    """The services of a color's file, by name."""
    return tuple(
        Service(name, each.get("image") or f"{file.project}-{name}", "build" in each)
        for name, each in sorted(file.services.items())
    )


def dump(images: Iterable[ServiceImage]) -> str:
    """The images as the text of an `images.json`: one line."""
    images = tuple(images)
    origins = {
        image.service: {
            "reference": image.reference,
            "digests": list(image.digests),
            "brought": image.brought,
        }
        for image in images
    }
    return json.dumps(
        {"services": {image.service: {"image": image.id} for image in images}, "x-cyan": origins}
    )


def pins(images: Iterable[ServiceImage]) -> str:
    """A file by which each service of a stack runs exactly these images, on every node."""
    return json.dumps({"services": {each.service: {"image": each.anywhere} for each in images}})


def parse(text: str) -> tuple[ServiceImage, ...] | None:
    """The images of an `images.json`; None where it is none, or torn."""
    try:
        raw = json.loads(text)
        return tuple(
            ServiceImage(
                name,
                str(origin["reference"]),
                str(raw["services"][name]["image"]),
                tuple(map(str, origin["digests"])),
                bool(origin["brought"]),
            )
            for name, origin in raw["x-cyan"].items()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def told(images: Iterable[ServiceImage]) -> dict[str, dict[str, Any]]:
    """The images for the journal: id and digests by what the Compose file calls the image."""
    return {image.reference: {"id": image.id, "digests": list(image.digests)} for image in images}


def ids(images: Iterable[ServiceImage]) -> frozenset[str]:
    """The ids of the images."""
    return frozenset(image.id for image in images)


def stale(releases: Collection[str], needed: Collection[str], keep: int) -> tuple[str, ...]:
    """The releases whose folders go: all but those that are needed and the newest `keep` others."""
    others = sorted(set(releases) - set(needed))
    return tuple(others[: max(0, len(others) - keep)])


def unneeded(
    records: Mapping[str, tuple[ServiceImage, ...]], going: Collection[str], in_use: Collection[str]
) -> tuple[str, ...]:
    """The ids of the images that go with the releases `going`.

    Only what cyan brought goes, and neither what a release that stays has recorded nor what a
    container was made from (`in_use`).
    """
    staying = [images for release, images in records.items() if release not in going]
    kept = {*in_use, *(image.id for images in staying for image in images)}
    gone = {image.id for release in going for image in records.get(release, ()) if image.brought}
    return tuple(sorted(gone - kept))
