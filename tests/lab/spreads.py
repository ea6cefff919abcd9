"""An application that knows nothing of cyan, on a swarm whose nodes are containers."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from tests.conftest import SHIFT
from tests.lab.foreign_apps import FOLDER, Foreign
from tests.lab.visitors import Visitors, visitors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = 19300 + SHIFT
APP = f"cyan-spread{SHIFT}"
VERSIONS = ("v1", "v2", "v3")


@dataclass(frozen=True)
class Spread(Foreign):
    """The application, on its swarm."""

    @property
    def addresses(self) -> list[str]:
        """Where its users come: the managers'."""
        told = json.loads((self.folder / ".lab/swarm.json").read_text())
        return [str(each["address"]) for each in told]

    @property
    def address(self) -> str:
        """That of the first one."""
        return self.addresses[0]

    def node(self, number: int, *words: str) -> str:
        """What a docker command says on a node, the first of which is the manager."""
        return self.run("docker", "exec", f"{APP}-swarm{number}", "docker", *words).stdout

    def load(self, image: str, *nodes: int) -> None:
        """Have an image on these nodes: there is no registry here."""
        for number in nodes:
            there = f"docker exec -i {APP}-swarm{number} docker load -q"
            self.run("bash", "-c", f"docker save {image} | {there}")

    def stacks(self) -> set[str]:
        """The stacks that there are."""
        return set(self.node(1, "stack", "ls", "--format", "{{.Name}}").split())

    def places(self, color: str) -> Counter[str]:
        """How many replicas of a color run on each node."""
        form = ("--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}")
        name = f"{APP}-{color}_web-{color}"
        lines = self.node(1, "service", "ps", *form, name).splitlines()
        return Counter(line.split()[0] for line in lines if "Running" in line)

    def ready(self) -> Counter[str]:
        """In which state the nodes are."""
        return Counter(self.node(1, "node", "ls", "--format", "{{.Status}}").split())

    @contextmanager
    def visited(self, number: int = 8, address: str = "") -> Iterator[Visitors]:
        """With visitors: nothing fails, and each order is there once."""
        address = address or self.address
        with visitors(PORT, orders=True, number=number, address=address) as seen:
            time.sleep(1)
            yield seen
        assert (seen.failures, seen.on_kept) == ([], [])
        assert seen.answers > 20
        connection = self.run("curl", "-s", f"http://{address}:{PORT}/orders").stdout
        found = Counter(connection.split())
        assert [each for each, count in found.items() if count > 1] == []
        assert set(seen.acknowledged) <= set(found)


@contextmanager
def spread_over(folder: Path, managers: int = 1) -> Iterator[Spread]:
    """It is deployed on a swarm of three nodes, so many of them `managers` that have a proxy."""
    folder.parent.chmod(0o755)
    app = Spread("spread", folder)
    shutil.copytree(FOLDER / "spread", folder)
    (folder / ".env").write_text(f"PORT={PORT}\nDATABASE=cyan-demo/database:1\n")
    app.cyan("init", "--yes", "--engine", "swarm")
    path = folder / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    made["cyan"]["app"] = APP
    made["cyan"]["host_proxy"] |= {
        "directory": str(folder / ".lab/proxy"),
        "image": "cyan-demo/proxy:1",
    }
    made["cyan"] |= {
        "bake": {"seconds": 1},
        "health": {"timeout": 60, "interval": 0.3},
        "site": {"answers_within": 3},
        "verify": {
            "steady": 4,
            "gap": 2,
            "rate": 60,
            "sessions": 10,
            "application": "request.id",
        },
    }
    path.write_text(yaml.safe_dump(made))
    app.run("docker", "build", "-q", "-t", "shop/spread:v1", ".")
    for version in VERSIONS[1:]:
        app.run("docker", "tag", "shop/spread:v1", f"shop/spread:{version}")
    try:
        app.cyan("lab.up", "--hosts", str(managers))
        for version in VERSIONS:
            app.load(f"shop/spread:{version}", 1, 2, 3)
        app.cyan("deploy", "--version", "v1")
        yield app
    finally:
        app.cyan("lab.down", check=False)


def live(app: Spread) -> tuple[str, str]:
    """The color and the version that are live, on all of its hosts."""
    hosts = json.loads(app.cyan("status", "--json").stdout)["hosts"]
    (found,) = {(each["live"], each["colors"][each["live"]]["version"]) for each in hosts}
    return found
