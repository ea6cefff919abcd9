"""Flags that would do nothing beside others are refused; a round trip is added to TLS as well."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cyan.errors import UsageError
from cyan.proof import theirs
from cyan.proof.asking import Options, measured, spec_of
from cyan.proof.load import Load
from cyan.proof.relay.process import RelayOptions, led
from cyan.proof.remote_workers import RemoteWorkers
from cyan.proof.scenario import full
from tests.rollout import worlds

REMOTE = RemoteWorkers((), "", "")
RTT = 0.2


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"rtt": 0.04, "remote": REMOTE}, ("--rtt", "--workers")),
        ({"http2": True, "remote": REMOTE}, ("--http2", "--workers")),
        ({"processes": 2, "remote": REMOTE}, ("--processes", "--workers")),
        ({"calibrate": True, "remote": REMOTE}, ("--calibrate", "--workers")),
        ({"calibrate": True, "http2": True}, ("--calibrate", "--http2")),
        ({"calibrate": True, "scenario": "quick"}, ("--calibrate", "--quick")),
    ],
)
def test_flags_of_which_one_would_do_nothing_are_refused(
    flags: dict[str, Any], names: tuple[str, str]
) -> None:
    with pytest.raises(UsageError) as refused:
        Options(**flags)
    assert all(name in refused.value.what for name in names)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "flags",
    [
        {"rtt": 0.04, "http2": True, "processes": 2, "fresh_connections": True},
        {"rtt": 0.04, "calibrate": True, "fresh_connections": True, "processes": 2},
        {"remote": REMOTE, "fresh_connections": True, "scenario": "quick"},
    ],
)
def test_flags_that_go_together_are_taken(flags: dict[str, Any]) -> None:
    assert Options(**flags)


@pytest.mark.parametrize("planting", [False, True])
def test_a_round_trip_is_added_before_tls_too(tmp_path: Path, planting: bool) -> None:
    relay = RelayOptions(RTT, tmp_path / "planted" if planting else None)
    with closing(socket.create_server(("127.0.0.1", 0))) as site:
        address = f"https://localhost:{site.getsockname()[1]}"
        load = Load("http://127.0.0.1:9", Path(), secure=address)
        with led(load, relay) as relayed:
            assert relayed.secure == address
            assert relayed.url != load.url
            port = urlsplit(relayed.through).port or 0
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
                near.sendall(b"\x16\x03\x01")  # no request in plain text, and carried as it is
                far, _ = site.accept()
                with far:
                    assert far.recv(3) == b"\x16\x03\x01"
            assert time.monotonic() - began >= RTT / 2


def test_the_load_names_the_address_over_tls_and_whom_to_trust() -> None:
    load = Load("http://site", Path(), secure="https://localhost:1", authority="PEM")
    words = replace(load, through="https://localhost:2").command(Path("logs"))
    assert words[words.index("--through") + 1] == "https://localhost:2"
    assert words[words.index("--secure") + 1] == "https://localhost:1"
    assert words[words.index("--authority") + 1] == "PEM"


def test_a_run_whose_log_the_proxy_would_delete_is_refused(tmp_path: Path) -> None:
    acts = full()
    for rate, refused in ((2_000, False), (30_000, True)):
        asked = Options(rate=rate)
        if refused:
            with pytest.raises(UsageError, match="it would delete the first"):
                spec_of(worlds.settings(), tmp_path, tmp_path, acts, asked)
        else:
            assert spec_of(worlds.settings(), tmp_path, tmp_path, acts, asked).load.rate == rate


@pytest.mark.parametrize(
    ("flags", "said"), [({"http2": True}, "--http2"), ({"elsewhere": True}, "--workers")]
)
def test_what_only_the_demo_has_is_refused_for_another_application(
    flags: dict[str, bool], said: str
) -> None:
    theirs.possible(http2=False, elsewhere=False)
    with pytest.raises(UsageError, match=said):
        theirs.possible(**{"http2": False, "elsewhere": False, **flags})


def test_hosts_share_a_load_and_each_says_how_the_whole_is_run_again(tmp_path: Path) -> None:
    options = Options(rate=60.0, sessions=50, hosts=3)
    spec = spec_of(worlds.settings(), tmp_path, tmp_path, (), options)
    assert (spec.load.rate, spec.load.sessions) == (20.0, 17)
    again = measured(spec, options, {}).measured_on["run again"]
    assert again == f"inv verify-zero-downtime --rate=60 --users=50 --seed={spec.load.seed}"


def test_a_calibration_at_random_says_how_many_it_drew(tmp_path: Path) -> None:
    options = Options(calibrate=True, plants=60)
    spec = spec_of(worlds.settings(), tmp_path, tmp_path, (), options)
    again = measured(spec, options, {}).measured_on["run again"]
    assert "--calibrate --plants=60" in again
