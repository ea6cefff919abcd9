"""Two applications on one host know nothing of each other, whoever comes, rotates or goes."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.lab.foreign_apps import DOCKER, FOLDER, PORT, VERSIONS, Foreign, foreign
from tests.lab.harness import until
from tests.lab.visitors import visitors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["foreign"]

pytestmark = pytest.mark.lab

OTHER = PORT + 1


@contextmanager
def neighbour(app: Foreign) -> Iterator[Foreign]:
    """The same application under another name and on another port, its own stack running."""
    other = replace(app, folder=app.folder.with_name("neighbour"), ssh=app.ssh + 1)
    shutil.copytree(FOLDER / app.name, other.folder)
    compose = other.folder / "compose.yaml"
    compose.write_text(compose.read_text().replace(f"cyan-foreign-{app.name}", "cyan-foreign-next"))
    (other.folder / ".env").write_text(f"PORT={OTHER}\n")
    other.run(*DOCKER, "up", "-d")
    try:
        until(lambda: other.answers(OTHER), "the neighbour answers")
        yield other
    finally:
        other.cyan("lab.down", check=False)
        other.run(*DOCKER, "down", "-v", "-t", "1", check=False)


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["chunked", "chunked@nginx"], indirect=True)
def test_nobody_notices_who_comes_next_door_rotates_at_the_same_time_and_goes(
    foreign: Foreign,
) -> None:
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    with visitors(PORT, orders=False) as ours:
        time.sleep(1)
        with neighbour(foreign) as other:
            other.adopt()
            said = other.cyan("deploy", "--version", "v1", "--take-over").stdout
            assert "nobody was refused" in said
            with visitors(OTHER, orders=False) as theirs:
                both = [
                    threading.Thread(target=deployed, args=(each, version))
                    for version in (VERSIONS[2], VERSIONS[1])
                    for each in (foreign, other)
                ]
                for pair in (both[:2], both[2:]):
                    for each in pair:
                        each.start()
                    for each in pair:
                        each.join()
            assert (theirs.failures, theirs.on_kept) == ([], [])
            assert theirs.versions == {"v1", "v2"}
            other.cyan("init", "--undo")
            until(lambda: other.answers(OTHER), "its own stack answers")
        time.sleep(1)
    assert (ours.failures, ours.on_kept) == ([], [])
    assert ours.versions == {"v1", "v2"}
    assert foreign.answers()
    foreign.cyan("deploy", "--version", "v2")


def deployed(app: Foreign, version: str) -> None:
    """Deploy it."""
    app.cyan("deploy", "--version", version)
