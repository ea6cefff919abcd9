"""Commands of the load that a verification sends."""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports; flags are arguments
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyan.cli import command
from cyan.errors import UsageError
from cyan.tasks.common import given

if TYPE_CHECKING:
    from invoke import Context

LARGEST = 1 << 30  # bytes of a log: a week of many a site

HEAD = """\
# What users of the site ask for, learned from {source}. It is yours: edit it, and see docs/load.md.
# inv verify-zero-downtime sends it where cyan.verify.load names this file.
"""


@command(
    name="learn",
    needs="proof",
    help={
        "from": "a log of Caddy (JSON) or nginx (combined), a HAR, or an OpenAPI document (JSON)",
        "writes": "learn also what changes something: POST, PUT, PATCH, DELETE",
        "host": "only requests of this host",
        "to": "the file to write",
        "force": "write over a file that is there",
    },
)
def load_learn(
    c: Context,  # noqa: ARG001 - Invoke's own
    from_: str = "",
    writes: bool = False,
    host: str = "",
    to: str = "load.yaml",
    force: bool = False,
) -> None:
    """Write load.yaml from what users did: paths, values, weights, statuses; no secrets."""
    from cyan.proof import learn, theirs
    from cyan.terminal import console

    path, target = Path(given(from_, "--from", "access.json")), Path(to)
    if target.exists() and not force:
        raise UsageError(f"{target} is there", todo="--to another file, or --force")
    made = learn.learn(_text(path), writes=writes, host=host)
    target.write_text(HEAD.format(source=path.name) + theirs.text(made.load), encoding="utf-8")
    console.print(f"{target}: {len(made.load.requests)} sorts of request", markup=False)
    for shape in made.load.requests[:10]:
        console.print(f"  {shape.weight:>9,.0f}  {shape.title}", markup=False, highlight=False)
    for line in made.left_out:
        console.print(f"  [dim]{line}[/dim]")
    console.print(f"[dim]next: read it, then set cyan.verify.load: {target}[/dim]")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is larger than a GiB", todo="give a part of it: tail -c 1G")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
