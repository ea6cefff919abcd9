"""The shipped Compose files with images that behave like the official caddy and postgres.

No registry answers where these tests run, so the images are made from Debian's packages: postgres
begins as root, gives its folders away and becomes another user; caddy runs as root, and in the
place of curl there is busybox's wget.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.conftest import APP, BARE, PROJECT, project_at
from tests.lab.harness import Lab

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

POSTGRES = r"""
FROM cyan-demo/database:1
USER root
RUN apt-get update -q && apt-get install -y -q --no-install-recommends gosu \
 && rm -rf /var/lib/apt/lists/* && rm -rf "$PGDATA" && install -d -m 1777 "$PGDATA"
RUN printf '%s\n' '#!/bin/sh' 'set -eu' \
 'if [ "$(id -u)" = 0 ]; then mkdir -p "$PGDATA" /var/run/postgresql' \
 'chmod 700 "$PGDATA"; chmod 3775 /var/run/postgresql' \
 'find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +' \
 'exec gosu postgres "$0" "$@"; fi' 'exec /bin/sh /usr/local/bin/entrypoint.sh "$@"' \
 >/usr/local/bin/docker-entrypoint.sh && chmod 755 /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres", "-c", "listen_addresses=*", "-c", "max_connections=200", \
     "-c", "unix_socket_directories=/var/run/postgresql"]
"""
CADDY = r"""
FROM cyan-demo/proxy:1
USER root
RUN apt-get update -q && apt-get install -y -q --no-install-recommends busybox libcap2-bin \
 && apt-get purge -y -q curl && rm -rf /var/lib/apt/lists/* && rm -rf /data /config \
 && mkdir -p /data/caddy /config/caddy && ln -s /bin/busybox /usr/bin/wget \
 && setcap cap_net_bind_service=+ep /usr/bin/caddy
"""


def built(folder: Path, name: str, dockerfile: str) -> str:
    """The tag of an image made from a Dockerfile alone."""
    (folder / name).mkdir()
    (folder / name / "Dockerfile").write_text(dockerfile)
    tag = f"cyan-test/{name}-like-the-official:1"
    words = ["docker", "build", "-q", "-t", tag, str(folder / name)]
    subprocess.run(words, check=True, capture_output=True)
    return tag


def test_the_official_images_work_in_the_shipped_files(tmp_path: Path) -> None:
    images = {
        "database": built(tmp_path, "postgres", POSTGRES),
        "proxy": built(tmp_path, "caddy", CADDY),
    }
    project_at(tmp_path, f"{APP}-official", BARE)
    text = yaml.safe_load((PROJECT / "compose/stateful.yml").read_text())
    for name, image in images.items():
        text["services"][name]["image"] = image
    (tmp_path / "official.yml").write_text(yaml.safe_dump(text))
    path = tmp_path / "invoke.yaml"
    section = yaml.safe_load(path.read_text())
    section["cyan"]["compose"]["stateful"] = "official.yml"
    section["cyan"]["migrate"]["database"]["socket"] = "/var/run/postgresql"
    path.write_text(yaml.safe_dump(section))
    lab = Lab(tmp_path, f"{APP}-official", BARE["site"])
    try:
        lab.cyan("lab.up")
        lab.cyan("deploy", "--version", "v1")
        with lab.load() as client:
            lab.cyan("deploy", "--version", "v2")
            lab.cyan("rollback")
        client.saw_no_drop()
        assert lab.answering()[1] == "v1"
    finally:
        lab.cyan("lab.down", "--volumes", check=False)
