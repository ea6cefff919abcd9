"""Hosts for the lab: containers of this machine's engine, each with sshd and its own engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from cyan.application.secrets import collect
from cyan.application.source import repository, source_of
from cyan.configured import NODES, node_file
from cyan.errors import CyanError
from cyan.rollout.provision import provision
from cyan.sections import HostSettings
from cyan.world.host import Host
from cyan.world.podman import SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cyan.settings import Settings

BASE = "cyan-demo/base:trixie"
PACKAGES = "docker.io docker-cli docker-compose docker-buildx iptables openssh-server procps"
DOCKER = f"""
FROM {BASE}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends {PACKAGES} \\
 && rm -rf /var/lib/apt/lists/*
VOLUME ["/var/lib/docker", "/var/lib/containerd"]
"""
"""Its engine's folders are volumes: an overlay cannot lie on another."""

PODMAN = f"""
FROM {BASE}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends systemd-sysv dbus \\
    podman netavark aardvark-dns catatonit nftables docker-cli docker-compose openssh-server \\
    procps iproute2 iptables \\
 && rm -rf /var/lib/apt/lists/* && systemctl mask systemd-modules-load.service \\
 && systemctl enable ssh podman.socket podman-restart \\
 && printf '%s\\n' 'HostKey /keys/host_key' 'AuthorizedKeysFile /keys/authorized_keys' \\
    'StrictModes no' >/etc/ssh/sshd_config.d/lab.conf
ENV DOCKER_HOST={SOCKET} container=docker SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
VOLUME ["/var/lib/containers"]
"""
"""With systemd, as a real host: its timers run the health checks of Podman's containers."""

LEGACY = ("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", "systemd.unified_cgroup_hierarchy=0")
"""What systemd is told where this machine has control groups of the first version."""

SSHD = "sshd -h /keys/host_key -o AuthorizedKeysFile=/keys/authorized_keys -o StrictModes=no"
START = (
    f"mount --make-rshared / && mkdir -p /run/sshd && /usr/sbin/{SSHD} && "
    "exec dockerd >/var/log/dockerd 2>&1"
)
IMAGES = ("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
PATIENCE = 60.0  # seconds for its engine to answer


def up(settings: Settings, say: Callable[[str], None], count: int) -> None:
    """Have exactly `count` of them, with the lab's images, and prepared. Raises CyanError."""
    folder = settings.lab.directory
    listed, there = folder / NODES, _there(settings.app)
    wanted = [f"{settings.app}-node{number}" for number in range(2, count + 2)]
    if surplus := [name for name in there if name not in wanted]:
        docker("rm", "-f", "-v", *surplus)
        say(f"{', '.join(surplus)} removed")
    if not wanted:
        listed.unlink(missing_ok=True)
        return
    if missing := [name for name in wanted if name not in there]:
        image = built("node", DOCKER)
        with ThreadPoolExecutor(len(missing)) as pool:
            list(
                pool.map(
                    lambda name: _start(name, settings.app, folder, image, "sh", "-c", START),
                    missing,
                )
            )
    _bring(settings, wanted)
    machines = [_machine(name, folder) for name in wanted]
    _know(machines, folder)
    _list(listed, machines)
    lab = settings.lab.model_copy(update={"nodes": tuple(each.address for each in machines)})
    made = settings.model_copy(update={"lab": lab, "hosts": (settings.hosts[0], *machines)})
    for machine in machines:
        with Host(machine) as host:
            says = provision(host, made, collect(made), lambda _service: True)
        say(f"{machine.address}: {says}")


def podman(settings: Settings, say: Callable[[str], None]) -> None:
    """Have one with Podman, which is all of the lab then, with the lab's images.

    Raises CyanError.
    """
    folder, name = settings.lab.directory, f"{settings.app}-podman"
    if name not in _there(name):
        modern = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        settings.directory.mkdir(parents=True, exist_ok=True)  # to be looked at from here
        image, mounted = built("podman", PODMAN), (f"{settings.directory}:{settings.directory}",)
        legacy = () if modern else LEGACY
        _start(name, name, folder, image, "/sbin/init", *legacy, mounted=mounted)
    _bring(settings, [name])
    _written(settings, [name])
    say(f"{_machine(name, folder).address}: {name}, a host with Podman")


def swarm(settings: Settings, say: Callable[[str], None], count: int, managers: int) -> None:
    """Have a swarm of `count` nodes, with the lab's images; its managers are all that cyan knows.

    Raises CyanError.
    """
    folder, of = settings.lab.directory, f"{settings.app}-swarm"
    wanted, there = [f"{of}{number}" for number in range(1, count + 1)], _there(of)
    if surplus := [name for name in there if name not in wanted]:
        docker("rm", "-f", "-v", *surplus)
    manager, *others = wanted
    image = built("node", DOCKER)
    settings.directory.mkdir(parents=True, exist_ok=True)
    mounted = {manager: (f"{settings.directory}:{settings.directory}",)}

    def begun(name: str) -> None:
        _start(name, of, folder, image, "sh", "-c", START, mounted=mounted.get(name, ()))

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(begun, [name for name in wanted if name not in there]))
    address = _machine(manager, folder).address
    if not _is_of_a_swarm(manager):
        docker("exec", manager, "docker", "swarm", "init", "--advertise-addr", address)
    token = docker("exec", manager, "docker", "swarm", "join-token", "-q", "worker").strip()
    for name in others:
        if not _is_of_a_swarm(name):
            join = ("docker", "swarm", "join", "--token", token, f"{address}:2377")
            docker("exec", name, *join)
    for name in others[: managers - 1]:
        called = docker("exec", name, "docker", "info", "--format", "{{.Name}}").strip()
        docker("exec", manager, "docker", "node", "promote", called)
    _bring(settings, wanted)
    _written(settings, wanted[:managers])
    for name in wanted[:managers]:
        at = _machine(name, folder).address
        say(f"{at}: {name}, a manager of a swarm of {count} nodes")


def _is_of_a_swarm(name: str) -> bool:
    form = "{{.Swarm.LocalNodeState}}"
    return docker("exec", name, "docker", "info", "--format", form).strip() == "active"


def _written(settings: Settings, names: Sequence[str]) -> None:
    """Have the containers of these names written down as the lab's hosts."""
    folder = settings.lab.directory
    machines = [
        _machine(name, folder).model_copy(update={"engine": settings.engine}) for name in names
    ]
    _know(machines, folder)
    _list(node_file(settings), machines)


def _list(file: Path, machines: Sequence[HostSettings]) -> None:
    kept = [each.model_dump(mode="json", exclude_defaults=True) for each in machines]
    file.write_text(json.dumps(kept, indent=1) + "\n")


def without(settings: Settings, say: Callable[[str], None]) -> None:
    """Remove the lab's hosts of an engine that this machine has not."""
    for name in _there(f"{settings.app}-{settings.engine}"):
        docker("rm", "-f", "-v", name)
        say(f"{name} removed")
    node_file(settings).unlink(missing_ok=True)


def built(name: str, dockerfile: str) -> str:
    """The image of a host of the lab, built where it is not there. Raises CyanError."""
    image = f"cyan-lab/{name}:1"
    docker("build", "-q", "-t", image, "-", given=dockerfile)
    return image


def _there(app: str) -> list[str]:
    words = ("ps", "--filter", f"label=cyan.lab={app}", "--format", "{{.Names}}")
    return sorted(docker(*words).split())


def _start(
    name: str, of: str, folder: Path, image: str, *command: str, mounted: Sequence[str] = ()
) -> None:
    """Start a container that is a host of the lab `of` that name."""
    keys = folder / "node"
    keys.mkdir(mode=0o700, exist_ok=True)
    for each in ("host_key", "authorized_keys"):
        shutil.copy(folder / each, keys / each)
    words = ["--privileged", "--tmpfs", "/run", "--tmpfs", "/tmp", "-v", f"{keys}:/keys:ro"]  # noqa: S108
    words += ["--label", f"cyan.lab={of}", "--name", name, "--cgroupns", "private"]
    words += [word for each in mounted for word in ("-v", each)]
    docker("run", "-d", "--rm", *words, image, *command)
    deadline = time.monotonic() + PATIENCE
    while _tried("exec", name, "docker", "version").returncode != 0:
        if time.monotonic() > deadline:
            said = _tried("logs", "--tail", "20", name).stderr
            raise CyanError(f"the engine of {name} does not answer", evidence=said)
        time.sleep(0.2)


def _bring(settings: Settings, nodes: Sequence[str]) -> None:
    """Give this machine's images to those that lack one: a lab may have no registry that would."""
    ours = _repositories(settings)
    images = {each for each in docker(*IMAGES).split() if repository(each) in ours} - {BASE}
    if not images:
        return

    def lacking() -> list[str]:
        return [each for each in nodes if images - _images(each)]

    names = lacking()
    if not names:
        return
    into = " ".join(f">(docker exec -i {name} docker load -q >&2)" for name in names)
    script = f"docker save {' '.join(sorted(images))} | tee {into} >/dev/null; wait"
    done = subprocess.run(  # noqa: S603 - names of our own
        ["bash", "-c", script],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or lacking():
        raise CyanError("the images did not come to the lab's hosts", evidence=done.stderr)


def _repositories(settings: Settings) -> set[str]:
    """The names, without a tag, of the images that the application and the host's proxy may run."""
    if settings.adopted is None:
        here = map(repository, docker(*IMAGES).split())
        return {each for each in here if each.startswith("cyan-demo/")}
    services = json.loads(source_of(settings, ""))["services"].values()
    asked = (each["image"] for each in services if "image" in each)
    return {*map(repository, (settings.host_proxy.image, *asked))}


def _images(node: str) -> set[str]:
    listed = docker("exec", node, "docker", *IMAGES).split()
    return {each.removeprefix("localhost/") for each in listed}  # so Podman calls what it loaded


def _machine(name: str, folder: Path) -> HostSettings:
    form = "{{.NetworkSettings.Networks.bridge.IPAddress}}"
    return HostSettings(
        address=docker("inspect", "--format", form, name).strip(),
        user="root",
        identity=folder / "client_key",
        known_hosts=folder / "node/known_hosts",
        bind="0.0.0.0",  # noqa: S104 - of a container: this machine reaches it
    )


def _know(machines: Sequence[HostSettings], folder: Path) -> None:
    key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    lines = "".join(f"{each.address} {key}\n" for each in machines)
    (folder / "node/known_hosts").write_text(lines)


def _tried(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = ["docker", *words]
    return subprocess.run(  # noqa: S603 - names of our own
        command, input=given, capture_output=True, text=True, check=False
    )


def docker(*words: str, given: str = "") -> str:
    """What a docker command prints; `given` is its input. Raises CyanError."""
    done = _tried(*words, given=given)
    if done.returncode != 0:
        raise CyanError(f"docker {words[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
