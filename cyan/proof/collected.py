"""What a run collected: a manifest of its files, so that what was changed or lost since is seen."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME = "manifest.json"
DERIVED = ("verdict.json", "summary.md", "junit.xml", "report.html", "requests.parquet", NAME)
"""What is made from the evidence, again at each judgement."""

WATCHED = ("client", "application")
"""Folders in which there may be no file that the manifest does not name."""


def write(folder: Path) -> str:
    """Write the manifest of all that a run's folder holds; its digest."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in DERIVED)
    with ThreadPoolExecutor(2) as pool:  # hashing leaves the interpreter's lock
        sums = dict(zip((_name(folder, p) for p in files), pool.map(_sum, files), strict=True))
    text = json.dumps({"files": sums}, indent=1) + "\n"
    (folder / NAME).write_text(text, encoding="utf-8")
    return digest(folder)


def digest(folder: Path) -> str:
    """The manifest's own SHA-256; "" where there is none."""
    path = folder / NAME
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def changed(folder: Path) -> dict[str, str]:
    """What is not as it was collected: files by their path in the folder, and how they differ.

    Also a manifest that is missing, cannot be read, or is another than that of the verdict before.
    """
    try:
        wanted = json.loads((folder / NAME).read_text(encoding="utf-8"))["files"]
        sums = {str(name): dict(value) for name, value in wanted.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {NAME: "is missing or cannot be read"}
    found = {name: how for name, how in _compared(folder, sums.items()) if how}
    for watched in WATCHED:
        for path in sorted((folder / watched).glob("*")):
            if _name(folder, path) not in sums:
                found[_name(folder, path)] = "was not collected"
    if _judged(folder) not in {"", digest(folder)}:
        found[NAME] = "is not the one that was judged before"
    return found


def _judged(folder: Path) -> str:
    """The digest of the manifest that the folder's verdict rests on; "" where none does."""
    try:
        kept = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
        return str(kept.get("manifest", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _compared(
    folder: Path, sums: Iterable[tuple[str, dict[str, Any]]]
) -> Iterable[tuple[str, str]]:
    def one(item: tuple[str, dict[str, Any]]) -> tuple[str, str]:
        name, wanted = item
        path = folder / name
        if not path.is_file():
            return name, "is missing"
        return name, "" if _sum(path) == wanted else "is not as it was collected"

    with ThreadPoolExecutor(2) as pool:
        return tuple(pool.map(one, sums))


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _sum(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            "bytes": path.stat().st_size,
        }
