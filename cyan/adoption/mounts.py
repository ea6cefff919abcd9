"""What is mounted where: code of the checkout, data that two writers might spoil: pure."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.adoption import known
from cyan.adoption.services import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.adoption.services import Judged, Mount


def code_mounts(each: Judged, folder: PurePosixPath) -> tuple[str, ...]:
    """The folders of the checkout that lie over what the image has."""
    return tuple(short(mount.source, folder) for mount in code_of(each, folder))


def code_of(each: Judged, folder: PurePosixPath) -> Iterator[Mount]:
    """The mounts of folders of the checkout that hide the code of the image."""
    for mount in each.service.mounts:
        if mount.kind != "bind" or not _inside(mount.source, folder):
            continue
        source = PurePosixPath(mount.source)
        harmless = words_of(source.name) & known.HARMLESS and not is_code(mount.target)
        code = is_code(mount.target) or (
            mount.target.startswith(known.CODE_PATHS)
            and (source.name.lower() in known.CODE_FOLDERS or "." not in source.name)
        )
        if code and not harmless and "data" not in words_of(source.name):
            yield mount


def is_code(target: str) -> bool:
    """Whether a path in a container is where its code lies, and not a folder below it."""
    path = PurePosixPath(target)
    if str(path) in known.CODE_PATHS or str(path) == "/var/www/html":
        return True
    above = str(path.parent)
    return above in {"/usr/src", "/var/www"} and path.name not in known.HARMLESS


def is_data(mount: Mount, folder: PurePosixPath) -> bool:
    """Whether two writers might spoil what is mounted."""
    if mount.read_only or not mount.source:
        return False
    if mount.kind == "volume":
        names = words_of(mount.source) | words_of(PurePosixPath(mount.target).name)
        return not names & known.HARMLESS
    if mount.kind != "bind" or "." in PurePosixPath(mount.source).name:
        return False
    return _inside(mount.source, folder) and "data" in words_of(PurePosixPath(mount.source).name)


def keeps_a_file(each: Judged) -> bool:
    """Whether it keeps a database in a file."""
    urls = (value.lower() for value in each.service.environment.values())
    return _alone_volume(each) or any(url.startswith(("sqlite:", "sqlite3:")) for url in urls)


def lasts(mount: Mount) -> bool:
    """Whether what is written there outlives the container."""
    return mount.kind in ("volume", "bind") and bool(mount.source) and not mount.read_only


def _alone_volume(each: Judged) -> bool:
    return any(
        (words_of(mount.source.rsplit("/", 1)[-1]) | words_of(mount.target)) & known.ALONE
        for mount in each.service.mounts
        if mount.source
    )


def _inside(source: str, folder: PurePosixPath) -> bool:
    return PurePosixPath(source).is_relative_to(folder)


def short(source: str, folder: PurePosixPath) -> str:
    """A path as the Compose file in `folder` would say it."""
    path = PurePosixPath(source)
    return f"./{path.relative_to(folder)}" if _inside(source, folder) else source
