"""An upgrade of a shared service's definition is never a side effect."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def shared(lab: Lab) -> dict[str, str]:
    """The ids of the shared containers, by service."""
    label = "com.docker.compose"
    form = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    words = ["docker", "ps", "--filter", f"label={label}.project={lab.app}", "--format", form]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in said.splitlines())


@pytest.mark.nightly
def test_what_runs_is_made_anew_only_where_that_is_agreed_to(lab: Lab) -> None:
    lab.live("v1")
    before = shared(lab)
    assert "made anew" not in lab.cyan("provision").stdout
    text = yaml.safe_load((lab.folder / "compose/stateful.yml").read_text())
    for name in ("proxy", "database"):
        text["services"][name]["labels"]["note"] = "another definition"
    (lab.folder / "another.yml").write_text(yaml.safe_dump(text))
    files = {"stateful": "another.yml", "stateless": "compose/stateless.yml"}
    with lab.configured(compose=files):
        with lab.load() as client:
            said = " ".join(lab.cyan("provision").stdout.split())
        client.saw_no_drop()
        assert (
            "database, proxy would be made anew, being defined otherwise now, and was left" in said
        )
        assert shared(lab) == before
        lab.cyan("provision", "--recreate", "proxy")
        after = shared(lab)
        assert after["proxy"] != before["proxy"]
        assert after["database"] == before["database"]
    lab.cyan("lab.up")  # the lab's own consent
    assert shared(lab)["proxy"] != after["proxy"]
    lab.is_clean()


def test_provisioning_waits_for_no_deploy_but_says_whose_lock_it_is(lab: Lab) -> None:
    lab.live("v1")
    with lab.begun("deploy", "--version", "v2", reaching="start"):
        done = lab.cyan("provision", check=False)
    assert done.returncode == 1
    assert "is locked by" in done.stderr
    lab.cyan("deploy", "--abort", check=False)
