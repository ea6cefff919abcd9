"""Migrations as files: their names, their kinds, what is pending, and when a contract may run."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from cyan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cyan.engines.containers import Container
    from cyan.journal.entries import Entry

EXAMPLE = "0001_expand_add_note.sql"
NAME = re.compile(r"(?P<number>[0-9]{4})_(?P<kind>expand|backfill|contract)_[a-z0-9_]{1,80}\.sql")

_IDENTIFIER = r'(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+")'
_INDEX = re.compile(
    rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>{_IDENTIFIER})\s+ON\s+(?:ONLY\s+)?(?:(?P<schema>{_IDENTIFIER})\.)?{_IDENTIFIER}",
    re.IGNORECASE,
)
_REQUIRES = re.compile(rf"-- cyan: requires (?P<table>(?:{_IDENTIFIER}\.)?{_IDENTIFIER})\s*\n")
_REPEATABLE = re.compile(r"\bIF\s+EXISTS\b|^REINDEX\b|^REFRESH\b|^VACUUM\b", re.IGNORECASE)
_TRANSACTION = ("BEGIN", "START", "COMMIT", "ROLLBACK", "ABORT", "PREPARE")
_WRITES = ("UPDATE", "DELETE", "INSERT", "WITH", "MERGE")


class Kind(StrEnum):
    """What a migration is to the releases that run beside it."""

    EXPAND = "expand"  # old and new releases can live with it; a deploy runs it before it starts
    BACKFILL = "backfill"  # fills old rows, batch by batch
    CONTRACT = "contract"  # takes away what no release uses any more


@dataclass(frozen=True)
class Token:
    """A piece of SQL: as it stands there, and whether it is a comment or a literal."""

    text: str
    comment: bool
    literal: bool

    @property
    def shown(self) -> str:
        """What of it says what is done: no comment, and not what a literal holds."""
        return " " if self.comment else "''" if self.literal else self.text


@dataclass(frozen=True)
class Migration:
    """One SQL file."""

    name: str
    kind: Kind
    sql: str

    @property
    def requires(self) -> str:
        """The table that must be there, or the file is another database's; "" for any."""
        found = _REQUIRES.match(self.sql)
        return found["table"] if found else ""

    @property
    def checksum(self) -> str:
        """What the database remembers of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @cached_property
    def statements(self) -> tuple[str, ...]:
        """The statements, without comments and the insides of literals."""
        texts = ("".join(token.shown for token in each) for each in self._pieces)
        found = (" ".join(text.split()).rstrip("; ") for text in texts)
        return tuple(each for each in found if each)

    @property
    def single(self) -> str:
        """The text up to the end of its only statement: nothing after it is sent."""
        tokens = [token for each in self._pieces for token in each]
        while tokens and not tokens[-1].shown.strip("; \t\r\n"):
            tokens.pop()
        return "".join(token.text for token in tokens)

    @property
    def unsure(self) -> str:
        """What may end elsewhere for PostgreSQL than it does for us; "" where nothing does."""
        comments = [token.text for each in self._pieces for token in each if token.comment]
        if any(text.startswith("#") for text in comments):
            return "the operator # is taken for a comment: write it as a function"
        if any("/*" in text[2:] for text in comments if text.startswith("/*")):
            return "a comment stands in a comment: leave the inner one out"
        return ""

    @cached_property
    def _pieces(self) -> tuple[tuple[Token, ...], ...]:
        from sqlparse import tokens  # noqa: PLC0415 - only where there are migrations
        from sqlparse.engine import FilterStack  # noqa: PLC0415

        split = FilterStack().run(self.sql)  # type: ignore[no-untyped-call]
        quoted = (tokens.Literal, tokens.String.Single)
        return tuple(
            tuple(
                Token(token.value, token.ttype in tokens.Comment, token.ttype in quoted)
                for token in each.flatten()
            )
            for each in split
        )

    @property
    def concurrent(self) -> bool:
        """Whether it must run outside a transaction."""
        return any(re.search(r"\bCONCURRENTLY\b", each, re.IGNORECASE) for each in self.statements)

    @property
    def index(self) -> str:
        """The index that it builds beside the traffic, with its schema where given; else ""."""
        found = _INDEX.match(self.statements[0])
        if not found:
            return ""
        return f"{found['schema']}.{found['name']}" if found["schema"] else found["name"]


@dataclass(frozen=True)
class Applied:
    """What the database remembers of one migration."""

    name: str
    kind: str
    checksum: str
    applied_at: str
    release: str


@dataclass(frozen=True)
class State:
    """The files beside what the database remembers."""

    files: tuple[Migration, ...]
    applied: Mapping[str, Applied]

    def pending(self, *kinds: Kind) -> tuple[Migration, ...]:
        """What is still to be applied, of these kinds (of all unless given), in order."""
        wanted = kinds or tuple(Kind)
        return tuple(f for f in self.files if f.name not in self.applied and f.kind in wanted)

    @property
    def changed(self) -> tuple[Applied, ...]:
        """What was applied, and then the file was changed."""
        known = {file.name: file.checksum for file in self.files}
        return tuple(
            each
            for name, each in sorted(self.applied.items())
            if name in known and known[name] != each.checksum
        )

    def before(self, migration: Migration) -> tuple[Migration, ...]:
        """What must be applied before a backfill or a contract may be: what stands before it."""
        earlier = {Kind.EXPAND: (), Kind.BACKFILL: (Kind.EXPAND,)}
        kinds = earlier.get(migration.kind, (Kind.EXPAND, Kind.BACKFILL))
        return tuple(f for f in self.pending() if f.kind in kinds and f.name < migration.name)


def parse(texts: Mapping[str, str]) -> tuple[Migration, ...]:
    """The migrations of a folder's SQL files, by their order. Raises UsageError naming a fault."""
    migrations = tuple(_migration(name, texts[name]) for name in sorted(texts))
    numbers = Counter(each.name[:4] for each in migrations)
    for each in migrations:
        if numbers[each.name[:4]] > 1:
            raise UsageError(f"two migrations have the number {each.name[:4]}", where=each.name)
        fault = _fault(each)
        if fault:
            raise UsageError(fault, where=each.name)
    return migrations


def _migration(name: str, sql: str) -> Migration:
    found = NAME.fullmatch(name)
    if not found:
        raise UsageError(
            f"{name!r} is not the name of a migration",
            todo=f"four digits, expand, backfill or contract, and what it does: {EXAMPLE}",
        )
    return Migration(name, Kind(found["kind"]), sql)


def _fault(migration: Migration) -> str:
    """Why a file cannot be run as it should; "" where it can."""
    if migration.unsure:
        return migration.unsure
    firsts = [statement.split()[0].upper() for statement in migration.statements]
    if not firsts:
        return "the file holds no statement"
    if any(first in _TRANSACTION for first in firsts):
        return "cyan gives every file its own transaction: leave BEGIN and COMMIT out"
    if re.search(r"^\s*\\", migration.sql, re.MULTILINE):
        return "a line begins with a backslash: psql's own commands are not SQL"
    if migration.kind is Kind.BACKFILL and (len(firsts) > 1 or firsts[0] not in _WRITES):
        return "a backfill is one UPDATE, INSERT or DELETE, repeated until it finds no row"
    return _concurrent_fault(migration) if migration.concurrent else ""


def _concurrent_fault(migration: Migration) -> str:
    first = migration.statements[0]
    if len(migration.statements) > 1:
        return "what says CONCURRENTLY cannot be in a transaction: give it a file of its own"
    if first.upper().startswith("CREATE") and not migration.index:
        return "give the index a name: a failed one must be found and dropped"
    if not migration.index and not _REPEATABLE.search(first):
        return "it could not be run again after a crash: write IF EXISTS"
    return ""


def older(version: str, containers: Iterable[Container], runs: Iterable[Entry]) -> tuple[str, ...]:
    """The releases with containers that may be older than `version`, in words.

    Tags have no order, so the journal's has to serve: a version is newer only where it was first
    deployed after `version` was for the last time. `runs` are the journal's begun deploys and
    rollbacks, of all time. Raises UsageError where `version` was never deployed.
    """
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for entry in runs:
        first.setdefault(entry.version, entry.at)
        last[entry.version] = entry.at
    if version not in last:
        raise UsageError(
            f"{version} was never deployed here", todo="name the release that needs it no more"
        )
    found = {
        f"{item.color} {item.version or 'of no known version'}"
        for item in containers
        if item.color and item.version != version and first.get(item.version, 0) <= last[version]
    }
    return tuple(sorted(found))
