"""Whatever comes from outside is refused before anything is touched, or arrives literally.

The commands that cyan builds of it are really run by a shell; `docker` records what it is called
with, and nothing else may run.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from cyan.configured import load, machine_of
from cyan.engines import compose, transfer
from cyan.engines.compose import WAIT
from cyan.errors import UsageError
from cyan.hosts import look
from cyan.journal.entries import Entry, Event
from cyan.journal.lock import Lock, Owner, take_away
from cyan.lab import lab
from cyan.names import Color, names_a_path, valid_version
from cyan.proof.hammer import HammerOptions, _check
from cyan.proof.host_under_test import HostUnderTest
from cyan.proof.remote_workers import RemoteWorkers
from cyan.proxies import caddy
from cyan.rollout import plan, planned, preparing, release_files
from cyan.rollout import provision as provision_module
from cyan.rollout.provision import install_engine, provision
from cyan.world.envfile import VARIABLE_PATTERN, env_file, parse_env_file
from cyan.world.shell import write_files
from tests.rollout import worlds
from tests.shell import INJECTIONS, NAMES, PIECES, WORDS, Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.settings import Settings

some = tried(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = tried(max_examples=200, deadline=None)
HOST = {"address": "127.0.0.1", "user": "deploy"}
COMPOSE = "services: {}  # it's $HOME\n"


def configured(**section: Any) -> Settings:
    base = Path("/srv/project")
    return load({"hosts": [HOST], "directory": "/srv/app", **worlds.NAMES, **section}, {}, base)


@contextmanager
def deployed(name: str) -> Iterator[tuple[Machine, Settings]]:
    """A machine, and the settings of an application in a directory of a hostile name on it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "machine").mkdir()
        (root / "stateful.yml").write_text(COMPOSE)
        (root / "Caddyfile").write_text("# $(touch $CANARY)\n")
        settings = load(
            worlds.NAMES
            | {
                "hosts": [HOST],
                "directory": str(root / name / "app"),
                "caddyfile": str(root / "Caddyfile"),
                "compose": {"stateful": str(root / "stateful.yml")},
            },
            {},
            root,
        )
        yield Machine(root / "machine"), settings


def refused(name: str) -> bool:
    """Whether the settings refuse it as a part of the directory."""
    return ":" in name or not name.isprintable()


def on_a_host(body: Any) -> Any:
    """A test for every name of a directory that the settings take; the others must be refused."""

    @some
    @given(NAMES)
    @example("it's")
    @example('a "b" $(touch $CANARY) `touch $CANARY`\\')
    def tested(name: str) -> None:
        try:
            with deployed(name) as (machine, settings):
                assert not refused(name)
                body(machine, settings)
                assert machine.clean
        except UsageError:
            assert refused(name)

    tested.__name__ = body.__name__
    return tested


def compose_words(name: str, folder: Path, *words: str) -> list[str]:
    base = ["compose", "--progress", "quiet", "-p", name, "-f", str(folder / "compose.yml")]
    return [*base, "--env-file", str(folder / ".env"), *words]


# ---- what reaches a shell ------------------------------------------------------------------------


@on_a_host
def test_a_host_is_provisioned_whatever_its_directory_is_called(
    machine: Machine, settings: Settings
) -> None:
    provision(machine.host, settings)
    shared = settings.directory / "shared"
    up = ("up", "-d", *WAIT, "--no-build", "--pull", "missing", "--no-recreate")
    assert machine.calls[-1] == compose_words("demo", shared, *up)
    assert (shared / "compose.yml").read_text() == COMPOSE
    assert (shared / "proxy/Caddyfile").read_text() == settings.caddyfile.read_text()
    values = parse_env_file((shared / ".env").read_text())
    assert values["DIRECTORY"] == str(settings.directory)
    assert values["PUBLIC_PORT"] == str(settings.public.port)


@on_a_host
def test_the_setup_of_a_bare_host_runs_as_it_was_written(
    machine: Machine, settings: Settings
) -> None:
    script = machine.folder / "setup"
    script.write_text("printf '%s\\n' \"it's $0 $1\"")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(provision_module, "bundled", lambda _name: script)
        said = install_engine(machine.host, settings)
    assert said == f"it's {settings.directory}/setup --engine-only"


@on_a_host
def test_every_command_of_a_deploy_arrives_literally(machine: Machine, settings: Settings) -> None:
    (settings.directory / "traffic").mkdir(parents=True)
    (settings.directory / "traffic/blue").touch()
    asked = planned.Request("deploy", "v2", "it's $(touch $CANARY)", (("A", INJECTIONS[3]),))
    made = plan.deploy(asked, worlds.V1_ON_BLUE, settings, COMPOSE)
    folder = settings.directory / "releases" / made.target.id
    for step in made.steps:
        machine.run(write_files(step.files) or "true")
        for command in step.commands:
            machine.run(command)
    assert machine.calls == [
        compose_words("demo-green", folder, *words)
        for words in (
            ("config", "--format", "json"),
            (
                "-f",
                str(folder / "images.json"),
                "up",
                "-d",
                "--no-build",
                "--pull",
                "never",
                "--remove-orphans",
            ),
        )
    ]
    assert (folder / "compose.yml").read_text() == COMPOSE
    values = parse_env_file((folder / ".env").read_text())
    assert values["A"] == INJECTIONS[3]
    assert values["DEPLOYED_BY"] == asked.by
    assert values["DIRECTORY"] == str(settings.directory)
    assert [path.name for path in (settings.directory / "traffic").iterdir()] == ["green"]


@on_a_host
def test_a_rollback_finds_the_files_that_its_release_ran_with(
    machine: Machine, settings: Settings
) -> None:
    folder = settings.directory / "releases/r1"
    env = env_file({"VERSION": "v1", "A": "it's"})
    machine.run(write_files(((f"{folder}/compose.yml", COMPOSE), (f"{folder}/.env", env))))
    kept = preparing._kept(machine.host, settings, "r1")
    assert kept == preparing.Kept(COMPOSE, COMPOSE, (("A", "it's"),), None)


@on_a_host
def test_the_world_is_read_whatever_the_directory_is_called(
    machine: Machine, settings: Settings
) -> None:
    (settings.directory / "traffic").mkdir(parents=True)
    (settings.directory / "traffic/green").touch()
    (settings.directory / "journal.jsonl").write_text("{}\n")
    parts = machine.run(look._command(settings)).stdout.split(f"{look.SEPARATOR}\n")
    assert float(parts[0]) > 1e9
    assert parts[1:5] == ["green\n", "{}\n", "", ""]
    label = "label=com.docker.compose"
    asked = ["--filter", f"{label}.project=demo", "--filter", f"{label}.service=proxy"]
    assert machine.calls == [
        ["ps", "-q", *asked],
        ["exec", "c1", "sh", "-c", caddy.UPSTREAMS],
    ]


@some
@given(NAMES, WORDS)
@example("d", '"pid": 0}')
def test_the_lock_and_the_journal_hold_what_they_were_given(name: str, word: str) -> None:
    if refused(name):
        return
    with deployed(name) as (machine, settings):
        settings.directory.mkdir(parents=True)
        mine = Owner(word, word, 1.0, f"deploy {word}")
        with Lock(machine.host, str(settings.directory), mine) as lock:
            lock.record(Entry(0.0, word, word, Event.NOTE, detail={"text": word, '"at":0.0': 1}))
            held = json.loads((settings.directory / "lock").read_text())
        line = json.loads((settings.directory / "journal.jsonl").read_text())
        assert (held["who"], held["machine"], held["doing"]) == (word, word, mine.doing)
        assert held["pid"] > 0
        assert (line["run"], line["detail"]) == (word, {"text": word, '"at":0.0': 1})
        assert line["at"] > 1e9
        assert machine.clean


@on_a_host
def test_a_lock_is_taken_from_its_owner_whatever_the_directory_is_called(
    machine: Machine, settings: Settings
) -> None:
    settings.directory.mkdir(parents=True)
    mine = Owner("ann", "laptop", 1.0, "deploy v1")
    with Lock(machine.host, str(settings.directory), mine):
        taken = take_away(machine.host, str(settings.directory))
    assert taken == mine.described


@on_a_host
def test_the_labs_containers_are_looked_for_and_removed_by_their_names(
    machine: Machine, settings: Settings
) -> None:
    traffic = settings.directory / "traffic"
    traffic.mkdir(parents=True)
    (traffic / "blue").touch()
    assert lab._foreign(machine.host, settings) == ""
    lab._remove(machine.host, settings, volumes=True)
    projects = [call[4] for call in machine.calls if call[:1] == ["compose"]]
    assert projects == ["demo-blue", "demo-green", "demo"]
    assert list(traffic.iterdir()) == []


@on_a_host
def test_the_witnesses_logs_are_found_and_fetched(machine: Machine, settings: Settings) -> None:
    logs = settings.directory / "logs"
    logs.mkdir(parents=True)
    (logs / "app-$(touch $CANARY).jsonl").write_text("1\n2\n")
    around = HostUnderTest(settings, settings.hosts[0])
    around._host = machine.host
    (found,) = around._logs()
    assert found.path == "logs/app-$(touch $CANARY).jsonl"
    target = machine.folder / "fetched"
    around._fetch(found.path, 2, target)
    assert target.read_text() == "2\n"


@some
@given(NAMES, WORDS)
def test_a_worker_on_another_machine_starts_where_it_was_told(name: str, word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        python = Path(folder) / name / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text((Path(folder) / "docker").read_text())
        python.chmod(0o755)
        remote = RemoteWorkers((), str(Path(folder) / name), word)
        remote._folder = f"{folder}/swarm {name[:60]}"
        machine.run(remote._command(machine.host, 0, 5557))
        started = machine.calls[0]
        assert started[:5] == ["-m", "locust", "--worker", "-f", word]
        assert started[-2:] == ["--log-dir", f"{remote._folder}-0"]
        assert machine.clean


@many
@given(WORDS, WORDS)
def test_a_word_of_compose_stays_one_word(name: str, word: str) -> None:
    base = ["docker", "compose", "--progress", "quiet", "-p", name]
    down = shlex.split(compose.down(name, 1, volumes=True))
    assert down == [*base, "down", "--remove-orphans", "--timeout", "1", "--volumes"]
    stop = shlex.split(compose.stop(name, 1, (word,)))
    assert stop == [*base, "stop", "--timeout", "1", word]
    up = shlex.split(compose.Project(name, PurePosixPath("/a")).up((word,)))
    begin = up.index("docker")
    assert (up[begin : begin + 6], up[-1]) == (base, word)
    once = compose.Project(name, PurePosixPath("/a")).once("expand", word, shlex.quote(word))
    words = shlex.split(once.command)
    pinned = ["-f", "/a/compose.yml", "--env-file", "/a/.env", "-f", "/a/images.json", "run"]
    assert words[-15:-8] == pinned
    assert words[-4:] == [f"{name}-expand", word, word, "</dev/null"]
    assert shlex.split(once.remove)[:4] == ["docker", "rm", "-f", f"{name}-expand"]


# ---- what is refused -----------------------------------------------------------------------------

LOGIN = {"registry": "r:5000", "user": "ann", "password_environment": "X"}
FIELDS: dict[str, Any] = {
    "app": lambda text: {"app": text},
    "proxy": lambda text: {"proxy": text, "stateful": ["database", text]},
    "stateless": lambda text: {"stateless": ["platform", text]},
    "stateful": lambda text: {"stateful": ["database", "proxy", text]},
    "public.service": lambda text: {"public": {"service": text}, "stateless": [text]},
    "warm.services": lambda text: {
        "warm": {"services": [text]},
        "stateless": ["platform", text],
    },
    "site.host": lambda text: {"site": {"host": text}},
    "hosts.address": lambda text: {"hosts": [{**HOST, "address": text}]},
    "hosts.user": lambda text: {"hosts": [{**HOST, "user": text}]},
    "migrate.service": lambda text: {"migrate": {"service": text}},
    "images.login.registry": lambda text: {"images": {"login": {**LOGIN, "registry": text}}},
    **{
        f"migrate.database.{key}": lambda text, key=key: {"migrate": {"database": {key: text}}}
        for key in ("service", "user", "name", "socket")
    },
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("piece", [*PIECES, "a\n", "a b", "-a", "a;b", "a'"])
def test_a_name_is_refused_unless_it_needs_no_quoting(field: str, piece: str) -> None:
    for text in (piece, f"a{piece}", f"{piece}a"):
        try:
            configured(**FIELDS[field](text))
        except UsageError:
            continue
        assert shlex.quote(text) == text
        assert not text.startswith("-") or field == "site.host"


@many
@given(st.sampled_from([*FIELDS]), WORDS)
def test_a_hostile_setting_is_a_usage_error_or_harmless(field: str, text: str) -> None:
    try:
        configured(**FIELDS[field](text))
    except UsageError:
        return
    assert text in ("", shlex.quote(text))  # "" where a name may be left out


@many
@given(WORDS)
@example("--password-stdin")
def test_the_name_of_a_log_in_is_one_word_or_refused(user: str) -> None:
    try:
        login = configured(images={"login": {**LOGIN, "user": user}}).images.login
    except UsageError:
        return
    assert login is not None
    (_, _, script) = shlex.split(
        transfer.login_command(lambda docker: f"{docker} pull r:5000/a", "/srv", login)
    )
    words = shlex.split(script)
    assert words[words.index("--username") + 1] == user
    assert not user.startswith("-")


@some
@given(WORDS)
def test_a_command_of_a_migration_is_split_as_a_shell_would_and_no_shell_runs_it(
    word: str,
) -> None:
    try:
        wanted = configured(migrate={"expand": f"tool {word}"}).migrate.expand
    except UsageError:
        return
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        once = compose.Project("demo", PurePosixPath("/a")).once("expand", "platform", wanted)
        machine.run(once.command)
        assert machine.calls[-1][-len(shlex.split(wanted)) :] == shlex.split(wanted)
        assert machine.clean


@many
@given(WORDS.map(lambda text: f"/{text}"))
@example("//elsewhere/x")
@example("/a\r\nX-Admin: 1")
@example("/a#b")
@example("/.")
@example("/a/../b?c=/./")
def test_the_path_of_a_request_goes_out_as_it_was_given(path: str) -> None:
    try:
        checked = configured(smoke=[{"path": path}], public={"service": "platform", "ready": path})
    except UsageError:
        assert not names_a_path(path)
        return
    assert checked.smoke[0].path == path
    sent = httpx.Client(base_url="http://127.0.0.1:1").build_request("GET", path).url
    assert (sent.host, sent.port) == ("127.0.0.1", 1)
    assert sent.raw_path.isascii()
    assert httpx.URL(f"http://127.0.0.1:1{path}").raw_path == sent.raw_path
    assert len(sent.raw_path) >= len(path)


@many
@given(WORDS)
@example("/a\tb")
@example("~nobody-here")
def test_a_path_of_this_machine_is_one_line_or_refused(text: str) -> None:
    kinds: tuple[dict[str, Any], ...] = (
        {"directory": text},
        {"lab": {"directory": text}},
        {"caddyfile": text},
        {"hosts": [{**HOST, "identity": text, "known_hosts": text}]},
    )
    for section in kinds:
        try:
            found = configured(**section)
        except UsageError:
            continue
        assert text.isprintable()
        assert found.directory.is_absolute()
        assert ":" not in str(found.directory)


@many
@given(WORDS)
def test_a_machine_of_the_crew_is_one_that_ssh_cannot_misread(text: str) -> None:
    for name in (text, f"user@{text}", f"{text}@host", f"host:{text}"):
        try:
            found = machine_of(name, configured())
        except UsageError:
            continue
        for part in (found.user, found.address):
            assert shlex.quote(part) == part
            assert not part.startswith("-")


@many
@given(WORDS)
@example("user:secret@host")
@example("host:99999")
@example("host/path")
def test_a_site_to_hammer_is_nothing_but_scheme_host_and_port(text: str) -> None:
    try:
        _check(HammerOptions(f"http://{text}", 1, 1, 1))
    except UsageError:
        return
    assert text.isprintable()
    assert not set(text.removesuffix("/")) & set("/?#@ ")


@many
@given(WORDS)
def test_a_version_is_a_tag_or_refused(text: str) -> None:
    try:
        assert shlex.quote(valid_version(text)) == text
    except UsageError:
        assert text == "latest" or not text.isalnum() or not text.isascii()


@many
@given(WORDS, WORDS)
@example("A", "B=x\\")
def test_an_environment_comes_back_as_it_was_given_or_is_refused(key: str, value: str) -> None:
    try:
        pairs = release_files.valid_environment([f"{key}={value}", "LAST=1"])
    except UsageError:
        assert not VARIABLE_PATTERN.fullmatch(f"{key}={value}".partition("=")[0])
        return
    text = env_file(dict(pairs))
    assert release_files.extra_environment(text) == pairs


@pytest.mark.parametrize("key", release_files.RESERVED)
def test_what_cyan_itself_sets_cannot_be_set_by_a_flag(key: str) -> None:
    with pytest.raises(UsageError, match="is set by cyan itself"):
        release_files.valid_environment([f"{key}=x"])


def test_a_color_is_no_word_from_outside() -> None:
    assert [shlex.quote(color) for color in Color] == ["blue", "green"]
