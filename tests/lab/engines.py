"""A second Docker Engine and a registry with a log-in, for the tests of images; both throwaway."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest

from tests.lab.harness import until

if TYPE_CHECKING:
    from collections.abc import Iterator

USER, PASSWORD = "ann", 'pa$$ "word" planted-4712'


def docker(*words: str, engine: str = "") -> str:
    """Run the docker command, on the host's engine or another; its output, without its end."""
    done = subprocess.run(
        ["docker", *words], env=_speaking_to(engine), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout.strip()


def image(reference: str, version: str, mark: str, engine: str = "") -> str:
    """Make a small image on top of the demo's, as `reference`; its id."""
    done = subprocess.run(
        ["docker", "build", "--quiet", "--tag", reference, "-"],
        input=f"FROM cyan-demo/site:v1\nENV VERSION={version}\nLABEL mark='{mark}'\n",
        env=_speaking_to(engine),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return docker("image", "inspect", "--format", "{{.Id}}", reference, engine=engine)


def has(reference: str) -> bool:
    """Whether the host's engine holds an image."""
    return bool(docker("image", "ls", "--quiet", "--filter", f"reference={reference}"))


@contextmanager
def second_engine(folder: Path, data: Path) -> Iterator[str]:
    """An engine of its own; where it listens."""
    if os.geteuid() != 0:
        pytest.skip("a second Docker Engine wants root")
    short = Path(tempfile.mkdtemp(prefix="cyan-"))  # a socket's path has 104 characters at most
    address = f"unix://{short}/docker.sock"
    # in a network of its own: an engine without a bridge takes away the docker0 that it finds
    words = ["unshare", "--net", "dockerd", "--host", address, "--data-root", str(data)]
    words += ["--exec-root", str(short / "exec"), "--pidfile", str(folder / "pid")]
    words += ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
    try:
        answers = ["docker", "--host", address, "version"]
        until(
            lambda: subprocess.run(answers, capture_output=True, check=False).returncode == 0,
            f"the second engine answers; see {folder}/log",
            90,
        )
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        for each in (data, short):
            shutil.rmtree(each, ignore_errors=True)


@dataclass(frozen=True)
class Registry:
    """A registry on this machine that wants a log-in."""

    address: str
    config: Path  # of a docker command that is logged in

    def push(self, reference: str) -> None:
        """Push an image of the host's engine."""
        docker("--config", str(self.config), "push", "--quiet", reference)


@contextmanager
def registry(folder: Path, address: str, listens: str = "") -> Iterator[Registry]:
    """A registry from Debian's package, which is unpacked and not installed.

    It `listens` there only, or on more than its address.
    """
    binary = _registry_binary(folder)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    (folder / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '{listens or address}'}}\n"
        f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    )
    with (folder / "registry.log").open("w") as log:
        words = [str(binary), "serve", str(folder / "registry.yml")]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        config = folder / "logged-in"
        words = ["docker", "--config", str(config), "login", "--username", USER, "--password-stdin"]
        until(
            lambda: (
                subprocess.run(
                    [*words, address], input=PASSWORD.encode(), capture_output=True, check=False
                ).returncode
                == 0
            ),
            f"the registry answers; see {folder}/registry.log",
        )
        yield Registry(address, config)
    finally:
        process.terminate()
        process.wait(30)


def _speaking_to(engine: str) -> dict[str, str]:
    """The environment for the docker command; without a network an engine builds the old way."""
    return {**os.environ, **({"DOCKER_HOST": engine, "DOCKER_BUILDKIT": "0"} if engine else {})}


def _registry_binary(folder: Path) -> Path:
    if not shutil.which("apt-get"):
        pytest.skip("the registry comes from a Debian package, and this is no Debian")
    fetched = subprocess.run(
        ["apt-get", "download", "docker-registry"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    packages = list(folder.glob("docker-registry_*.deb"))
    if fetched.returncode != 0 or not packages:
        pytest.skip(f"the package docker-registry cannot be had: {fetched.stderr.strip()[-200:]}")
    subprocess.run(["dpkg", "-x", str(packages[0]), str(folder / "unpacked")], check=True)
    return folder / "unpacked/usr/bin/docker-registry"
