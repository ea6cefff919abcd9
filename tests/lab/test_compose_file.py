"""What the user's Compose file says is held to: names, volumes, grace, what a service waits for."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab


def changed(lab: Lab, change: Callable[[dict[str, Any]], object]) -> dict[str, str]:
    """The setting of a Compose file like the project's, with a change."""
    text = yaml.safe_load((lab.folder / "compose/stateless.yml").read_text())
    change(text)
    (lab.folder / "changed.yml").write_text(yaml.safe_dump(text))
    return {"stateful": "compose/stateful.yml", "stateless": "changed.yml"}


def with_uploads(text: dict[str, Any]) -> None:
    text["services"]["rag"]["volumes"] = ["uploads:/uploads", "./data:/data"]
    text["volumes"] = {"uploads": {}}


def waiting_for_rag(text: dict[str, Any]) -> None:
    """Rag never gets healthy, and platform is not started before."""
    text["services"]["rag"]["healthcheck"] = {
        "test": ["CMD", "false"],
        "interval": "1s",
        "start_period": "300s",
    }
    text["services"]["platform"]["depends_on"] = {"rag": {"condition": "service_healthy"}}


def test_what_would_fork_between_the_colors_is_refused_before_anything_is_touched(lab: Lab) -> None:
    lab.live("v1")
    before = lab.states()
    with lab.configured(compose=changed(lab, with_uploads)):
        done = lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "rag.volumes: uploads would be another volume for each color" in done.stderr
    assert "rag.volumes: ./data lies in the release's folder" in done.stderr
    assert lab.states() == before
    lab.is_clean()


def test_a_start_that_waits_for_ever_ends_at_the_health_timeout_and_leaves_nothing(
    lab: Lab,
) -> None:
    lab.live("v1")
    patient = {"timeout": 8.0, "interval": 0.3, "passes": 2}
    began = time.monotonic()
    with lab.configured(compose=changed(lab, waiting_for_rag), health=patient):
        done = lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "did not start within 8 s" in done.stderr
    assert time.monotonic() - began < 60  # and not the five minutes that Compose would wait
    lab.is_clean()


def test_a_drain_of_half_a_second_kills_no_container_that_would_end_by_itself(lab: Lab) -> None:
    lab.live("v1")
    since = f"{time.time():.3f}"
    with lab.configured(drain={"timeout": 0.5, "settle": 0.1}, warm={"services": "none"}):
        lab.cyan("deploy", "--version", "v2")
    words = ["docker", "events", "--since", since, "--until", f"{time.time():.3f}"]
    words += ["--filter", "event=die", "--filter", f"label=cyan.app={lab.app}"]
    said = subprocess.run(
        [*words, "--format", "{{json .Actor.Attributes}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ended = [json.loads(line) for line in said.splitlines()]
    assert {each["com.docker.compose.service"] for each in ended} >= {"platform", "rag", "crawler"}
    assert "137" not in {each["exitCode"] for each in ended}
    lab.is_clean()


BEGINS_AGAIN = (
    "test -e /logs/began-$$COLOR || { touch /logs/began-$$COLOR; exit 1; }; exec python3 -m uvicorn"
    " rag_app:app --host 0.0.0.0 --port 8000 --no-access-log --timeout-keep-alive 65"
)


def with_a_job(text: dict[str, Any]) -> None:
    """A job that runs once before platform, and a service whose first start fails."""
    services = text["services"]
    services["prepare"] = {
        **{key: value for key, value in services["crawler"].items() if key != "healthcheck"},
        "command": ["true"],
        "restart": "no",
    }
    services["platform"]["depends_on"] = {
        "prepare": {"condition": "service_completed_successfully"}
    }
    services["rag"]["command"] = ["sh", "-c", BEGINS_AGAIN]


@pytest.mark.nightly
def test_a_job_that_ran_once_and_one_restart_at_the_start_fail_no_deploy(lab: Lab) -> None:
    lab.live("v1")
    for path in (lab.folder / ".lab/host/logs").glob("began-*"):
        path.unlink()
    services = ["platform", "rag", "crawler", "prepare"]
    with lab.configured(compose=changed(lab, with_a_job), stateless=services):
        lab.cyan("deploy", "--version", "v2")
        assert lab.answering()[1] == "v2"
        color = lab.answering()[0]
        assert lab.inspected(color, "{{.RestartCount}}")["rag"] == "1"
        assert lab.inspected(color, "{{.State.Status}}")["prepare"] == "exited"
        assert "drift" not in lab.cyan("status").stdout
        lab.cyan("deploy", "--version", "v1")
        lab.cyan("rollback")
        assert lab.answering()[1] == "v2"
    lab.live("v1")
