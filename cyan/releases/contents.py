"""What a release's folder gets beside its Compose file: its secrets, and its images' ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.application.mounts import FILES
from cyan.application.secrets import NO_SECRETS, Redaction, Secrets
from cyan.engines.stack import Stack
from cyan.errors import HostError
from cyan.releases import images as release_images
from cyan.world.envfile import parse_env_file
from cyan.world.shell import private_mask, quoted_path, write_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.application.partial import Live
    from cyan.engines import compose
    from cyan.releases.images import ServiceImage
    from cyan.settings import Settings
    from cyan.world.host import Host


@dataclass(frozen=True)
class Contents:
    """The secrets of a release; or, where an earlier release runs `again`, that one's.

    `images` are the images that the earlier release ran. `mounted` are files and folders of the
    checkout that go with it. Where it replaces a part of the `live` color, `images` are what of
    that stays runs.
    """

    secrets: Secrets = NO_SECRETS
    again: str = ""
    images: tuple[ServiceImage, ...] = ()
    mounted: tuple[str, ...] = ()
    live: Live | None = None

    @property
    def kept(self) -> frozenset[str]:
        """The services whose images are there already, and stay what they are."""
        return frozenset(image.service for image in self.images)


EMPTY = Contents()


def records(host: Host, settings: Settings) -> dict[str, tuple[ServiceImage, ...]]:
    """The images of every release whose folder is on the host; none where it recorded none."""
    return parse_records(host.run(records_command(settings)).stdout)


def records_command(settings: Settings) -> str:
    """The shell command that prints each release's name and its `images.json`, a line each."""
    folder = quoted_path(settings.directory, "releases")
    each = r"""printf '%s\t' "$name"; cat "$name/images.json" 2>/dev/null; echo"""
    return f"cd {folder} && for name in $(ls -1); do {each}; done"


def parse_records(text: str) -> dict[str, tuple[ServiceImage, ...]]:
    """What that command printed."""
    lines = (line.partition("\t") for line in text.splitlines() if "\t" in line)
    return {name: release_images.parse(record) or () for name, _, record in lines}


def write(project: compose.Project, files: Iterable[tuple[str, str]], contents: Contents) -> str:
    """The script that writes a release's files, (path, text), and the secrets that it gets or had.

    Its variables and its secrets are unreadable to others; so is all that Compose resolved, which
    has merged what env files hold.
    """
    given = dict(files)
    merged = {str(project.source), str(project.file)}
    if isinstance(project, Stack):
        merged.add(str(project.stack))
    resolved = merged if str(project.source) in given else set()
    hidden = {str(project.env), *resolved}
    plain = [each for each in given.items() if each[0] not in hidden]
    private = [each for each in given.items() if each[0] in hidden]
    here = quoted_path(project.folder / FILES)
    if contents.again:
        before = project.folder.parent / contents.again
        source, target = quoted_path(before / project.secrets.name), quoted_path(project.secrets)
        copied = f"cat {source} > {target}.new && mv -T {target}.new {target}"
        files_ = quoted_path(before / FILES)
        copied += f" && {{ [ ! -e {files_} ] || cp -aT {files_} {here}; }}"
    else:
        copied = write_files([(str(project.secrets), contents.secrets.text)])
    if contents.live and contents.live.mounted:
        names = " ".join(map(quoted_path, contents.live.mounted))
        before = project.folder.parent / contents.live.release / FILES
        each = f'[ -e {here}/"$name" ] || cp -a --parents -t {here} "$name"'
        copied += f" && mkdir -p {here} && cd {quoted_path(before)}"
        copied += f" && for name in {names}; do {each} || exit; done"
    inside = " && ".join(each for each in (write_files(private), copied) if each)
    folder = f"mkdir -p {quoted_path(project.folder)}"
    open_ = " && ".join(each for each in (folder, write_files(plain)) if each)
    return f"{open_} && ({private_mask(project.folder)}; {inside})"


def record(
    project: compose.Project, images: Iterable[ServiceImage], spread: Iterable[ServiceImage] = ()
) -> str:
    """The shell command that writes a release's `images.json`: where it is, nothing is missing.

    `spread` are the images of those services that are a stack's: what names another would be one.
    """
    files = [(str(project.images), release_images.dump(images))]
    if isinstance(project, Stack):
        files.insert(0, (str(project.pins), release_images.pins(spread)))
    return write_files(files)


def stored_secrets(host: Host, settings: Settings, release: str) -> Secrets:
    """The secrets that a release, and the shared services, have on the host.

    Raises HostError where they cannot be read.
    """
    root, inside = quoted_path(settings.directory), "[ ! -e secrets.env ] || cat secrets.env"
    shared = f"[ ! -e shared ] || (cd shared && {{ {inside}; }}) || exit 1"
    name = quoted_path(release) if release else "."
    own = (
        f"(cd releases && {{ [ ! -e {name} ] || {{ cd {name} && {{ {inside}; }}; }}; }}) || exit 1"
    )
    command = f"[ -e {root} ] || exit 0; cd {root} || exit 1; {shared}; [ ! -e releases ] || {own}"
    return Secrets(tuple(parse_env_file(host.run(f"({command})").stdout).items()))


def hiding(host: Host, settings: Settings, release: str, given: Secrets | None = None) -> Redaction:
    """What takes out of a text the secrets that a release has on the host, and those `given`.

    Where they cannot be read there, `given` has all of them, unless it is None.
    """
    try:
        stored = stored_secrets(host, settings, release)
    except HostError as error:
        if given is None:
            return Redaction(unknown=error.what)
        stored = NO_SECRETS
    return Redaction(Secrets((*stored.values, *(given.values if given else ()))))
