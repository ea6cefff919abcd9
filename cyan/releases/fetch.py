"""The fetch step: a release's images come to the host and are recorded by id; so do its secrets."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cyan.application.compose_file import ComposeFile
from cyan.application.mounts import FILES
from cyan.engines import colors, stack, transfer
from cyan.engines.stack import Stack
from cyan.errors import DeployError, HostError
from cyan.hosts.session import Session, no_bar
from cyan.journal.while_held import WhileHeld
from cyan.names import Role, in_color
from cyan.releases import contents, mounted
from cyan.releases import images as release_images
from cyan.releases.images import Service, ServiceImage
from cyan.world.shell import quoted_path, run_script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cyan.application.release import Release
    from cyan.engines.compose import Project
    from cyan.hosts.session import Bar
    from cyan.releases.contents import Contents


MEGABYTE = 1e6
SEPARATOR = "--cyan--"
PATIENCE = 300  # seconds for every node to have an image
SHOWN = 600  # characters of what docker printed


@dataclass(frozen=True)
class Fetch(Session):
    """What a release's files are brought with: a session on the host, and what is brought."""

    release: Release
    contents: Contents
    bar: Bar = no_bar  # shows how far a long transfer is


def fetch(
    at: Fetch, files: Iterable[tuple[str, str]], first: Sequence[str] = ()
) -> tuple[str, tuple[ServiceImage, ...]]:
    """Write the release's files and secrets, fetch its images, record their ids.

    `files` are (path on the host, text), `first` commands for what it needs beside them. Returns
    what was done, in words, and the images. Raises DeployError, HostError.
    """
    project = colors.project_of(at.settings, at.release)
    prepare = " && ".join((contents.write(project, files, at.contents), *first))
    if at.contents.mounted and at.settings.adopted:
        folder, target = at.settings.adopted.folder, project.folder / FILES
        with at.bar("sending what is mounted", None) as sent:
            mounted.send(at.lock, folder, at.contents.mounted, target, sent)
    if at.contents.again:
        run_script(at.lock, prepare)
        says, ran = _again(at)
    else:
        records = contents.records_command(at.settings)
        read = f"{prepare} && {project.config()} && echo && echo {SEPARATOR} && {records}"
        config, found = run_script(at.lock, read).stdout.split(f"\n{SEPARATOR}\n")
        file = ComposeFile(json.loads(config), project.name, project.folder)
        kept = at.contents.kept
        coming = [each for each in release_images.services(file) if each.name not in kept]
        says, ran = _fetched(at, project, coming, _brought(contents.parse_records(found)))
        ran = (*ran, *at.contents.images)
    spread = tuple(each for each in ran if _lasts(at, each))
    if isinstance(project, Stack) and at.world.leads:
        says += f"; {_on_every_node(at, spread)}"
    at.run(contents.record(project, ran, spread))
    return says, ran


def _lasts(at: Fetch, image: ServiceImage) -> bool:
    """Whether it is of a service that does not run once, on this host."""
    adopted, color = at.settings.adopted, at.release.color
    once = adopted.named(Role.ONCE) if adopted else ()
    return image.service not in {in_color(name, color) for name in once}


def _on_every_node(at: Fetch, ran: Sequence[ServiceImage]) -> str:
    """Have every node of the swarm fetch the images; in words. Raises DeployError."""
    names = sorted({each.anywhere for each in ran})
    by, folder, login = WhileHeld(at.lock), str(at.settings.directory), at.settings.images.login
    for name in names:
        lacks = transfer.logged_in(
            *(by, folder, login),
            partial(stack.fetched, app=at.settings.app, image=name, within=PATIENCE),
        )
        if lacks.code == 0 and not lacks.stdout.strip():
            continue
        said = "; ".join(lacks.stdout.split("\n")).strip("; ") or lacks.stderr.strip()[-SHOWN:]
        raise DeployError(
            f"{name} is not on every node of the swarm: {said}",
            where=at.host.name,
            todo="a node pulls it by itself: is its registry reached from there, or is it to be "
            "loaded there (docker save, docker load)?",
        )
    return f"{len(names)} on every node"


def _fetched(
    at: Fetch, project: Project, services: Sequence[Service], ours: frozenset[str]
) -> tuple[str, tuple[ServiceImage, ...]]:
    """Bring the images by the way that the settings name, and what that leaves out by pulling.

    `ours` are the ids of those that cyan brought for earlier releases.
    """
    references = sorted({each.reference for each in services})
    before = at.engine.image_ids()
    source = at.settings.images.source
    says = []
    if source == "build":
        says.append(_build(at, project, [each for each in services if each.built]))
    elif source == "send":
        says.append(_send(at, references))
    missing = [each for each in references if not _id(at, each)]
    if missing:
        _pull(at, missing)
        says.append(f"pulled {', '.join(missing)}")
    others = before - ours
    found = tuple(_service_image(at, each, others) for each in services)
    return "; ".join(says) or f"{len(references)} on the host already", found


def _service_image(at: Fetch, service: Service, others: frozenset[str]) -> ServiceImage:
    """A service's image as it is on the host now; not `brought` if it is one of the `others`."""
    image = at.engine.image(service.reference)
    if image is None:
        raise DeployError(
            f"{service.reference} is not on the host, although it was fetched",
            where=at.host.name,
            todo="does something on the host remove images? docker events tells",
        )
    brought = image.id not in others
    return ServiceImage(service.name, service.reference, image.id, image.digests, brought)


def _brought(records: Mapping[str, Sequence[ServiceImage]]) -> frozenset[str]:
    """The ids of the images that cyan put on the host, by what its releases recorded."""
    return frozenset(image.id for images in records.values() for image in images if image.brought)


def _id(at: Fetch, reference: str) -> str:
    image = at.engine.image(reference)
    return image.id if image else ""


def _pull(at: Fetch, references: Sequence[str]) -> None:
    settings = at.settings
    by, login = WhileHeld(at.lock), settings.images.login
    pulled = transfer.pull(by, references, str(settings.directory), login)
    if pulled.code == 0:
        return
    said = (pulled.stderr or pulled.stdout).strip()[-SHOWN:]
    meaning, todo = transfer.fault(said)
    raise DeployError(
        f"{', '.join(references)} is not on the host and cannot be pulled: {meaning}: {said}",
        where=at.host.name,
        todo=todo,
    )


def _build(at: Fetch, project: Project, services: Sequence[Service]) -> str:
    if not services:
        raise DeployError(
            "no service of the Compose file has a build section",
            where=str(at.settings.compose.stateless),
            todo="say there what is to be built, or choose another cyan.images.from",
        )
    context, source = project.folder / "context", at.settings.images.context
    assert source is not None  # noqa: S101 - settings.load has filled it in
    try:
        with at.bar(f"sending {source.name}/", None) as sent:
            transfer.send_folder(at.lock, source, context, sent)
        WhileHeld(at.lock).run(project.build(context, tuple(each.name for each in services)))
    finally:
        at.run(f"rm -rf -- {quoted_path(context)}")
    return f"built {', '.join(sorted({each.reference for each in services}))}"


def _send(at: Fetch, references: Sequence[str]) -> str:
    """Send this machine's images, but for those and the layers that the host has."""
    says = []
    for reference in references:
        image = transfer.local(reference)
        if image is None:
            says.append(f"{reference} is not on this machine")
        elif image.id == _id(at, reference):
            says.append(f"{reference} is on the host already")
        elif _id(at, image.id):
            at.run(f"docker tag {image.id} {shlex.quote(reference)}")
            says.append(f"{reference} is on the host already, by another name")
        else:
            says.append(f"sent {reference}, {_sent(at, image)}")
    return "; ".join(says)


def _sent(at: Fetch, image: transfer.LocalImage) -> str:
    """Send one image without the layers that the host has, or whole where it does not take that."""
    skip = transfer.shared(image.layers, transfer.layers_on(at.host))
    try:
        size = _streamed(at, image, skip)
    except HostError:
        if not skip:
            raise
        skip = frozenset()
        size = _streamed(at, image, skip)
    left_out = f", {len(skip)} of {len(image.layers)} layers are there" if skip else ""
    return f"{size / MEGABYTE:.1f} MB{left_out}"


def _streamed(at: Fetch, image: transfer.LocalImage, skip: frozenset[str]) -> int:
    with at.bar(f"sending {image.reference}", image.size) as read:
        return transfer.send(WhileHeld(at.lock), image, skip, read)


def _again(at: Fetch) -> tuple[str, tuple[ServiceImage, ...]]:
    """The very images that an earlier release ran; from where they came, where they are gone."""
    found, release = at.contents.images, at.contents.again
    gone = {image.id: image for image in found if not _id(at, image.id)}
    for image in gone.values():
        _bring_back(at, image, release)
    says = f"the images that {release} ran"
    return says + (f", {len(gone)} of them brought back" if gone else ""), found


def _bring_back(at: Fetch, image: ServiceImage, release: str) -> None:
    here = transfer.local(image.id) if at.settings.images.source == "send" else None
    if here is not None:
        _sent(at, here)
    elif image.digests:
        _pull(at, [image.digests[0]])
    if not _id(at, image.id):
        raise DeployError(
            f"the image that {release} ran for {image.service} is gone from the host: "
            f"{image.reference}, {image.id}",
            where=at.host.name,
            todo=f"another image of that tag is another release: inv deploy --version "
            f"{at.release.version}, if that is wanted",
        )
