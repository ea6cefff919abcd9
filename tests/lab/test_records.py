"""A release is judged and rolled back to by what it was deployed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def without_crawler(folder: Path) -> str:
    """The name of a Compose file without the crawler, made from the project's."""
    text = yaml.safe_load((folder / "compose/stateless.yml").read_text())
    del text["services"]["crawler"]
    (folder / "two.yml").write_text(yaml.safe_dump(text))
    return "two.yml"


@pytest.mark.nightly
def test_a_rollback_past_a_release_that_added_a_service_goes_to_the_warm_one(lab: Lab) -> None:
    fewer = {"stateful": "compose/stateful.yml", "stateless": without_crawler(lab.folder)}
    lab.live("v1")
    with lab.configured(stateless=["platform", "rag"], compose=fewer):
        lab.cyan("deploy", "--version", "v2")
    before = lab.containers(lab.answering()[0])
    lab.cyan("deploy", "--version", "v3")
    with lab.load() as client:
        lab.cyan("rollback")
    client.saw_no_drop()
    assert lab.answering()[1] == "v2"
    assert lab.containers(lab.answering()[0]) == before
    lab.is_clean()


@pytest.mark.nightly
def test_a_rollback_that_cannot_be_leaves_the_warm_color_as_it_was_found(lab: Lab) -> None:
    lab.live("v1")
    lab.cyan("deploy", "--version", "v2")
    warm = "green" if lab.answering()[0] == "blue" else "blue"
    lab.stops(warm, "rag")
    before = lab.containers(warm)
    hook = {"before": "switch", "run": "exit 9"}
    with lab.configured(hooks=[hook]):
        done = lab.cyan("rollback", check=False)
    assert done.returncode == 1
    assert "left as it was found" in done.stderr
    assert set(lab.containers(warm)) == set(before)
    assert lab.inspected(warm, "{{.State.Status}}") == {
        "platform": "running",
        "rag": "exited",
        "crawler": "running",
    }
    assert lab.answering()[1] == "v2"
