"""What a failed pull means, which layers are sent, and where a registry's password goes."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyan.engines import transfer
from cyan.sections import LoginSettings
from tests.lab.harness import until

if TYPE_CHECKING:
    from pathlib import Path

DAEMON = "Error response from daemon: "
LAYERS = st.lists(st.sampled_from("abcd"), max_size=6)


DENIED = (
    (
        "pull access denied for app, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    ),
    'Head "https://r/v2/a/b/manifests/latest": denied: denied',
    'Head "https://r/v2/a/b/manifests/0.0.1": denied.',
    'Head "https://r/v2/a/b/manifests/latest": unauthorized',
    'Head "http://r/v2/site/manifests/v2": no basic auth credentials',
    (
        'failed to resolve reference "r/a:1": pull access denied, repository does not exist or may '
        "require authorization: server message: insufficient_scope: authorization failed"
    ),
    (
        'failed to resolve reference "r/a:1": failed to authorize: failed to fetch anonymous token'
        ": unexpected status from GET request to https://r/token: 401 Unauthorized"
    ),
)
MISSING = (
    "manifest for r:5000/app:v9 not found: manifest unknown: manifest unknown",
    "manifest unknown",
    'failed to resolve reference "r:5000/app:v9": r:5000/app:v9: not found',
)
AWAY = (
    'Get "http://r/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    'Get "https://r/v2/": dial tcp: lookup r on 10.0.0.1:53: no such host',
    (
        'failed to resolve reference "r/a:1": failed to authorize: failed to fetch anonymous token'
        ': Get "https://r/token": EOF'
    ),
)
PLATFORM = (
    "no matching manifest for linux/arm64/v8 in the manifest list entries",
    "no match for platform in manifest: not found",
)
REFUSED = "login attempt to http://r/v2/ failed with status: 401 Unauthorized"
SOCKET = (
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied"
)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        *((each, "no such tag") for each in MISSING),
        *((each, "access is denied") for each in DENIED),
        *((each, "cannot be reached") for each in AWAY),
        *((each, "kind of processor") for each in PLATFORM),
        (REFUSED, "refused the log-in"),
        ("toomanyrequests: You have reached your pull rate limit.", "rate limit"),
        ("write /var/lib/docker/tmp/x: no space left on device", "disk is full"),
        (SOCKET, "may not use"),
        ("something new", "the pull failed"),
    ],
)
def test_a_missing_tag_and_a_denied_access_are_told_apart_by_the_engines_own_words(
    said: str, meaning: str
) -> None:
    assert meaning in transfer.fault(DAEMON + said)[0]


def test_only_the_layers_above_the_longest_shared_beginning_are_sent() -> None:
    assert transfer.shared(["a", "b", "c"], [["a"], ["a", "b", "x"], ["b", "c"]]) == {"a", "b"}
    assert transfer.shared(["a", "b"], []) == frozenset()


@given(LAYERS, st.lists(LAYERS, max_size=4))
def test_a_layer_that_the_engine_must_read_is_never_left_out(
    layers: list[str], others: list[list[str]]
) -> None:
    skip = transfer.shared(layers, others)
    unknown = [
        layer
        for position, layer in enumerate(layers)
        if not any(other[: position + 1] == layers[: position + 1] for other in others)
    ]
    assert not skip & set(unknown)


def pulls(docker: str) -> str:
    return f"{docker} pull --quiet r:5000/app:v1"


def test_a_log_in_is_forgotten_also_where_its_pull_is_ended(tmp_path: Path) -> None:
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\n[ "$3" = login ] || { touch "$2/pulls"; exec sleep 60; }\n')
    docker.chmod(0o755)
    login = LoginSettings(registry="r:5000", user="ann", password_environment="X")
    command = transfer.login_command(pulls, str(tmp_path), login)
    environment = {"PATH": f"{docker.parent}:{os.environ['PATH']}"}
    words = ["sh", "-c", command]
    with subprocess.Popen(words, env=environment, start_new_session=True) as process:
        until(lambda: bool(list(tmp_path.glob("login.*/pulls"))), "it pulls")
        os.killpg(process.pid, signal.SIGTERM)
    until(lambda: not list(tmp_path.glob("login.*")), "it is forgotten", 5)


def test_the_password_is_read_from_the_input_and_the_log_in_is_forgotten(tmp_path: Path) -> None:
    login = LoginSettings(registry="r:5000", user="it's ann", password_environment="X")
    (tmp_path / "login.left").mkdir()
    seen = tmp_path / "seen"
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" >> {seen}; stat -c %a "$2" >> {seen}\n'
        f'if [ "$3" = login ]; then printf "input: %s\\n" "$(cat)" >> {seen}; fi\n'
    )
    docker.chmod(0o755)
    subprocess.run(
        ["sh", "-c", transfer.login_command(pulls, str(tmp_path), login)],
        input=b"pa$$ word",
        env={"PATH": f"{docker.parent}:{os.environ['PATH']}"},
        check=True,
    )
    lines = seen.read_text().splitlines()
    assert "it's ann" in lines
    assert "input: pa$$ word" in lines
    assert lines.count("700") == 2
    assert lines.count("pull") == 1
    assert not list(tmp_path.glob("login.*"))
