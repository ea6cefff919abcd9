"""What an adopted application mounts from its checkout, and goes with each release."""

from __future__ import annotations

import shlex
import tarfile
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from cyan.application import own_stack
from cyan.application.mounts import FILES
from cyan.errors import UsageError
from cyan.hosts import sharing
from cyan.world.shell import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path, PurePosixPath

    from cyan.settings import Settings
    from cyan.world.host import Host, Runner, Sink

MOST = 64 * 2**20  # bytes: more is no configuration, but data or code
CHUNK = 1 << 20


def check(folder: Path, names: Sequence[str]) -> None:
    """Raises UsageError where something is not there, or all of it is too much to send."""
    for name in names:
        if not (folder / name).exists():
            raise UsageError(
                f"{name} is mounted, and is not in {folder}",
                todo="put it there, or leave the mount out: cyan.adopted.without, SERVICE:PATH",
            )
    sizes = {name: sum(map(_size, _all(folder / name))) for name in names}
    if sum(sizes.values()) > MOST:
        worst = max(sizes, key=lambda name: sizes[name])
        raise UsageError(
            f"{worst} is mounted and holds {sizes[worst] / 2**20:.0f} MiB: too much to go with "
            f"each release (at most {MOST // 2**20} MiB in all)",
            todo="put it into the image, or where it stays on the host: an absolute path; or leave "
            "the mount out: cyan.adopted.without, SERVICE:PATH",
        )


def brought(host: Host, by: Runner, settings: Settings, source: str) -> tuple[str, ...]:
    """Send what shared services mount of the checkout and the host has not: paths in it.

    Of those that have no container yet. Raises UsageError where it is not here either, or too much;
    and HostError.
    """
    adopted = settings.adopted
    assert adopted is not None  # noqa: S101 - for the type checker: only such have a checkout
    found = own_stack.mounted(source, adopted)
    if not any(along for each in found.values() for _, along in each):
        return ()
    made = sharing.look(host, settings).shared
    wanted = {n for name, each in found.items() if name not in made for n, along in each if along}
    folder = str(adopted.there or adopted.folder)
    asked = (f"[ -e {quoted_path(folder, n)} ] || echo {shlex.quote(n)}; " for n in sorted(wanted))
    names = tuple(host.run(f"{''.join(asked)}true").stdout.splitlines())
    if names:
        check(adopted.folder, names)
        there = quoted_path(settings.directory, "shared", FILES)
        by.feed(f"mkdir -p {there} && tar -xz -C {there}", _packed(adopted.folder, names))
    return names


def send(
    by: Runner,
    folder: Path,
    names: Sequence[str],
    target: PurePosixPath,
    sent: Callable[[int], None],
) -> None:
    """Send files and folders of `folder` to the host's `target`, with their modes. HostError."""
    there = quoted_path(target)
    command = f"rm -rf -- {there} && mkdir -p {there} && tar -xz -C {there}"
    by.feed(command, _packed(folder, names, sent))


def _packed(
    folder: Path, names: Sequence[str], sent: Callable[[int], None] = lambda _: None
) -> Callable[[Sink], None]:
    """What writes an archive of files and folders; `sent` hears how many bytes that are."""

    def write(sink: Sink) -> None:
        with TemporaryFile() as packed:
            with tarfile.open(fileobj=packed, mode="w:gz") as archive:
                for name in names:
                    archive.add(folder / name, arcname=name)
            sent(packed.tell())
            packed.seek(0)
            copyfileobj(packed, sink, CHUNK)

    return write


def _all(path: Path) -> Sequence[Path]:
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]


def _size(path: Path) -> int:
    return path.stat().st_size
