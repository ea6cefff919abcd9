"""Migrations as files: names, kinds, order, and when a contract may run. Pure."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyan.errors import CyanError, UsageError
from cyan.journal.entries import Entry, Event
from cyan.migrations import files, lint, scripts
from cyan.migrations.files import Applied, Kind, Migration, State
from cyan.names import Color
from cyan.names import Kind as Step
from cyan.rollout import plan as planning
from cyan.rollout.planned import Request
from cyan.sections import MigrateSettings
from tests.rollout.worlds import NOW, V1_ON_BLUE, V2_ON_GREEN, color, settings

COLUMN = "ALTER TABLE orders ADD COLUMN note text;"
INDEX = "CREATE INDEX CONCURRENTLY orders_note ON orders (note);"
BATCH = "UPDATE orders SET note = '' WHERE id IN (SELECT id FROM orders WHERE note IS NULL LIMIT 9)"
FILES = {
    "0001_expand_note.sql": COLUMN,
    "0002_expand_index.sql": INDEX,
    "0003_backfill_note.sql": BATCH,
    "0004_contract_old.sql": "ALTER TABLE orders DROP COLUMN old;",
}
LIMITS = MigrateSettings()


def one(sql: str, kind: str = "expand") -> Migration:
    return files.parse({f"0001_{kind}_it.sql": sql})[0]


def applied(*files: Migration) -> dict[str, Applied]:
    return {f.name: Applied(f.name, f.kind, f.checksum, "2026-11-21", "r1") for f in files}


def test_files_are_taken_in_the_order_of_their_numbers() -> None:
    names = [f.name for f in files.parse(dict(reversed(FILES.items())))]
    assert names == sorted(FILES)


@pytest.mark.parametrize(
    "name",
    ["note.sql", "1_expand_a.sql", "0001_add_note.sql", "0001_expand_.sql", "0001_expand_A b.sql"],
)
def test_a_name_without_number_kind_and_purpose_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a migration"):
        files.parse({name: COLUMN})


def test_two_files_with_one_number_are_refused() -> None:
    with pytest.raises(UsageError, match="two migrations have the number 0001"):
        files.parse({"0001_expand_a.sql": COLUMN, "0001_expand_b.sql": COLUMN})


@pytest.mark.parametrize(
    ("kind", "sql", "said"),
    [
        ("expand", "-- nothing\n", "no statement"),
        ("expand", f"BEGIN; {COLUMN} COMMIT;", "its own transaction"),
        ("expand", f"{COLUMN}\n\\! reboot\n", "backslash"),
        ("expand", f"{INDEX} {COLUMN}", "file of its own"),
        ("expand", "CREATE INDEX CONCURRENTLY ON orders (note)", "give the index a name"),
        ("contract", "DROP INDEX CONCURRENTLY orders_note", "IF EXISTS"),
        ("backfill", f"{BATCH}; {BATCH}", "is one UPDATE"),
        ("backfill", COLUMN, "is one UPDATE"),
    ],
)
def test_a_file_that_could_not_be_run_again_is_refused(kind: str, sql: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        one(sql, kind)


@pytest.mark.parametrize(
    "first",
    [
        "SELECT E'it\\'s; x'",
        "SELECT 'a\\'",
        "SELECT U&'d;a'",
        "SELECT 'a'\n'b;c'",
        "SELECT '--x;' /* ; */",
        'ALTER TABLE "a;b--c" ADD x int',
        "DO $$ BEGIN; END $$",
        "DO $t1$ a; b $t1$",
        "SELECT a$b$c",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
    ],
)
def test_a_statement_ends_where_it_does_for_postgresql(first: str) -> None:
    found = files.parse({"0001_expand_it.sql": f"{first}; SELECT x$b$ -- ; SELECT 3\n;;"})[0]
    assert len(found.statements) == 2
    assert found.statements[1] == "SELECT x$b$"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1 # 2; DROP TABLE t", "the operator # is taken for a comment"),
        ("SELECT 1 /* a /* b */ ; DROP TABLE t; */", "a comment stands in a comment"),
    ],
)
def test_what_may_end_elsewhere_than_it_seems_to_is_refused(sql: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        files.parse({"0001_expand_it.sql": sql})


def test_words_in_comments_and_literals_are_no_statements() -> None:
    sql = f"/* BEGIN; */ -- COMMIT;\n{COLUMN} SELECT 'a;CONCURRENTLY', $$ ROLLBACK; $$;"
    found = one(sql)
    assert len(found.statements) == 2
    assert not found.concurrent


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (INDEX, "orders_note"),
        ('create unique index concurrently if not exists "A b" on only s.t (x)', 's."A b"'),
        ("DROP INDEX CONCURRENTLY IF EXISTS i", ""),
        (COLUMN, ""),
    ],
)
def test_the_index_that_a_failure_may_leave_invalid_is_known(sql: str, index: str) -> None:
    assert one(sql).index == index


def test_pending_is_what_the_database_does_not_remember() -> None:
    found = files.parse(FILES)
    state = State(found, applied(found[0]))
    assert [f.name for f in state.pending(Kind.EXPAND)] == ["0002_expand_index.sql"]
    assert len(state.pending()) == 3


def test_a_file_that_was_changed_after_it_was_applied_is_named() -> None:
    state = State((one(f"{COLUMN} -- more"),), applied(one(COLUMN)))
    assert [each.name for each in state.changed] == ["0001_expand_it.sql"]
    assert State((one(COLUMN),), applied(one(COLUMN))).changed == ()


def test_a_contract_waits_for_the_expands_and_backfills_before_it() -> None:
    found = files.parse(FILES)
    state = State(found, applied(found[0], found[1]))
    assert [f.name for f in state.before(found[3])] == ["0003_backfill_note.sql"]
    assert state.before(found[2]) == ()


def run(version: str, at: float, what: str = "deploy") -> Entry:
    return Entry(NOW + at, f"{at}-{version}", what, Event.BEGIN, version=version)


def test_a_contract_may_not_run_while_an_older_release_is_warm() -> None:
    runs = (run("v1", 0), run("v2", 1))
    assert files.older("v2", V2_ON_GREEN.containers, runs) == ("blue v1",)
    assert files.older("v2", color(Color.GREEN, "v2", "r2"), runs) == ()


def test_a_newer_release_than_the_named_one_is_no_hindrance() -> None:
    runs = (run("v1", 0), run("v2", 1))
    assert files.older("v1", V2_ON_GREEN.containers, runs) == ()


def test_a_release_that_came_back_later_is_not_newer_for_it() -> None:
    both = V2_ON_GREEN.containers
    again = (run("v1", 0), run("v2", 1), run("v1", 2, "rollback"))
    assert files.older("v2", both, again) == ("blue v1",)
    assert files.older("v2", both, (run("v2", 0), run("v1", 1), run("v2", 2))) == ("blue v1",)


def test_a_container_that_the_journal_does_not_know_counts_as_older() -> None:
    assert files.older("v2", V2_ON_GREEN.containers, (run("v2", 1),)) == ("blue v1",)


def test_a_contract_for_a_version_that_was_never_deployed_is_bad_input() -> None:
    with pytest.raises(UsageError, match="v9 was never deployed"):
        files.older("v9", (), ())


def test_a_file_and_its_record_are_one_transaction() -> None:
    script = scripts.apply(one(COLUMN), "r1", LIMITS)
    begin, commit = script.index("BEGIN;"), script.index("COMMIT;")
    assert begin < script.index(COLUMN) < script.index("INSERT INTO public.cyan_mig") < commit
    assert "lock_timeout = '2000ms'" in script[:begin]
    assert "statement_timeout = '60000ms'" in script[:begin]


def test_what_is_concurrent_stands_in_no_transaction() -> None:
    script = scripts.apply(one(INDEX), "r1", LIMITS)
    assert "BEGIN" not in script
    assert script.index("DROP INDEX CONCURRENTLY") < script.index(INDEX)


def test_nothing_stands_between_a_batch_and_its_count() -> None:
    script = scripts.backfill(one(f"{BATCH};  -- '; done\n;", "backfill"), "r1", LIMITS)
    assert f"{BATCH}\n;\n\\echo :ROW_COUNT" in script


def test_a_deploy_expands_between_fetch_and_start_and_a_rollback_does_not() -> None:
    wanted = settings(migrate=MigrateSettings(expand="manage.py 'migrate it'", service="platform"))
    plan = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, wanted, "")
    kinds = [step.kind for step in plan.steps]
    at = kinds.index(Step.EXPAND)
    assert kinds[at - 1 : at + 2] == ["fetch", "expand", "start"]
    (command,) = plan.steps[at].commands
    assert command.startswith("docker rm -f demo-green-expand ")
    assert "--no-deps --name demo-green-expand platform manage.py 'migrate it'" in command
    cold = planning.deploy(Request("rollback", "v1", "ann"), V2_ON_GREEN, wanted, "")
    assert Step.EXPAND not in [step.kind for step in cold.steps]


def test_a_project_without_migrations_has_no_step_for_them() -> None:
    plan = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, settings(), "")
    assert Step.EXPAND not in [step.kind for step in plan.steps]


@pytest.mark.parametrize(
    "sql",
    [
        COLUMN,
        "ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT '';",
        "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text);",
        "CREATE TABLE notes (id int PRIMARY KEY, at timestamp); CREATE INDEX i ON notes (at);",
        INDEX,
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (note);",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0) NOT VALID;",
    ],
)
def test_what_the_old_release_can_live_with_passes(sql: str) -> None:
    assert lint.findings([one(sql)]) == ()


@pytest.mark.parametrize(
    ("sql", "rule", "instead"),
    [
        ("ALTER TABLE orders DROP COLUMN note;", "ban-drop-column", "contract file"),
        ("DROP TABLE orders;", "ban-drop-table", "contract file"),
        ("DROP TRIGGER t ON orders;", "DROP in expand", "contract file"),
        ("ALTER TABLE orders RENAME COLUMN note TO text;", "renaming-column", "add the new name"),
        ("ALTER TABLE orders RENAME TO old;", "renaming-table", "add the new name"),
        ("ALTER TABLE orders ADD COLUMN a text NOT NULL;", "adding-required-field", "backfill"),
        ("ALTER TABLE a ALTER COLUMN b SET NOT NULL;", "adding-not-nullable-field", "VALIDATE"),
        ("ALTER TABLE a ALTER COLUMN b TYPE bigint;", "changing-column-type", "new type"),
        ("CREATE INDEX i ON orders (note);", "require-concurrent-index-creation", "CONCURRENTLY"),
        ("UPDATE orders SET note = '';", "UPDATE in expand", "backfill file"),
    ],
)
def test_what_the_old_release_cannot_live_with_is_refused_with_the_safe_way(
    sql: str, rule: str, instead: str
) -> None:
    found = {finding.rule: finding for finding in lint.findings([one(sql)])}
    assert set(found) == {rule}
    assert instead in found[rule].safe
    assert found[rule].reason


def test_the_demos_own_migrations_are_safe() -> None:
    demo = Path(__file__).parents[2] / "migrations"
    found = files.parse({path.name: path.read_text() for path in demo.glob("*.sql")})
    assert {f.kind for f in found} == set(Kind)
    assert lint.findings([f for f in found if f.kind is Kind.EXPAND]) == ()


def test_what_is_no_sql_is_refused() -> None:
    assert {found.rule for found in lint.findings([one("ALTER orders;")])} == {"syntax-error"}


def test_squawk_that_fails_is_an_error_and_not_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".squawk.toml").write_text("nonsense = [")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CyanError, match="squawk could not judge"):
        lint.findings([one(COLUMN)])
