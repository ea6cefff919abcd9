"""What a release would be made of, before anything is touched: its Compose file, its images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.application.compose_file import ComposeFile, Fault, faults, quick_starters
from cyan.engines import compose, transfer
from cyan.errors import UsageError
from cyan.releases import contents
from cyan.releases import images as release_images
from cyan.releases.contents import EMPTY
from cyan.world.shell import quoted_path, run_script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cyan.application.record import Application
    from cyan.application.release import Release
    from cyan.engines.docker import Engine
    from cyan.releases.contents import Contents
    from cyan.releases.images import Service, ServiceImage
    from cyan.settings import Settings
    from cyan.world.host import Host

COMPOSE_FILE = "see cyan.compose.stateless"
SHOWN = 600  # characters of what Compose or the engine said


class Availability(StrEnum):
    """Whether an image can be had."""

    THERE = "is on the host"
    COMES = "will come"
    UNSURE = "may come"
    NEVER = "cannot be had"


@dataclass(frozen=True)
class Found:
    """An image by what the Compose file calls it; `says` how it comes, or why it does not."""

    reference: str
    availability: Availability
    says: str = ""
    todo: str = ""


@dataclass(frozen=True)
class Precheck:
    """What is wrong with a release's Compose file; its images."""

    faults: tuple[Fault, ...] = ()
    images: tuple[Found, ...] = ()
    quick_starters: tuple[str, ...] = ()  # the services with a start_interval


def gather(
    search: Search,
    release: Release,
    application: Application,
    given: Contents,
    files: Iterable[tuple[str, str]],
) -> Precheck:
    """Look for what a release of these files, (path on the host, text), would fetch. HostError."""
    project = _trial(search.settings, release)
    read = run_script(search.host, trial(search.settings, release, files), check=False)
    if read.code != 0:
        return Precheck((Fault((read.stderr or read.stdout).strip()[-SHOWN:], COMPOSE_FILE),))
    file = ComposeFile(json.loads(read.stdout), project.name, project.folder)
    wrong = () if application.adopted else faults(file, application)
    known = dict.fromkeys(map(search.again, given.images))
    coming = tuple(e for e in release_images.services(file) if e.name not in given.kept)
    found = (*known, *(search.each(coming) if coming else ()))
    return Precheck(wrong, found, quick_starters(file))


def _trial(settings: Settings, release: Release) -> compose.Project:
    """The project of a release in a folder of its own, for the time of a look."""
    root = PurePosixPath(settings.directory) / f"trial-{release.id}"
    return compose.Project(settings.project(release.color), root / "releases" / release.id)


def trial(settings: Settings, release: Release, files: Iterable[tuple[str, str]]) -> str:
    """The shell script that prints what Compose makes of the files that a fetch would write.

    They lie in a folder of their own meanwhile, as they would in the application's.
    """
    project = _trial(settings, release)
    root = project.folder.parent.parent
    moved = [(str(project.folder / PurePosixPath(path).name), text) for path, text in files]
    config = project.config({"DIRECTORY": str(root)})
    tidy = "trap 'rm -rf -- \"$trial\"' EXIT"
    return f"trial={quoted_path(root)}; {tidy}; {contents.write(project, moved, EMPTY)} && {config}"


@dataclass(frozen=True)
class Search:
    """Where images are looked for."""

    host: Host
    engine: Engine
    settings: Settings

    def each(self, services: tuple[Service, ...]) -> Iterator[Found]:
        """Every image of a release, once."""
        if self.settings.images.source == "build" and not any(each.built for each in services):
            yield Found(
                "", Availability.NEVER, "no service of the Compose file has a build section"
            )
        for reference in sorted({each.reference for each in services}):
            built = any(each.built for each in services if each.reference == reference)
            yield self._one(reference, built=built)

    def again(self, image: ServiceImage) -> Found:
        """The very image that an earlier release ran."""
        if self.engine.has_image(image.id):
            return Found(image.reference, Availability.THERE)
        if self.settings.images.source == "send" and transfer.local(image.id):
            return Found(image.reference, Availability.COMES, "from this machine")
        if image.digests:
            return self._pullable(image.digests[0])
        todo = f"that name now means another release's image: inv deploy, not {image.id[:19]}"
        return Found(
            image.reference, Availability.NEVER, "the image that it ran is gone from the host", todo
        )

    def _one(self, reference: str, *, built: bool) -> Found:
        source, context = self.settings.images.source, self.settings.images.context
        if source == "build" and built:
            if context and not context.is_dir():
                return Found(
                    reference, Availability.NEVER, f"{context} is no folder", "cyan.images.context"
                )
            return Found(reference, Availability.COMES, "built there")
        try:
            if source == "send" and transfer.local(reference):
                return Found(reference, Availability.COMES, "from this machine")
        except UsageError as error:
            return Found(reference, Availability.NEVER, error.what, error.todo)
        if self.engine.has_image(reference):
            return Found(reference, Availability.THERE)
        return self._pullable(reference)

    def _pullable(self, reference: str) -> Found:
        login = self.settings.images.login
        mine = login if login and transfer.is_for(login, reference) else None
        said = self.engine.refused(reference, transfer.credentials(mine) if mine else {})
        if not said:
            return Found(reference, Availability.COMES, "from its registry")
        meaning, todo = transfer.fault(said)
        sure = meaning in transfer.SURE and (mine is not None or not self._logs_in_itself(meaning))
        had = Availability.NEVER if sure else Availability.UNSURE
        return Found(reference, had, f"{meaning}: {said[-SHOWN:]}", todo)

    def _logs_in_itself(self, meaning: str) -> bool:
        """Whether the host may have a log-in of its own, of which we know nothing."""
        if meaning != transfer.DENIED:
            return False
        return (
            self.host.run("grep -qE '\"(auths|cred)' ~/.docker/config.json", check=False).code == 0
        )
