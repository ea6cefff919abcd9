"""A migration of the demo's orders in all its phases, made anew for each run so that it has work.

It takes away what it added: a run leaves the table as it found it, with one more column number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "migrations"
"""The folder within the run's."""

BATCH = 500  # rows

FILES = {
    "0001_expand_{it}.sql": "ALTER TABLE orders ADD COLUMN {it} text;\n"
    "ALTER TABLE orders ALTER COLUMN {it} SET DEFAULT 'new';\n",
    "0002_expand_{it}_index.sql": "CREATE INDEX CONCURRENTLY {it}_index ON orders ({it});\n",
    "0003_backfill_{it}.sql": "UPDATE orders SET {it} = 'old' WHERE id IN "
    "(SELECT id FROM orders WHERE {it} IS NULL ORDER BY id LIMIT {batch});\n",
    "0004_contract_{it}.sql": "ALTER TABLE orders DROP COLUMN {it};\n",
}


def write(folder: Path, run: str) -> Path:
    """Write the files for the run of this name below its `folder`; where they are."""
    it = "rehearsal_" + "".join(letter for letter in run if letter.isdigit())
    made = folder / NAME
    made.mkdir(parents=True)
    for name, sql in FILES.items():
        (made / name.format(it=it)).write_text(sql.format(it=it, batch=BATCH))
    return made
