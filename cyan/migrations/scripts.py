"""The scripts that psql is given: pure text, so that they can be read and tested."""

# ruff: noqa: S608 - the files are SQL themselves, and what we add goes through `literal`
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyan.migrations.files import Migration
    from cyan.sections import MigrateSettings

TABLE = "public.cyan_migrations"
APPLICATION = "cyan-migrate"
"""What our sessions are called in pg_stat_activity."""

BATCHES = 10  # batches of a backfill in one round trip

ORPHANS = f"""
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name = '{APPLICATION}' AND datname = current_database()
AND usename = current_user AND pid <> pg_backend_pid() \\g /dev/null
"""
"""Only one deployer holds the lock: another session of ours is what a killed one left behind."""

LOOK = f"""
SELECT to_regclass('{TABLE}') IS NOT NULL AS there \\gset
\\if :there
SELECT coalesce(jsonb_agg(m ORDER BY name), '[]') FROM {TABLE} m;
\\else
SELECT '[]';
\\endif
"""

CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    name text PRIMARY KEY, kind text NOT NULL, checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(), release text NOT NULL
);
"""

INVALID = """
SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid
AND indexrelid = to_regclass({index});
"""

OPEN = """
SELECT format('pid %s of %s (%s), %s for %s s', pid, usename, application_name, state,
    round(extract(epoch FROM now() - xact_start)))
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()
ORDER BY xact_start LIMIT 3;
"""
"""The oldest open transactions: where a lock was waited for in vain, one of them holds it.

Without their statements, which may hold what is secret."""


def literal(text: str) -> str:
    """A text as SQL writes it."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def look(*, alone: bool) -> str:
    """Asks what is applied; with `alone`, ends what a killed deployer left running, first."""
    return ORPHANS + LOOK if alone else LOOK


def exists(table: str) -> str:
    """Asks whether a table is there: t or f."""
    return f"SELECT to_regclass({literal(table)}) IS NOT NULL;\n"


def invalid(index: str) -> str:
    """Asks whether an index is left unusable."""
    return INVALID.format(index=literal(index))


def apply(migration: Migration, release: str, limits: MigrateSettings) -> str:
    """Applies a file and remembers that, in one transaction, or alone where it must be."""
    if migration.concurrent:
        return _concurrent(migration, release, limits)
    body = f"BEGIN;\n{migration.sql}\n;\n{_remember(migration, release)}COMMIT;\n"
    return _limits(limits.lock_timeout, limits) + CREATE + body


def backfill(migration: Migration, release: str, limits: MigrateSettings) -> str:
    """Runs some batches and prints the rows of each; remembers it where the last one found none."""
    batches = f"{migration.single}\n;\n\\echo :ROW_COUNT\n" * BATCHES
    done = "SELECT :ROW_COUNT = 0 AS done \\gset\n\\if :done\n"
    remember = f"{done}{_remember(migration, release)}\\endif\n"
    return _limits(limits.lock_timeout, limits) + CREATE + batches + remember


def _concurrent(migration: Migration, release: str, limits: MigrateSettings) -> str:
    # its wait for old transactions blocks nobody, and to give it up leaves an index that is invalid
    start = _limits(limits.statement_timeout, limits) + CREATE
    body = f"{migration.sql}\n;\n"
    if migration.index:
        body = _healed(literal(migration.index), body)
    return start + body + _remember(migration, release)


def _healed(index: str, body: str) -> str:
    """Drops what a failed try left; builds nothing where a try succeeded and was killed then."""
    return (
        "SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %s', indexrelid::regclass) FROM pg_index "
        f"WHERE NOT indisvalid AND indexrelid = to_regclass({index}) \\gexec\n"
        "SELECT EXISTS (SELECT FROM pg_index "
        f"WHERE indisvalid AND indexrelid = to_regclass({index})) AS built \\gset\n"
        f"\\if :built\n\\else\n{body}\\endif\n"
    )


def _limits(lock: float, limits: MigrateSettings) -> str:
    return (
        f"SET lock_timeout = '{lock * 1000:.0f}ms';\n"
        f"SET statement_timeout = '{limits.statement_timeout * 1000:.0f}ms';\n"
    )


def _remember(migration: Migration, release: str) -> str:
    values = (migration.name, migration.kind, migration.checksum, release)
    return (
        f"INSERT INTO {TABLE} (name, kind, checksum, release) "
        f"VALUES ({', '.join(literal(value) for value in values)});\n"
    )
