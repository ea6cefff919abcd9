"""The fetch step: a release's images come to the host and are recorded by id; so do its secrets."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.errors import DeployError, HostError
from cyan.rollout import cargo
from cyan.rollout import pins as pinning
from cyan.rollout.leash import Leash
from cyan.rollout.pins import Pin, Service
from cyan.world import compose, images
from cyan.world.compose import quoted_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cyan.rollout.plan import Step
    from cyan.rollout.steps import Job

MEGABYTE = 1e6
SEPARATOR = "--cyan--"
SHOWN = 600  # characters of what docker printed


def fetch(job: Job, step: Step) -> tuple[str, tuple[Pin, ...]]:
    """Write the release's files, fetch its images, record their ids, store its secrets.

    Returns what was done, in words, and the pins. Raises DeployError, HostError.
    """
    project = project_of(job, step)
    # no secrets yet: what Compose makes of its files is read back here
    prepare = f"{compose.write_files(step.files)} && {cargo.empty_secrets(project)}"
    if job.plan.cargo.again:
        job.run(prepare)
        says, pins = _again(job)
    else:
        records = cargo.records_command(job.settings)
        read = f"{prepare} && {step.commands[0]} && echo && echo {SEPARATOR} && {records}"
        config, found = job.run(read).stdout.split(f"\n{SEPARATOR}\n")
        services = pinning.services(config, project.name)
        says, pins = _fetched(job, project, services, _brought(cargo.parse_records(found)))
    cargo.store(job.lock, project, job.plan.cargo, pins)
    return says, pins


def project_of(job: Job, step: Step) -> compose.Project:
    """The Compose project of the release that a step makes."""
    folder = PurePosixPath(job.settings.directory) / "releases" / job.plan.target.id
    return compose.Project(job.settings.project(step.color), folder)


def _fetched(
    job: Job, project: compose.Project, services: Sequence[Service], ours: frozenset[str]
) -> tuple[str, tuple[Pin, ...]]:
    """Bring the images by the way that the settings name, and what that leaves out by pulling.

    `ours` are the ids of those that cyan brought for earlier releases.
    """
    references = sorted({each.reference for each in services})
    before = job.engine.image_ids()
    source = job.settings.images.source
    says = []
    if source == "build":
        says.append(_build(job, project, [each for each in services if each.built]))
    elif source == "send":
        says.append(_send(job, references))
    missing = [each for each in references if not _id(job, each)]
    if missing:
        _pull(job, missing)
        says.append(f"pulled {', '.join(missing)}")
    others = before - ours
    pins = tuple(_pin(job, each, others) for each in services)
    return "; ".join(says) or f"{len(references)} on the host already", pins


def _pin(job: Job, service: Service, others: frozenset[str]) -> Pin:
    """A service's image as it is on the host now; not `brought` if it is one of the `others`."""
    image = job.engine.image(service.reference)
    if image is None:
        raise DeployError(
            f"{service.reference} is not on the host, although it was fetched",
            where=job.host.name,
            todo="does something on the host remove images? docker events tells",
        )
    brought = image.id not in others
    return Pin(service.name, service.reference, image.id, image.digests, brought)


def _brought(records: Mapping[str, Sequence[Pin]]) -> frozenset[str]:
    """The ids of the images that cyan put on the host, by what its releases recorded."""
    return frozenset(pin.id for pins in records.values() for pin in pins if pin.brought)


def _id(job: Job, reference: str) -> str:
    image = job.engine.image(reference)
    return image.id if image else ""


def _pull(job: Job, references: Sequence[str]) -> None:
    settings = job.settings
    by, login = Leash(job.lock), settings.images.login
    pulled = images.pull(by, references, str(settings.directory), login)
    if pulled.code == 0:
        return
    said = (pulled.stderr or pulled.stdout).strip()[-SHOWN:]
    meaning, todo = images.fault(said)
    raise DeployError(
        f"{', '.join(references)} is not on the host and cannot be pulled: {meaning}: {said}",
        where=job.host.name,
        todo=todo,
    )


def _build(job: Job, project: compose.Project, services: Sequence[Service]) -> str:
    if not services:
        raise DeployError(
            "no service of the Compose file has a build section",
            where=str(job.settings.compose.stateless),
            todo="say there what is to be built, or choose another cyan.images.from",
        )
    context, source = project.folder / "context", job.settings.images.context
    assert source is not None  # noqa: S101 - settings.load has filled it in
    try:
        with job.bar(f"sending {source.name}/", None) as sent:
            images.send_folder(job.lock, source, context, sent)
        Leash(job.lock).run(project.build(context, tuple(each.name for each in services)))
    finally:
        job.run(f"rm -rf -- {quoted_path(context)}")
    return f"built {', '.join(sorted({each.reference for each in services}))}"


def _send(job: Job, references: Sequence[str]) -> str:
    """Send this machine's images, but for those and the layers that the host has."""
    says = []
    for reference in references:
        image = images.local(reference)
        if image is None:
            says.append(f"{reference} is not on this machine")
        elif image.id == _id(job, reference):
            says.append(f"{reference} is on the host already")
        elif _id(job, image.id):
            job.run(f"docker tag {image.id} {shlex.quote(reference)}")
            says.append(f"{reference} is on the host already, by another name")
        else:
            says.append(f"sent {reference}, {_sent(job, image)}")
    return "; ".join(says)


def _sent(job: Job, image: images.LocalImage) -> str:
    """Send one image without the layers that the host has, or whole where it does not take that."""
    skip = images.shared(image.layers, images.layers_on(job.host))
    try:
        size = _streamed(job, image, skip)
    except HostError:
        if not skip:
            raise
        skip = frozenset()
        size = _streamed(job, image, skip)
    left_out = f", {len(skip)} of {len(image.layers)} layers are there" if skip else ""
    return f"{size / MEGABYTE:.1f} MB{left_out}"


def _streamed(job: Job, image: images.LocalImage, skip: frozenset[str]) -> int:
    with job.bar(f"sending {image.reference}", image.size) as read:
        return images.send(Leash(job.lock), image, skip, read)


def _again(job: Job) -> tuple[str, tuple[Pin, ...]]:
    """The very images that an earlier release ran; from where they came, where they are gone."""
    pins, release = job.plan.cargo.pins, job.plan.cargo.again
    gone = {pin.id: pin for pin in pins if not _id(job, pin.id)}
    for pin in gone.values():
        _bring_back(job, pin, release)
    says = f"the images that {release} ran"
    return says + (f", {len(gone)} of them brought back" if gone else ""), pins


def _bring_back(job: Job, pin: Pin, release: str) -> None:
    here = images.local(pin.id) if job.settings.images.source == "send" else None
    if here is not None:
        _sent(job, here)
    elif pin.digests:
        _pull(job, [pin.digests[0]])
    if not _id(job, pin.id):
        raise DeployError(
            f"the image that {release} ran for {pin.service} is gone from the host: "
            f"{pin.reference}, {pin.id}",
            where=job.host.name,
            todo=f"another image of that tag is another release: inv deploy --version "
            f"{job.plan.target.version}, if that is wanted",
        )
