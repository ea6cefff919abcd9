"""The files that come with cyan beside its code: Caddyfile, Compose files, setup, locustfile.

In a checkout they are the repository's own; a wheel has copies of them in its folder `bundle`.
"""

from __future__ import annotations

from pathlib import Path

from cyan.errors import UsageError

PACKAGE = Path(__file__).parent


def bundled(name: str) -> Path:
    """Where such a file is, by its path in the repository: `Caddyfile`, `compose/stateful.yml`."""
    copy = PACKAGE / "bundle" / name
    return copy if copy.exists() else PACKAGE.parent / name


def text_of(path: Path, key: str, example: str) -> str:
    """The text of a file that the setting `key` names. Raises UsageError where it cannot be read.

    `example` is the bundled file that one may begin with, "" for none.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        own = f"; cyan's own, to begin with, is {bundled(example)}" if example else ""
        raise UsageError(
            f"the file of {key} cannot be read: {path}",
            where=str(error),
            todo=f"name yours as {key}{own}",
        ) from None
