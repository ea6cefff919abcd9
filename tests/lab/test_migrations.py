"""Migrations against the lab's PostgreSQL: what is applied, refused, undone and healed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PROJECT
from tests.lab.harness import PATIENCE, Lab, settings_section, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class Own:
    """A folder of migrations, and a table, of one test's own."""

    lab: Lab
    folder: Path
    table: str

    def write(self, start: str, sql: str) -> str:
        """A migration `start`_TABLE.sql, in whose SQL T is the table; its name."""
        name = f"{start}_{self.table}.sql"
        (self.folder / name).write_text(re.sub(r"\bT(?=\b|_)", self.table, sql))
        return name

    def cyan(
        self, *words: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return self.lab.cyan(*words, check=check, **self.environment, **environment)

    @property
    def environment(self) -> dict[str, str]:
        return {"INVOKE_CYAN_MIGRATE_DIRECTORY": str(self.folder)}

    @property
    def columns(self) -> set[str]:
        query = "select column_name from information_schema.columns where table_name = '{}'"
        return set(self.lab.sql(query.format(self.table)).split())

    @property
    def remembered(self) -> list[str]:
        query = "select name from cyan_migrations where name like '%{}.sql' order by 1"
        return self.lab.sql(query.format(self.table)).split()

    @contextmanager
    def locked(self) -> Iterator[str]:
        """The table is locked for the block by another session, whose pid this is."""
        sql = f"begin; lock table {self.table}; select pg_sleep(600)"
        psql = ("psql", "-h", "/tmp", "-U", "demo", "-d", "demo", "-c", sql)
        held = f"select pid from pg_locks where relation = '{self.table}'::regclass and granted"
        session = subprocess.Popen(
            ["docker", "exec", f"{self.lab.app}-database-1", *psql], stderr=subprocess.DEVNULL
        )
        try:
            until(lambda: self.lab.sql(held) != "", "the other session holds the lock")
            yield self.lab.sql(held)
        finally:
            end = "select pg_terminate_backend(pid) from pg_stat_activity where query like '{}'"
            self.lab.sql(end.format("begin; l%"))
            session.wait(PATIENCE)


@pytest.fixture
def own(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Own]:
    table = f"m{abs(hash(request.node.name)) % 10**8}"
    lab.sql(f"create table {table} (id bigint, old text)")
    yield Own(lab, tmp_path, table)
    lab.sql(f"drop table {table}")


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_deploy_applies_each_expand_once_and_drops_nothing(lab: Lab, own: Own) -> None:
    lab.live("v1")
    names = [
        own.write("0001_expand", "ALTER TABLE T ADD COLUMN note text;"),
        own.write("0002_expand", "CREATE INDEX CONCURRENTLY T_note ON T (note)"),
    ]
    own.write("0003_contract", "ALTER TABLE T DROP COLUMN old;")
    with lab.load() as client:
        assert names[1] in own.cyan("deploy", "--version", "v2").stdout
        assert "nothing is pending" in own.cyan("deploy", "--version", "v3").stdout
    assert own.columns == {"id", "old", "note"}
    assert own.remembered == names
    assert client.errors == []
    listed = own.cyan("migrate.status").stdout
    assert f"applied  {names[0]}" in listed
    assert f"pending  0003_contract_{own.table}.sql" in listed


def test_an_expand_that_fails_leaves_the_live_color_untouched_and_the_database_as_it_was(
    lab: Lab, own: Own
) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    before = lab.containers(color)
    own.write("0001_expand", "ALTER TABLE T ADD COLUMN note text; ALTER TABLE nowhere ADD x text;")
    done = own.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert 'relation "nowhere" does not exist' in done.stderr
    assert f"serving: {color} v1, untouched" in flat(done.stderr)
    assert lab.containers(color) == before
    assert lab.containers({"blue": "green", "green": "blue"}[color]) == {}
    assert own.columns == {"id", "old"}
    assert own.remembered == []


def test_an_unsafe_expand_is_refused_by_check_and_by_deploy_before_anything_is_applied(
    lab: Lab, own: Own
) -> None:
    lab.live("v1")
    own.write("0001_expand", "ALTER TABLE T ADD COLUMN note text;")
    own.write("0002_expand", "ALTER TABLE T DROP COLUMN old;")
    for words in (("migrate.check",), ("deploy", "--version", "v2")):
        done = own.cyan(*words, check=False)
        assert done.returncode == 1
        assert "ban-drop-column" in done.stderr
        assert "then drop it in a contract file" in flat(done.stderr)
    assert own.columns == {"id", "old"}


def test_a_lock_that_another_session_holds_is_given_up_and_the_holder_named(own: Own) -> None:
    own.write("0001_expand", "ALTER TABLE T ADD COLUMN note text;")
    limit = {"INVOKE_CYAN_MIGRATE_LOCK_TIMEOUT": "1"}
    with own.locked() as pid:
        done = own.cyan("migrate.expand", check=False, **limit)
    assert done.returncode == 1
    assert "canceling statement due to lock timeout" in done.stderr
    assert f"pid {pid} of demo (psql), active for" in flat(done.stderr)
    own.cyan("migrate.expand")
    assert "note" in own.columns


def test_a_deploy_that_is_killed_in_an_expand_is_finished_by_the_next_one(
    lab: Lab, own: Own
) -> None:
    lab.live("v1")
    name = own.write(
        "0001_expand", "SELECT pg_sleep(50) FROM T LIMIT 1; ALTER TABLE T ADD COLUMN note text;"
    )
    lab.sql(f"insert into {own.table} values (1)")
    at_work = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    with lab.load() as client:
        words = ("deploy", "--version", "v2")
        with lab.begun(*words, reaching="expand", **own.environment) as process:
            until(lambda: lab.sql(at_work) == "1", "the expand is under way")
            process.send_signal(signal.SIGKILL)
            process.wait()
        until(lambda: lab.sql(at_work) == "0", "what its deployer left running is ended", 10)
        assert "was killed in expand" in lab.cyan("status").stdout
        assert own.remembered == []
        lab.sql(f"delete from {own.table}")  # so that the next one need not sleep
        own.cyan("deploy", "--version", "v3")
    assert own.remembered == [name]
    assert lab.answering()[1] == "v3"
    assert client.errors == []


@pytest.mark.nightly
def test_a_failed_index_is_named_and_dropped_before_it_is_tried_again(lab: Lab, own: Own) -> None:
    own.write("0001_expand", "CREATE UNIQUE INDEX CONCURRENTLY T_id ON T (id);")
    lab.sql(f"insert into {own.table} values (1), (1)")
    done = own.cyan("migrate.expand", check=False)
    assert done.returncode == 1
    assert "is duplicated" in done.stderr
    assert f"it left the index {own.table}_id INVALID" in done.stderr
    lab.sql(f"delete from {own.table}")
    own.cyan("migrate.expand")
    valid = f"select indisvalid from pg_index where indexrelid = '{own.table}_id'::regclass"
    assert lab.sql(valid) == "t"


@pytest.mark.nightly
def test_an_index_that_was_built_but_not_remembered_is_remembered(lab: Lab, own: Own) -> None:
    name = own.write("0001_expand", "CREATE INDEX CONCURRENTLY T_id ON T (id);")
    lab.sql(f"create index {own.table}_id on {own.table} (id)")
    own.cyan("migrate.expand")
    assert own.remembered == [name]


def test_a_file_that_was_changed_after_it_was_applied_is_refused(own: Own) -> None:
    name = own.write("0001_expand", "ALTER TABLE T ADD COLUMN note text;")
    own.cyan("migrate.expand")
    own.write("0001_expand", "ALTER TABLE T ADD COLUMN other text;")
    done = own.cyan("migrate.expand", check=False)
    assert done.returncode == 1
    assert f"{name} was changed after it was applied" in done.stderr
    assert own.columns == {"id", "old", "note"}


@pytest.mark.nightly
def test_a_contract_waits_for_its_backfill_and_until_no_older_release_is_left(
    lab: Lab, own: Own
) -> None:
    lab.live("v1")
    own.write("0001_expand", "ALTER TABLE T ADD COLUMN note text;")
    some = "SELECT id FROM T WHERE note IS NULL LIMIT 100"
    own.write("0002_backfill", f"UPDATE T SET note = '' WHERE id IN ({some}); -- a batch")
    own.write("0003_contract", "ALTER TABLE T DROP COLUMN old;")
    lab.sql(f"insert into {own.table} select generate_series(1, 2500)")
    own.cyan("deploy", "--version", "v2")

    contract = ("migrate.contract", "--version", "v2", "--yes")
    warm = own.cyan(*contract, check=False)
    assert warm.returncode == 1
    assert "v1 may be older than v2" in warm.stderr
    lab.cyan("cleanup")
    early = own.cyan(*contract, check=False)
    assert early.returncode == 1
    assert "inv migrate.backfill" in early.stderr
    assert "2500 rows" in own.cyan("migrate.backfill").stdout
    assert lab.sql(f"select count(*) from {own.table} where note is null") == "0"

    unasked = own.cyan(*contract[:-1], check=False)
    assert unasked.returncode == 2
    assert own.columns == {"id", "old", "note"}
    own.cyan(*contract)
    assert own.columns == {"id", "note"}
    assert "nothing is pending" in own.cyan(*contract).stdout


@pytest.mark.nightly
def test_a_command_runs_in_the_new_image_and_its_failure_fails_the_deploy(lab: Lab) -> None:
    lab.live("v1")
    color = lab.answering()[0]
    good = "sh -c 'echo $VERSION on $COLOR >/logs/expanded'"
    lab.cyan("deploy", "--version", "v2", INVOKE_CYAN_MIGRATE_EXPAND=good)
    said = (lab.folder / ".lab/host/logs/expanded").read_text()
    assert said.split() == ["v2", "on", lab.answering()[0]]
    bad = "sh -c 'echo no such table, $TOKEN; exit 3'"
    migrate = settings_section(lab.folder)["migrate"]
    del migrate["directory"]
    with lab.configured(secrets={"environment": ["TOKEN"]}, migrate=migrate):
        deploy = ("deploy", "--version", "v3")
        done = lab.cyan(*deploy, check=False, INVOKE_CYAN_MIGRATE_EXPAND=bad, TOKEN="planted-4713")
        assert done.returncode == 1
        assert "exit code 3: no such table, [secret TOKEN]" in flat(done.stderr)
        assert lab.answering()[1] == "v2"
        assert set(lab.containers(color)) == {f"/{lab.app}-{color}-{name}-1" for name in SERVICES}
        lab.cyan("deploy", "--version", "v2", TOKEN="planted-4713")
        lab.cyan("cleanup")
        words = ("migrate.contract", "--version", "v2", "--yes")
        contract = lab.cyan(*words, check=False, INVOKE_CYAN_MIGRATE_CONTRACT=bad)
    assert "exit code 3: no such table, [secret TOKEN]" in flat(contract.stderr)
    assert "planted-4713" not in done.stdout + done.stderr + contract.stdout + contract.stderr
    assert "planted-4713" not in str(lab.journal())


@pytest.mark.nightly
def test_every_phase_of_a_migration_drops_nothing_under_load(lab: Lab) -> None:
    done = lab.cyan("verify-zero-downtime", "--migrations", "--rate", "120", check=False)
    run = max((lab.folder / "reports").glob("*-verify"))
    verdict = json.loads((run / "verdict.json").read_text())
    assert verdict["drops"] == 0, done.stdout
    assert [act["exit_code"] for act in verdict["acts"]] == [0, 0, 0, 0, 1, 0], done.stdout
    assert done.returncode == 0, done.stdout
    names = sorted(path.name for path in (run / "migrations").iterdir())
    remembered = "select name from cyan_migrations where name like '%rehearsal%' order by 1"
    assert lab.sql(remembered).split() == names


SERVICES = ("crawler", "platform", "rag")


def test_another_databases_migrations_are_run_on_none_but_its_own(own: Own) -> None:
    """As the demo's say that they are the demo's."""
    own.write(
        "0001_expand", "-- cyan: requires public.of_nobody\nALTER TABLE T ADD COLUMN new int;"
    )
    before = own.lab.answering()
    for words in (("migrate.expand",), ("deploy", "--version", "v3")):
        done = own.cyan(*words, check=False)
        assert done.returncode == 1
        assert "want a database that has public.of_nobody" in done.stderr
    assert own.columns == {"id", "old"}
    assert own.lab.answering() == before
    own.lab.sql(f"create table of_{own.table} ()")
    sql = f"-- cyan: requires of_{own.table}\nALTER TABLE T ADD COLUMN new int;"
    own.write("0001_expand", sql)
    own.cyan("migrate.expand")
    assert own.columns == {"id", "old", "new"}
    own.lab.sql(f"drop table of_{own.table}")


def test_every_migration_of_the_demo_is_for_the_demos_database_only() -> None:
    for path in (PROJECT / "migrations").glob("*.sql"):
        assert path.read_text().startswith("-- cyan: requires public.cyan_demo\n"), path.name
