"""A planted secret arrives in the containers as it is, and is found nowhere else."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lab.harness import Lab, process_lists, settings_section

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab

PLANTED = "planted-4711"
VALUE = f"{PLANTED} \"q\" 's' $HOME ${{X}} $$ \\n \\ #no\nline {PLANTED} é"
FAILS = 'sh -c \'echo "it is $$FROM_FILE"; echo "and $$TOKEN" >&2; exit 1\''


def compose_file(lab: Lab, name: str, **changes: str) -> Path:
    """The demo's color with some text in place of other text."""
    text = (lab.folder / "compose/stateless.yml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = lab.folder / name
    path.write_text(text)
    return path


def environment(lab: Lab, color: str) -> dict[str, str]:
    """What the platform's container of a color has in its environment."""
    lines = json.loads(lab.inspected(color, "{{json .Config.Env}}")["platform"])
    return dict(line.split("=", 1) for line in lines)


def found_in(folder: Path, text: str) -> set[Path]:
    """The files under a folder that hold a text."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path for path in files if text.encode() in path.read_bytes()}


def sources(folder: Path) -> dict[str, object]:
    """The setting `secrets` with all three sources."""
    (folder / "file.env").write_text(f"FROM_FILE='{PLANTED} from a file'\n")
    (folder / "printed.env").write_text(f"PRINTED={PLANTED}-printed\n")
    return {
        "file": str(folder / "file.env"),
        "environment": ["TOKEN"],
        "command": f"cat {folder}/printed.env",
    }


def test_a_secret_reaches_the_containers_literally_and_is_seen_nowhere(
    lab: Lab, tmp_path: Path
) -> None:
    lab.live("v1")
    with lab.configured(secrets=sources(tmp_path)), process_lists() as seen:
        plan = lab.cyan("deploy", "--version", "v2", "--plan", TOKEN=VALUE)
        deploy = lab.cyan("deploy", "--version", "v2", TOKEN=VALUE)
        told = [lab.cyan(*words).stdout for words in (["status"], ["history"])]
    color = lab.answering()[0]
    env = environment(lab, color)
    assert env["TOKEN"] == VALUE
    assert env["FROM_FILE"] == f"{PLANTED} from a file"
    assert env["PRINTED"] == f"{PLANTED}-printed"
    assert "and 5 secrets" in plan.stdout
    assert any("docker compose" in line for line in seen)
    assert not [line for line in seen if PLANTED in line]
    for text in (plan.stdout, plan.stderr, deploy.stdout, deploy.stderr, *told):
        assert PLANTED not in text
    kept = lab.release(color) / "secrets.env"
    assert found_in(lab.folder, PLANTED) == {kept}
    assert kept.stat().st_mode & 0o037 == 0  # the group of a shared directory may read it


@pytest.mark.parametrize("debug", [pytest.param("", marks=pytest.mark.nightly), "1"])
def test_a_failing_release_that_prints_its_secrets_does_not_print_them_here(
    lab: Lab, tmp_path: Path, debug: str
) -> None:
    lab.live("v1")
    path = compose_file(lab, "leaks.yml", **{"python3 crawler_app.py": FAILS})
    section = settings_section(lab.folder)["compose"] | {"stateless": str(path)}
    with lab.configured(secrets=sources(tmp_path), compose=section), process_lists() as seen:
        done = lab.cyan(*("deploy", "--version", "v2"), check=False, TOKEN=VALUE, CYAN_DEBUG=debug)
    assert done.returncode == 1
    assert "crawler" in done.stderr
    assert "it is [secret FROM_FILE]" in done.stderr or debug
    assert not [line for line in seen if PLANTED in line]
    assert PLANTED not in done.stdout + done.stderr
    assert {path.name for path in found_in(lab.folder, PLANTED)} == {"secrets.env"}
    shutil.rmtree(tmp_path)


@pytest.mark.nightly
def test_a_rollback_has_the_secrets_of_its_own_release(lab: Lab) -> None:
    lab.live("v3")
    with lab.configured(secrets={"environment": ["TOKEN"]}):
        lab.cyan("deploy", "--version", "v1", TOKEN=VALUE)
        lab.cyan("deploy", "--version", "v2", TOKEN="another")
    assert environment(lab, lab.answering()[0])["TOKEN"] == "another"
    lab.cyan("cleanup")
    lab.cyan("rollback")
    color, version = lab.answering()
    assert version == "v1"
    assert environment(lab, color)["TOKEN"] == VALUE
    kept = lab.release(color) / "secrets.env"
    assert kept.stat().st_mode & 0o037 == 0  # the group of a shared directory may read it


@pytest.mark.nightly
def test_a_rollback_without_what_its_release_ran_with_is_refused_in_words(lab: Lab) -> None:
    lab.live("v1")
    old = lab.release(lab.answering()[0])
    lab.cyan("deploy", "--version", "v2")
    lab.cyan("cleanup")
    before = lab.answering()
    subprocess.run(["mv", str(old), f"{old}.away"], check=True)
    try:
        done = lab.cyan("rollback", check=False)
    finally:
        subprocess.run(["mv", f"{old}.away", str(old)], check=True)
    assert done.returncode == 1
    assert "is not on the host any more" in done.stderr
    assert "inv deploy --version v1" in done.stderr
    assert lab.answering() == before


def test_what_is_given_for_containers_is_in_no_process_list_nor_for_everybody_to_read(
    lab: Lab,
) -> None:
    lab.live("v1")
    with process_lists() as seen:
        lab.cyan("deploy", "--version", "v2", "--env", f"FAULT=unknown-{PLANTED}", check=False)
        lab.cyan("deploy", "--version", "v2", "--env", f"NOTE={PLANTED}")
    ours = [line for line in seen if PLANTED in line and "cyan deploy" not in line]
    assert [line for line in seen if "docker compose" in line]
    assert ours == []  # but for the operator's own command, on their own machine
    kept = lab.release(lab.answering()[0]) / ".env"
    assert PLANTED in kept.read_text()
    assert kept.stat().st_mode & 0o037 == 0


def test_logs_are_shown_without_the_secrets_that_a_container_printed(
    lab: Lab, tmp_path: Path
) -> None:
    lab.live("v1")
    tells = "sh -c 'echo \"it is $$FROM_FILE\"; exec python3 crawler_app.py'"
    path = compose_file(lab, "tells.yml", **{"python3 crawler_app.py": tells})
    section = settings_section(lab.folder)["compose"] | {"stateless": str(path)}
    with lab.configured(secrets=sources(tmp_path), compose=section):
        lab.cyan("deploy", "--version", "v2", TOKEN=VALUE)
        logs = lab.cyan("logs", "--service", "crawler", TOKEN=VALUE).stdout
    assert "it is [secret FROM_FILE]" in logs
    assert PLANTED not in logs
    shutil.rmtree(tmp_path)


def test_secrets_reach_the_shared_services_too(lab: Lab, tmp_path: Path) -> None:
    """Their file is there for them; what they make of it is their Compose file's business."""
    with lab.configured(secrets=sources(tmp_path)):
        lab.cyan("lab.up", TOKEN=VALUE)
        kept = lab.folder / ".lab/host/shared/secrets.env"
        assert PLANTED in kept.read_text()
        assert kept.stat().st_mode & 0o037 == 0
    lab.cyan("lab.up")
    assert PLANTED not in kept.read_text()
    shutil.rmtree(tmp_path)
