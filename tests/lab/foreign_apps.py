"""Applications that others could have written, each in a folder of its own, as it was left."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
import yaml

from cyan.proxies import error_log
from tests.conftest import SHIFT
from tests.lab.harness import until
from tests.lab.visitors import visitors
from tests.site import newer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FOLDER = Path(__file__).parent / "foreign"
PORT = 18900 + SHIFT
SSH = 19222 + SHIFT  # of two that are adopted at once each would take the same one for free
BASE = "cyan-foreign/base:1"
NAMES = {
    "flask": (),
    "fastapi": ("shop/api",),
    "express": ("shop/express",),
    "behind_nginx": ("shop/web", "nginx:1.26"),
    "django": ("shop/django", "redis:7"),
    "chunked": ("shop/chunked",),
    "notes": ("shop/notes",),
    "parts": ("shop/parts", "memcached:1.6"),
}
"""The names by which their files ask for what all of them are made of."""

PROXIES = {"caddy": "cyan-demo/proxy:1", "nginx": "cyan-demo/nginx:1", "newer": newer.NAME}
LIGHT = "cyan-demo/site:v1"  # has a Python, which is all that some want
VERSIONS = ("v0", "v1", "v2")
DOCKER = ("docker", "compose", "--progress", "quiet")


@dataclass(frozen=True)
class Foreign:
    """An application in a folder of its own, as its authors left it."""

    name: str
    folder: Path
    proxy: str = "caddy"
    ssh: int = SSH

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in its folder."""
        done = subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, timeout=600, check=False
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done

    def cyan(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run cyan in its folder."""
        return self.run(sys.executable, "-m", "cyan", *words, check=check)

    def adopt(self, *words: str) -> None:
        """`cyan init`, then what keeps this host's proxy apart from another's."""
        program = self.proxy.replace("newer", "caddy")
        self.cyan("init", "--yes", "--proxy", program, *words)
        path = self.folder / "invoke.yaml"
        made = yaml.safe_load(path.read_text())
        if "--domain" in words:
            made["cyan"]["site"] |= {"port": PORT - 2, "tls_port": PORT - 1}
        made["cyan"]["hosts"][0]["port"] = made["cyan"]["lab"]["ssh_port"] = self.ssh
        made["cyan"]["host_proxy"] = {
            "directory": str(self.folder.parent / "proxy"),
            "project": f"cyan-foreign{SHIFT}-proxy",
            "image": PROXIES[self.proxy],
            "door": PORT - 10,
        }
        made["cyan"] |= {"bake": {"seconds": 1}, "health": {"timeout": 60, "interval": 0.3}}
        path.write_text(yaml.safe_dump(made))
        self.cyan("lab.up")

    def text(
        self, path: str = "/", port: int = PORT, headers: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """What the site answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return answer.read().decode()

    def answers(self, port: int = PORT) -> bool:
        """Whether it does."""
        try:
            return self.text(port=port).startswith("a shop")
        except (OSError, http.client.HTTPException, AssertionError):
            return False

    def theirs(self) -> dict[str, str]:
        """Their files as they are now, by digest: nothing of them may change."""
        names = (path.relative_to(FOLDER / self.name) for path in (FOLDER / self.name).rglob("*.*"))
        return {
            str(name): hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            for name in names
        }

    def database(self) -> str:
        """The container that keeps the data."""
        return self.run("docker", "ps", "-q", "--no-trunc", "--filter", f"name={self.kept}").stdout

    @property
    def kept(self) -> str:
        """The name of what is shared."""
        return f"^cyan-foreign-{self.name.removeprefix('behind_')}-(db|redis|store)-1$"


def images(name: str) -> None:
    """Have the images of an application, under the names that its file uses."""
    base = LIGHT if name in {"chunked", "notes", "parts"} else BASE
    if base == BASE:
        words = ("docker", "build", "-q", "-t", BASE, "-f", str(FOLDER / "Dockerfile"), str(FOLDER))
        subprocess.run(words, check=True, capture_output=True)
    for each in NAMES[name]:
        for tag in (each,) if ":" in each else [f"{each}:{version}" for version in VERSIONS]:
            subprocess.run(("docker", "tag", base, tag), check=True)
    subprocess.run(("docker", "tag", "cyan-demo/database:1", "postgres:17"), check=True)


def _without_leftovers() -> None:
    """Remove the proxies of a run that was ended: they read folders that are gone."""
    for project in (f"cyan-foreign{SHIFT}-proxy", f"cyan-foreign{SHIFT}-proxy-second"):
        words = ("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={project}")
        left = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        if left:
            subprocess.run(("docker", "rm", "-f", *left), check=True, capture_output=True)


@pytest.fixture
def foreign(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Foreign]:
    """The application of the test's parameter, NAME or NAME@PROXY; its own stack runs."""
    name, _, proxy = request.param.partition("@")
    images(name)
    folder = tmp_path_factory.mktemp("foreign")
    folder.chmod(0o755)
    app = Foreign(name, folder / name, proxy or "caddy")
    if proxy == "newer":
        newer.image(PROXIES["caddy"])
    with alone(name):
        yield from _up(app)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Of the workers only one has an application of that name: its containers are called so."""
    with (Path(tempfile.gettempdir()) / f"cyan-foreign-{name}").open("w") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        yield


def _up(app: Foreign) -> Iterator[Foreign]:
    """Its own stack runs, and is removed at the end."""
    shutil.copytree(FOLDER / app.name, app.folder)
    own = app.folder / "more.env"
    more = own.read_text() if own.exists() else ""
    (app.folder / ".env").write_text(f"PORT={PORT}\nDATABASE_PASSWORD=s3cret-$$-x\n{more}")
    _without_leftovers()
    app.run(*DOCKER, "up", "-d", "--build")
    try:
        until(app.answers, f"{app.name} answers")
        yield app
    finally:
        app.cyan("lab.down", check=False)
        app.run(*DOCKER, "down", "-v", "-t", "1", check=False)


def proxies_of(app: Foreign) -> list[str]:
    """The containers of the host's proxy: two, while one takes over from the other."""
    project = f"label=com.docker.compose.project=cyan-foreign{SHIFT}-proxy"
    return app.run("docker", "ps", "-q", "--filter", project).stdout.split()


def not_the_proxys_own(app: Foreign, failures: Iterable[str]) -> list[str]:
    """The failures without those that Caddy 2.6 made by itself, as its log tells: one for one."""
    logs = [app.run("docker", "logs", each) for each in proxies_of(app)]
    said = "".join(log.stdout + log.stderr for log in logs)
    own = [
        line
        for line in said.splitlines()
        if error_log.ABORTED in line and error_log.OWN_FAULT in line
    ]
    times = [json.loads(line)["ts"] for line in own]
    left = []
    for each in failures:
        at = float(each.partition(" ")[0])
        told = next((ts for ts in times if abs(ts - at) < 0.1), None)
        if told is None or "cut short" not in each:
            left.append(each)
        else:
            times.remove(told)
    return left


def taken_over(app: Foreign, *, orders: bool) -> None:
    """The first deploy, under visitors: no new connection is refused, no order lost."""
    with visitors(PORT, orders=orders) as seen:
        time.sleep(1)
        said = app.cyan("deploy", "--version", "v1", "--take-over").stdout
    assert seen.failures == []
    assert "nobody was refused" in said
    assert len(seen.on_kept) <= 4, seen.on_kept  # those that the original ended, one a visitor
    assert f"{len(seen.on_kept)} kept connections ended" in said or not seen.on_kept


def rotated(app: Foreign, times: int, *, orders: bool) -> None:
    """Deploys and a rollback, under visitors: nothing fails, and each order is there once."""
    with visitors(PORT, orders=orders) as seen:
        for number in range(times):
            app.cyan("deploy", "--version", VERSIONS[2 - number % 2])
        app.cyan("rollback")
        app.cyan("cleanup")
        app.cyan("rollback")  # from what its release left on the host
    assert not_the_proxys_own(app, (*seen.failures, *seen.on_kept)) == []
    assert seen.answers > 50 * times
    assert orders or seen.versions == {"v1", "v2"}
    if orders:
        found = Counter(app.text("/orders").split())
        assert {each for each, count in found.items() if count > 1} == set()
        assert set(seen.acknowledged) <= set(found)
