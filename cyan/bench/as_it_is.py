"""The demo as somebody has it who does not know cyan: one plain Compose file, which is adopted."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from cyan.errors import ProofError
from cyan.lab.nodes import docker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cyan.bench.ways import Way

NAME = "cyan-bench-site"
FOLDER = "site"  # within the folder of the way
SSH_PORT = 18982
DOOR = 18983
KEPT = ("command", "healthcheck", "init", "stop_grace_period")
"""What it has of a service of the demo's; the rest is what cyan asks of who writes for it."""

DATABASE = {
    "image": "cyan-demo/database:1",
    "environment": {"POSTGRES_USER": "demo", "POSTGRES_DB": "demo", "POSTGRES_PASSWORD": "bench"},
    "volumes": ["data:/var/lib/postgresql/data"],
    "healthcheck": {"test": ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "demo"]},
}


def compose_file(demo: str, port: int) -> str:
    """One Compose file, JSON, from that of a color, YAML, with a database: pure."""
    services = yaml.safe_load(demo)["services"]
    made = {name: _plain(name, each) for name, each in services.items()}
    made["platform"] |= {"ports": [f"{port}:8000"], "depends_on": ["database", "rag"]}
    whole = {"name": NAME, "services": {**made, "database": DATABASE}, "volumes": {"data": {}}}
    return json.dumps(whole, indent=1)


def _plain(name: str, service: Mapping[str, Any]) -> dict[str, Any]:
    given = {
        "SERVICE": name,
        "LOGS": "/tmp",  # noqa: S108 - in its container
        "FAULT": "${FAULT:-}",
        "PGPASSWORD": "bench",
        "DATABASE": service["environment"]["DATABASE"],
    }
    kept = {key: service[key] for key in KEPT if key in service}
    image = {"image": "cyan-demo/site:${TAG:-v1}", "depends_on": ["database"]}
    return {**image, **kept, "environment": given}


@contextmanager
def adopted(way: Way, folder: Path, demo: str, port: int) -> Iterator[tuple[str, str]]:
    """It is adopted, and a lab for it up, while the block runs.

    Where its users come, and the container in which its engine is, "" for this machine's. Raises
    ProofError.
    """
    here = folder / FOLDER
    here.mkdir()
    (here / "compose.yaml").write_text(compose_file(demo, port))
    _cyan(here, "init", "--yes", "--engine", way.engine)
    path = here / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    made["cyan"]["hosts"][0]["port"] = made["cyan"]["lab"]["ssh_port"] = SSH_PORT
    made["cyan"]["host_proxy"] = {
        "directory": str(here / ".lab/proxy"),
        "project": f"{NAME}-proxy",
        "image": way.image,
        "door": DOOR,
    }
    path.write_text(yaml.safe_dump(made))
    try:
        _cyan(here, "lab.up", *(["--swarm", "1"] if way.engine == "swarm" else []))
        node = here / ".lab/swarm.json"
        if not node.exists():
            yield "127.0.0.1", ""
        else:
            yield json.loads(node.read_text())[0]["address"], f"{NAME}-swarm1"
    finally:
        _cyan(here, "lab.down", "--volumes", check=False)
        if way.engine == "docker":  # what it shares is its own, which cyan never removes
            docker("compose", "--project-directory", str(here), "down", "-v", "-t", "1")


def _cyan(folder: Path, *words: str, check: bool = True) -> None:
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "cyan", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise ProofError(f"cyan {words[0]} ended with {done.returncode}", evidence=done.stderr)
