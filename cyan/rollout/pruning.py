"""The prune step: old releases go from the host, and with them the images that cyan brought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.rollout import cargo
from cyan.rollout import pins as pinning
from cyan.world.compose import quoted_path

if TYPE_CHECKING:
    from cyan.rollout.steps import Job


def prune(job: Job) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Remove what nobody needs; what was done, in words, the releases and the image ids removed.

    The live, the warm and the previous release stay, whatever their number. An image that another
    name or another's container holds is left: removal is never forced.
    """
    containers = job.engine.containers(job.settings.app)
    old = job.plan.old.id if job.plan.old else ""
    needed = {job.plan.target.id, old, *(item.release for item in containers)}
    records = cargo.records(job.host, job.settings)
    going = pinning.stale(records, needed, job.settings.keep_releases)
    images = pinning.unneeded(records, going, {item.image for item in containers})
    removed = tuple(each for each in images if _removed(job, each))
    if going:
        folder = quoted_path(job.settings.directory, "releases")
        names = " ".join(quoted_path(name) for name in going)
        job.run(f"cd {folder} && rm -rf -- {names}")
    says = f"the newest {job.settings.keep_releases} releases are kept"
    if removed:
        says += f"; {len(removed)} images are removed"
    return says, going, removed


def _removed(job: Job, image: str) -> bool:
    return job.run(f"docker image rm {quoted_path(image)}", check=False).code == 0
