"""Commands of Docker Compose, tried with the real one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.engines.compose import Project
from cyan.world.envfile import env_file

if TYPE_CHECKING:
    from pathlib import Path

FILE = "services: {web: {image: 'a:${VERSION}', labels: {color: '${COLOR}', note: '${NOTE}'}}}"


def test_variables_of_the_host_do_not_beat_those_of_a_release(tmp_path: Path) -> None:
    """As a COLOR=green of /etc/environment would, for who logs in by SSH."""
    project = Project("shop-blue", PurePosixPath(tmp_path))
    (tmp_path / "compose.yml").write_text(FILE)
    (tmp_path / ".env").write_text(
        env_file({"COLOR": "blue", "VERSION": "v1", "NOTE": "it's a $note\nof two lines"})
    )
    done = subprocess.run(
        ["sh", "-c", project.config()],
        env={**os.environ, "COLOR": "green", "VERSION": "v9", "NOTE": "theirs"},
        capture_output=True,
        text=True,
        check=True,
    )
    web = json.loads(done.stdout)["services"]["web"]
    assert web["image"] == "a:v1"
    assert web["labels"] == {"color": "blue", "note": "it's a $$note\nof two lines"}
