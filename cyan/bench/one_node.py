"""A swarm of one node, in a container with an engine of its own, and the demo as its stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cyan.errors import CyanError
from cyan.lab import nodes
from cyan.lab.nodes import docker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = "cyan-bench-swarm"
NETWORK = "cyan-bench-app"
PATIENCE = 60  # seconds for its engine to answer
UNKNOWN = ("mem_limit", "scale", "networks", "tmpfs")  # to a stack, or otherwise there
UPDATE = {"order": "start-first", "failure_action": "rollback"}


def stack_file(demo: str, shared: Mapping[str, Any], proxy: Mapping[str, Any]) -> str:
    """The demo, what both of its versions share, and its proxy as one stack, JSON: pure.

    `demo` is the Compose file of a color, YAML. New tasks before old ones, back by itself where
    they fail, names by DNS round robin: as Docker's documentation has it.
    """
    services = yaml.safe_load(demo)["services"]
    made = {
        name: _known(each)
        | {"deploy": {"endpoint_mode": "dnsrr", "update_config": UPDATE}, "networks": _its(each)}
        for name, each in services.items()
    }
    once = {"deploy": {"endpoint_mode": "dnsrr"}, "networks": ["app"]}
    made |= {
        "database": {**_known(shared), **once},
        "proxy": {**proxy, **once},
    }
    network = {"app": {"name": NETWORK, "external": True}}
    return json.dumps({"services": made, "networks": network}, indent=1)


def _known(service: Mapping[str, Any]) -> dict[str, Any]:
    """What a stack has of a service; what it would ignore and is needed, as it is written there."""
    kept = {key: value for key, value in service.items() if key not in UNKNOWN}
    temporary = [{"type": "tmpfs", "target": each} for each in service.get("tmpfs", ())]
    return kept | {"volumes": [*service.get("volumes", ()), *temporary]}


def _its(service: Mapping[str, Any]) -> dict[str, Any]:
    """The network of a service, by the name that it has in a color's."""
    asked = service["networks"]
    return {"app": asked["color"] if isinstance(asked, dict) else None}


@contextmanager
def node(folder: Path) -> Iterator[str]:
    """A node with the demo's images, which has `folder` as well: its address, while the block runs.

    All that asks for an engine meanwhile asks this node's. Raises CyanError.
    """
    image = nodes.built("node", nodes.DOCKER)
    images = [each for each in docker(*nodes.IMAGES).split() if each.startswith("cyan-demo/")]
    run = Path(tempfile.mkdtemp(prefix=NAME))
    docker("rm", "-f", "-v", NAME)
    words = ["--privileged", "--cgroupns", "private", "--tmpfs", "/tmp", "--name", NAME]  # noqa: S108
    words += [word for each in (folder, run) for word in ("-v", f"{each}:{each}")]
    begin = f"mount --make-rshared / && exec dockerd -H unix://{run}/engine"
    docker("run", "-d", "--rm", *words, image, "sh", "-c", begin)
    form = "{{.NetworkSettings.Networks.bridge.IPAddress}}"
    address = docker("inspect", "--format", form, NAME).strip()
    before = os.environ.get("DOCKER_HOST")
    here = {"DOCKER_HOST": f"unix://{run}/engine"}
    try:
        _answers(here)
        save = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)  # noqa: S603, S607
        subprocess.run(
            ["docker", "load", "-q"],  # noqa: S607
            stdin=save.stdout,
            env={**os.environ, **here},
            capture_output=True,
            check=True,
        )
        save.wait()
        os.environ |= here
        docker("swarm", "init", "--advertise-addr", address)
        docker("network", "create", "-d", "overlay", "--attachable", NETWORK)
        yield address
    finally:
        os.environ.pop("DOCKER_HOST", None)
        if before:
            os.environ["DOCKER_HOST"] = before
        docker("rm", "-f", "-v", NAME)
        shutil.rmtree(run, ignore_errors=True)


def _answers(where: Mapping[str, str]) -> None:
    """Wait until its engine does."""
    end = time.monotonic() + PATIENCE
    words = ["docker", "version"]
    while subprocess.run(words, env={**os.environ, **where}, capture_output=True).returncode:  # noqa: PLW1510, S603
        if time.monotonic() > end:
            raise CyanError(f"the engine of {NAME} does not answer")
        time.sleep(0.2)
