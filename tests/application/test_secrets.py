"""Secrets come from where the settings say, reach Compose literally, and are shown nowhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyan.application import secrets
from cyan.application.secrets import Secrets
from cyan.errors import UsageError
from cyan.sections import HostSettings, LabSettings, SecretsSettings
from cyan.world.envfile import env_file
from tests.rollout.worlds import settings as configured

if TYPE_CHECKING:
    from pathlib import Path

NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
TRICKY = st.text(st.sampled_from("\\\\$$\"'\n\r\t {}#=`nrxé"), max_size=12)


@pytest.mark.skipif(not shutil.which("docker"), reason="Compose is not installed")
@settings(deadline=None, max_examples=3)
@given(st.lists(TEXT | TRICKY, min_size=50, max_size=200))
def test_compose_itself_takes_every_value_literally(values: list[str]) -> None:
    import tempfile  # noqa: PLC0415 - hypothesis wants no function-scoped fixture
    from pathlib import Path  # noqa: PLC0415

    pairs = tuple((f"V{number}", value) for number, value in enumerate(values))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "secrets.env").write_bytes(env_file(dict(pairs)).encode())
        (folder / "compose.yml").write_text(
            "services: {a: {image: a, env_file: secrets.env, environment: {D: $$}}}"
        )
        words = ["docker", "compose", "-f", str(folder / "compose.yml"), "config"]
        done = subprocess.run([*words, "--format", "json"], capture_output=True, check=True)
    found = json.loads(done.stdout)["services"]["a"]["environment"]
    assert found.pop("D") == "$$"  # so it writes each $ twice
    assert {name: value.replace("$$", "$") for name, value in found.items()} == dict(pairs)


def test_a_later_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("A=file\nB='it $is'\nexport C=\"two\\nlines\"\n# D=no\n")
    wanted = SecretsSettings(file=file, environment=("A",), command="printf 'E=x # not this\\n'")
    found = secrets.collect(configured(secrets=wanted), {"A": "environment", "F": "no"})
    assert dict(found.values) == {"A": "environment", "B": "it $is", "C": "two\nlines", "E": "x"}


@pytest.mark.parametrize(("port", "has"), [(2222, {"A": "lab"}), (22, {})])
def test_only_the_lab_gets_the_labs_secrets_and_any_other_wins_over_them(
    tmp_path: Path, port: int, has: dict[str, str]
) -> None:
    (tmp_path / "lab.env").write_text("A=lab\n")
    given = configured(
        hosts=(HostSettings(address="127.0.0.1", port=port, user="ann"),),
        lab=LabSettings(secrets=tmp_path / "lab.env"),
    )
    assert dict(secrets.collect(given, {}).values) == has
    won = given.model_copy(update={"secrets": SecretsSettings(environment=("A",))})
    assert dict(secrets.collect(won, {"A": "mine"}).values) == {"A": "mine"}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"environment": ["A"]}, "the environment variable A is not set"),
        ({"file": "/nowhere/secrets.env"}, "No such file"),
        ({"command": "echo hunter22; exit 3"}, "failed with exit code 3"),
        ({"command": "echo OK=1; echo hunter22"}, "line 2 is not KEY=VALUE"),
        ({"command": "echo hun.ter22=5"}, "line 1 names no environment variable"),
        ({"command": "printf 'A=\\0hunter22'"}, "holds a NUL"),
        ({"command": "printf 'A=hunter22\\377'"}, "not UTF-8"),
    ],
)
def test_a_source_that_fails_is_named_and_its_values_are_not(
    wanted: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        secrets.collect(configured(secrets=SecretsSettings.model_validate(wanted)), {})
    assert said in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert "hun.ter22" not in str(caught.value)


def test_a_value_is_redacted_as_it_is_in_parts_and_as_programs_print_it() -> None:
    found = Secrets((("KEY", 'first line\nsec"ond'), ("NUMBER", "1"), ("LONG", "first line two")))
    text = f'a first line two b {json.dumps(found.values[0][1])} sec"ond 1'
    assert found.redacted(text) == 'a [secret LONG] b "[secret KEY]" [secret KEY] 1'


def test_a_value_is_redacted_that_a_shells_echo_has_made_two_lines_of() -> None:
    found = Secrets((("KEY", r"hunter22\nhunter23"),))
    assert found.redacted("hunter22\nhunter23") == "[secret KEY]\n[secret KEY]"


def test_secrets_are_not_in_a_repr() -> None:
    assert "hunter22" not in repr(Secrets((("KEY", "hunter22"),)))
