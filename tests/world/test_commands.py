"""Commands are data: what reaches a shell is quoted, what reaches a file is literal."""

from __future__ import annotations

import json
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyan.engines import compose
from cyan.errors import HostError, UsageError
from cyan.names import Color, valid_version
from cyan.proxies import in_flight, markers
from cyan.proxies.configuration import users_connected
from cyan.proxies.in_flight import InFlight
from cyan.world.envfile import env_file, parse_env_file
from cyan.world.shell import write_files

HOSTILE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@given(HOSTILE, HOSTILE)
@settings(deadline=None, max_examples=40)
def test_a_file_arrives_as_it_was_written_whatever_is_in_it(name: str, text: str) -> None:
    import tempfile  # noqa: PLC0415 - hypothesis wants no function-scoped fixture

    with tempfile.TemporaryDirectory() as folder:
        safe = "x" + name.replace("/", "_")[:40]
        path = Path(folder) / safe
        command = write_files([(str(path), text)])
        subprocess.run(["sh", "-c", command], check=True)
        assert path.read_bytes().decode() == text


@given(HOSTILE)
def test_a_hostile_word_stays_one_word(word: str) -> None:
    command = compose.Project("demo-blue", PurePosixPath("/srv/x")).command("up", word)
    assert shlex.split(command)[-1] == word


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), HOSTILE))
def test_an_env_file_gives_back_the_values_it_was_made_of(
    values: dict[str, str],
) -> None:
    assert parse_env_file(env_file(values)) == values


@pytest.mark.parametrize("value", ["a\0b", "\udcff"])
def test_what_no_environment_can_hold_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="the value of A holds a NUL or bytes"):
        env_file({"A": value})


@given(st.text(max_size=20))
def test_a_version_is_a_tag_that_needs_no_quoting_or_is_refused(text: str) -> None:
    with suppress(UsageError):
        assert shlex.quote(valid_version(text)) == text
        assert not text.startswith(("-", "."))


def test_the_switch_is_repeatable_and_prints_the_hosts_time(tmp_path: Path) -> None:
    traffic = tmp_path / "traffic"
    traffic.mkdir()
    (traffic / "blue").touch()
    command = markers.switch_command(str(tmp_path), Color.BLUE, Color.GREEN)
    for _ in range(2):
        done = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)
        assert float(done.stdout) > 1e9
        assert [path.name for path in traffic.iterdir()] == ["green"]


def test_a_switch_that_finds_no_marker_at_all_fails(tmp_path: Path) -> None:
    (tmp_path / "traffic").mkdir()
    command = markers.switch_command(str(tmp_path), Color.BLUE, Color.GREEN)
    assert subprocess.run(["sh", "-c", command], check=False).returncode != 0


SOCKETS = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:07E3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1
   1: 0B00007F:9C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 050013AC:D2F0 020013AC:1F40 01 00000000:00000000 00:00000000 00000000  1000        0 3
   3: 0100007F:07E3 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000
   1: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000
   2: 00000000000000000000000000000000:1F41 00000000000000000000000000000000:0000 0A 00000000
   3: 0000000000000000FFFF0000050013AC:1F90 0000000000000000FFFF0000010013AC:A001 01 00000000
   4: 0000000000000000FFFF0000050013AC:01BB 0000000000000000FFFF0000010013AC:A002 01 00000000
   5: B80D0120000000000000000001000000:01BB B80D0120000000000000000002000000:A003 01 00000000
   6: 0000000000000000FFFF0000050013AC:01BB 0000000000000000FFFF0000010013AC:A004 06 00000000
   7: 0000000000000000FFFF0000050013AC:1F41 0000000000000000FFFF0000010013AC:A005 01 00000000
   8: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:A006 01 00000000
   9: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:A007 01 00000000
"""
"""Two users by HTTPS, one of them by IPv6, and one by HTTP; one that has gone; a door's; curl's."""


def test_a_users_connection_is_counted_whatever_port_it_came_to() -> None:
    done = subprocess.run(
        ["awk", users_connected((2019, 8001, 8002))],
        input=SOCKETS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "3\n"


def test_requests_in_flight_are_summed_by_color() -> None:
    upstreams = [
        {"address": "blue:8000", "num_requests": 3, "fails": 0},
        {"address": "green:8000", "num_requests": 1, "fails": 0},
        {"address": "other:80", "num_requests": 9, "fails": 0},
    ]
    assert in_flight.parse(json.dumps(upstreams)) == InFlight(blue=3, green=1)


@pytest.mark.parametrize(
    "answer", ["", "404 page not found", "{}", "[]", '[{"address": "blue:1"}]']
)
def test_nonsense_from_the_admin_api_is_an_error_and_never_a_zero(answer: str) -> None:
    with pytest.raises(HostError):
        assert in_flight.parse(answer) is None
