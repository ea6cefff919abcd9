"""`inv migrate.check`: what an expand may not do while the old release serves, by squawk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyan.errors import CyanError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cyan.migrations.files import Migration

STYLE = (
    "require-lock-timeout",  # cyan sets both limits, for every file
    "require-statement-timeout",
    "prefer-robust-stmts",  # each file is one transaction, or cyan heals its index
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-enum-value-ordering",
)
"""Rules that are not about the releases beside the migration."""

_DROP = "leave it; deploy releases that do not use it; then drop it in a contract file"
_CONSTRAINT = "add it NOT VALID; VALIDATE CONSTRAINT in the next file"
_RENAME = (
    "add the new name beside the old; deploy a release that writes both; backfill; deploy one "
    "that uses only the new; drop the old in a contract file"
)
_REQUIRED = (
    "add it nullable or with a constant default; backfill; then add CHECK (… IS NOT NULL) NOT "
    "VALID, VALIDATE it, and SET NOT NULL, in contract files"
)
SAFE = {
    "ban-drop": _DROP,
    "ban-set-schema": _RENAME,
    "renaming": _RENAME,
    "adding-required-field": _REQUIRED,
    "adding-not-nullable-field": _REQUIRED,
    "changing-column-type": "add a column of the new type; deploy a release that writes both; "
    "backfill; deploy one that uses only the new; drop the old in a contract file",
    "require-concurrent-index-creation": "CREATE INDEX CONCURRENTLY, in a file of its own",
    "disallowed-unique-constraint": "CREATE UNIQUE INDEX CONCURRENTLY in a file of its own; then "
    "ADD CONSTRAINT … UNIQUE USING INDEX in the next",
    "constraint-missing-not-valid": _CONSTRAINT,
    "adding-foreign-key-constraint": _CONSTRAINT,
}
"""By the beginning of a rule's name: what to do in its place."""

WORDS = {
    "DROP": ("the old release may still use what is dropped", _DROP),
    "TRUNCATE": ("it takes the old release's data away", _DROP),
    "DELETE": ("rows that the old release may still use are removed", _DROP),
    "UPDATE": (
        "one transaction over many rows keeps them locked until it ends",
        "put it in a backfill file, which is repeated batch by batch",
    ),
}
"""What squawk leaves to us, by a statement's first word: why it is refused, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One thing that an expand file may not do."""

    name: str
    line: int
    rule: str
    reason: str
    safe: str

    def __str__(self) -> str:
        safe = f"\n    instead: {self.safe}" if self.safe else ""
        return f"{self.name}:{self.line}: {self.reason} ({self.rule}){safe}"


def findings(expands: Iterable[Migration]) -> tuple[Finding, ...]:
    """What is wrong with these expand files. Raises CyanError where squawk cannot say."""
    return tuple(found for each in expands for found in (*_own(each), *_squawk(each)))


def _own(migration: Migration) -> Iterator[Finding]:
    by_squawk = ("TABLE", "INDEX", "VIEW", "FUNCTION", "TYPE", "SCHEMA", "SEQUENCE", "DATABASE")
    for statement in migration.statements:
        first, second = (*statement.upper().split(), "", "")[:2]
        if first in WORDS and not (first == "DROP" and second in by_squawk):
            reason, safe = WORDS[first]
            yield Finding(migration.name, 1, f"{first} in expand", reason, safe)


def _squawk(migration: Migration) -> Iterator[Finding]:
    words = [_program(), "--reporter", "json", "--stdin-filepath", migration.name]
    words += [f"--exclude={','.join(STYLE)}"]
    words += [] if migration.concurrent else ["--assume-in-transaction"]
    done = subprocess.run(  # noqa: S603 - our own words; the SQL goes to its standard input
        words, input=migration.sql, capture_output=True, text=True, check=False
    )
    try:
        listed = json.loads(done.stdout or "[]") if done.returncode in (0, 1) else None
    except ValueError:
        listed = None
    if listed is None or bool(listed) != bool(done.returncode):
        said = (done.stderr or done.stdout).strip()[-600:]
        raise CyanError(f"squawk could not judge {migration.name}: {said}")
    return (_finding(migration.name, each) for each in listed)


def _finding(name: str, raw: Any) -> Finding:  # noqa: ANN401 - squawk's JSON
    rule = str(raw["rule_name"])
    safe = next((text for start, text in SAFE.items() if rule.startswith(start)), "")
    return Finding(name, int(raw["line"]) + 1, rule, raw["message"], safe or raw["help"] or "")


def _program() -> str:
    beside = Path(sys.executable).parent
    found = shutil.which("squawk", path=os.pathsep.join((str(beside), os.environ.get("PATH", ""))))
    if not found:
        raise UsageError(
            "squawk is not installed, and it judges migrations",
            todo="pip install 'cyan[migrations]'",
        )
    return found
