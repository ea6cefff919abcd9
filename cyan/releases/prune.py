"""The prune step: old releases go from the host, and with them the images that cyan brought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.releases import contents
from cyan.releases import images as pinning
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from cyan.hosts.session import Session


def prune(on: Session, needed: set[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Remove what nobody needs; what was done, in words, the releases and the image ids removed.

    The releases that are `needed`, and those that have containers, stay, whatever their number. An
    image that another
    name or another's container holds is left: removal is never forced.
    """
    containers = on.engine.containers(on.settings.app)
    needed = needed | {item.release for item in containers}
    records = contents.records(on.host, on.settings)
    going = pinning.stale(records, needed, on.settings.keep_releases)
    images = pinning.unneeded(records, going, {item.image for item in containers})
    removed = tuple(each for each in images if _removed(on, each))
    if going:
        folder = quoted_path(on.settings.directory, "releases")
        names = " ".join(quoted_path(name) for name in going)
        on.run(f"cd {folder} && rm -rf -- {names}")
    says = f"the newest {on.settings.keep_releases} releases are kept"
    if removed:
        says += f"; {len(removed)} images are removed"
    return says, going, removed


def _removed(on: Session, image: str) -> bool:
    return on.run(f"docker image rm {quoted_path(image)}", check=False).code == 0
