"""One lab for the tests, beside the user's own: other names, other ports, its own folder."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import yaml

from tests.lab import certificates
from tests.lab.harness import Lab
from tests.site import newer

if TYPE_CHECKING:
    from collections.abc import Iterator

hypothesis.settings.register_profile("cyan", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("cyan")

signal.signal(signal.SIGINT, signal.default_int_handler)
"""In the background of a script it is ignored, and so would it be by commands that are tried."""

PROJECT = Path(__file__).parent.parent
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
SHIFT = int(os.environ.get("CYAN_TEST_SHIFT", "0")) + 20 * WORKER
"""Each of pytest's workers has a lab of its own; so do two checkouts that are tested at once."""

APP = f"cyan-test{SHIFT or ''}"
PORTS = {
    name: port + SHIFT
    for name, port in {
        "site": 18080,
        "tls": 18443,
        "blue": 18001,
        "green": 18002,
        "ssh": 12222,
    }.items()
}
BARE = {name: port + 1000 for name, port in PORTS.items()}
"""The ports of a second lab."""

BEHIND_NGINX = {name: port + 2000 for name, port in PORTS.items()}
"""The ports of the lab whose proxy is nginx."""


WITH_NEWER = {name: port + 4000 for name, port in PORTS.items()}
"""The ports of the lab whose Caddy is a later one."""

ON_PODMAN = {name: port + 3000 for name, port in PORTS.items()}
"""The ports of the lab whose engine is Podman."""


def project_at(folder: Path, app: str, ports: dict[str, int]) -> Path:
    """A project of its own in `folder`, with this one's files and other names and ports."""
    for name in ("compose", "Caddyfile", "loadtests", "migrations"):
        (folder / name).symlink_to(PROJECT / name)
    settings = yaml.safe_load((PROJECT / "invoke.yaml").read_text())
    cyan = settings["cyan"]
    cyan["app"] = app
    cyan["hosts"][0]["port"] = cyan["lab"]["ssh_port"] = ports["ssh"]
    cyan["site"]["port"] = ports["site"]
    cyan["site"]["tls_port"] = ports["tls"]
    cyan["doors"] = {"blue": ports["blue"], "green": ports["green"]}
    cyan["health"] = {"timeout": 60.0, "interval": 0.3, "passes": 2}
    cyan["bake"] = {"seconds": 1.0}
    cyan["verify"] |= {"steady": 8, "gap": 3}
    (folder / "invoke.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture(autouse=True)
def room(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test that is marked `alone` run while no other worker does anything.

    Whoever wants in takes the turnstile first: one that waits for an empty room keeps others out.
    """
    alone = request.node.get_closest_marker("alone") is not None
    folder = Path(tempfile.gettempdir())
    with (folder / "cyan-turnstile").open("w") as turn, (folder / "cyan-room").open("w") as inside:
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    """A running lab; every test puts it into the state that it needs.

    Its proxy is Caddy, unless a test is parametrized: see tests.lab.harness.
    """
    made: Lab = request.getfixturevalue(f"{getattr(request, 'param', 'caddy')}_lab")
    return made


@pytest.fixture(scope="session")
def caddy_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab whose proxy is Caddy."""
    with running(project_at(tmp_path_factory.mktemp("lab"), APP, PORTS), APP, PORTS) as made:
        yield made


@pytest.fixture(scope="session")
def nginx_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab whose proxy is nginx."""
    app = f"{APP}-nginx"
    folder = project_at(tmp_path_factory.mktemp("nginx"), app, BEHIND_NGINX)
    path = folder / "invoke.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["cyan"] |= {"proxy": "nginx", "server": "nginx"}
    settings["cyan"]["compose"]["stateful"] = "compose/nginx.yml"
    settings["cyan"]["site"] |= certificates.made(folder, "localhost")
    path.write_text(yaml.safe_dump(settings))
    with running(folder, app, BEHIND_NGINX) as made:
        yield made


@pytest.fixture(scope="session")
def newer_lab(
    caddy_lab: Lab,  # noqa: ARG001 - it has made the image
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """The lab whose proxy is a later Caddy than Debian's, in the same image."""
    app, folder = f"{APP}-newer", tmp_path_factory.mktemp("newer")
    image = newer.image("cyan-demo/proxy:1")
    project_at(folder, app, WITH_NEWER)
    text = (PROJECT / "compose/stateful.yml").read_text()
    (folder / "stateful.yml").write_text(text.replace("cyan-demo/proxy:1", image))
    path = folder / "invoke.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["cyan"]["compose"]["stateful"] = "stateful.yml"
    path.write_text(yaml.safe_dump(settings))
    with running(folder, app, WITH_NEWER) as made:
        yield made


@pytest.fixture(scope="session")
def podman_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab whose host is a container with Podman."""
    app = f"{APP}-pod"
    folder = project_at(tmp_path_factory.mktemp("podman"), app, ON_PODMAN)
    path = folder / "invoke.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["cyan"]["engine"] = "podman"
    path.write_text(yaml.safe_dump(settings))
    with running(folder, app, ON_PODMAN) as made:
        address = made.settings.hosts[0].address
        yield replace(made, address=address, node=f"{app}-podman")


@contextmanager
def running(folder: Path, app: str, ports: dict[str, int]) -> Iterator[Lab]:
    """The lab of a project, up."""
    # not under /tmp/pytest-*: whose folders only their owner may enter, and containers must
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    made = Lab(folder, app, ports["site"])
    made.cyan("lab.up")
    yield made
    made.cyan("lab.down", "--volumes", check=False)


@pytest.fixture
def command() -> list[str]:
    """The cyan command line."""
    return [sys.executable, "-m", "cyan"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A project whose lab does not run."""
    return project_at(tmp_path, f"{APP}-bare", BARE)
