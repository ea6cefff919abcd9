"""A second host with an engine and an sshd of its own: a container of this machine's engine."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cyan.application.secrets import collect
from cyan.rollout.provision import provision
from cyan.settings import load
from cyan.world.host import Host
from tests.lab.harness import settings_section, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.harness import Lab

IMAGE = "cyan-test/node:1"
PACKAGES = "docker.io docker-cli docker-compose iptables openssh-server procps"
DOCKERFILE = f"""
FROM cyan-demo/base:trixie
RUN apt-get update -q && apt-get install -y -q --no-install-recommends {PACKAGES} \
 && rm -rf /var/lib/apt/lists/*
VOLUME ["/var/lib/docker", "/var/lib/containerd"]
"""
SSHD = "sshd -h /keys/host_key -o AuthorizedKeysFile=/keys/authorized_keys -o StrictModes=no"
START = f"mkdir -p /run/sshd && /usr/sbin/{SSHD} && exec dockerd >/var/log/dockerd 2>&1"
SECRETS = {"file": "compose/lab.env"}
IMAGES = ("cyan-demo/database:1", "cyan-demo/proxy:1", *(f"cyan-demo/site:v{n}" for n in (1, 2, 3)))


@contextmanager
def node(lab: Lab) -> Iterator[dict[str, Any]]:
    """A provisioned host with the demo's images; what stands for it in cyan.hosts."""
    name, keys = f"{lab.app}-node", lab.folder / ".lab"
    _run("docker", "build", "-q", "-t", IMAGE, "-", given=DOCKERFILE)
    words = ("--privileged", "--tmpfs", "/run", "--tmpfs", "/tmp", "-v", f"{keys}:/keys:ro")
    _run("docker", "run", "-d", "--rm", "--name", name, *words, IMAGE, "sh", "-c", START)
    try:
        form = "{{.NetworkSettings.Networks.bridge.IPAddress}}"
        address = _run("docker", "inspect", "--format", form, name).strip()
        key = " ".join((keys / "host_key.pub").read_text().split()[:2])
        (keys / "node_hosts").write_text(f"{address} {key}\n")
        until(lambda: _answers(name), "the node's engine answers", 60)
        transfer = f"docker save {' '.join(IMAGES)} | docker exec -i {name} docker load -q"
        _run("sh", "-c", transfer)
        entry = {
            "address": address,
            "user": "root",
            "identity": ".lab/client_key",
            "known_hosts": ".lab/node_hosts",
        }
        more = {"hosts": [entry], "directory": directory(lab), "secrets": SECRETS}
        made = load(settings_section(lab.folder) | more, {}, lab.folder)
        with Host(made.hosts[0]) as host:
            provision(host, made, collect(made))
        yield entry
    finally:
        _run("docker", "rm", "-f", "-v", name)


def directory(lab: Lab) -> str:
    """The application's, as a path that is the same on both hosts."""
    return str(lab.folder / ".lab/host")


def _answers(name: str) -> bool:
    words = ("docker", "exec", name, "docker", "version")
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _run(*words: str, given: str = "") -> str:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout
