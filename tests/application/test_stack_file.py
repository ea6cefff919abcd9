"""A color as a stack of Swarm: nothing of it is lost in silence, and Docker takes what is made."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cyan.adopted import AdoptedSettings
from cyan.application.color import Mould, color_file
from cyan.application.source import OURS
from cyan.application.stack_file import only, resting, stack_file
from cyan.errors import UsageError
from cyan.names import Color
from tests.adoption import wild
from tests.application.test_color import CONFIG, mould

if TYPE_CHECKING:
    from pathlib import Path

NEEDS_DOCKER = pytest.mark.skipif(not shutil.which("docker"), reason="docker is not installed")


def color(**changes: dict[str, Any]) -> str:
    """The color's file with services changed, by name."""
    services = {
        name: {**each, **changes.get(name, {})} for name, each in CONFIG["services"].items()
    }
    made = replace(mould(), quick=True, linked=False)
    return color_file(json.dumps({**CONFIG, "services": services}), made)


def stack(without: tuple[str, ...] = (), **changes: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(stack_file(color(**changes), "shop", "r1", without=without))
    return made


def web(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = stack(web=changes)["services"]["web-blue"]
    return found


def test_a_service_has_no_address_of_its_own_and_is_never_replaced_by_halves() -> None:
    deploy = web()["deploy"]
    assert deploy["endpoint_mode"] == "dnsrr"
    assert deploy["update_config"] == {"parallelism": 0, "failure_action": "pause"}
    assert deploy["replicas"] == 1
    labels = {"cyan.app": "shop", "cyan.color": "blue", "cyan.release": "r1", "cyan.service": "web"}
    assert labels.items() <= deploy["labels"].items()
    assert labels.items() <= web()["labels"].items()


def test_how_many_there_are_is_known_while_there_are_none() -> None:
    assert stack()["services"]["jobs-blue"]["deploy"]["labels"]["cyan.replicas"] == "3"
    assert json.loads(resting(["jobs-blue"])) == {
        "services": {"jobs-blue": {"deploy": {"replicas": 0}}}
    }
    assert web(scale=2)["deploy"]["replicas"] == 2


@pytest.mark.parametrize(
    ("given", "restarts"),
    [(None, "any"), ("always", "any"), ("unless-stopped", "any"), ("no", "none"),
     ("on-failure", "on-failure")],
)  # fmt: skip
def test_when_it_is_begun_again_is_translated(given: str | None, restarts: str) -> None:
    assert web(restart=given)["deploy"]["restart_policy"]["condition"] == restarts


def test_limits_and_temporary_folders_are_translated() -> None:
    made = web(
        mem_limit="536870912",
        cpus=0.5,
        pids_limit=100,
        tmpfs=["/tmp:size=16m,mode=1777", "/run"],
        shm_size="67108864",
    )
    assert made["deploy"]["resources"]["limits"] == {
        "memory": "536870912", "cpus": "0.5", "pids": 100
    }  # fmt: skip
    temporary = [each for each in made["volumes"] if each["type"] == "tmpfs"]
    assert temporary == [
        {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": 16 << 20}},
        {"type": "tmpfs", "target": "/run"},
        {"type": "tmpfs", "target": "/dev/shm", "tmpfs": {"size": 64 << 20}},
    ]


def test_what_keeps_data_runs_where_they_are_and_the_rest_anywhere() -> None:
    made = stack()["services"]
    assert made["web-blue"]["deploy"]["placement"] == {
        "constraints": ["node.labels.cyan.data.shop == here"]
    }
    assert "placement" not in made["api-blue"]["deploy"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("security_opt", ["no-new-privileges:true"]), ("privileged", True), ("devices", ["/dev/kvm"]),
     ("network_mode", "host"), ("pid", "host"), ("group_add", ["4"]), ("what_is_new", 1)],
)  # fmt: skip
def test_a_key_that_would_be_lost_is_named_unless_it_may_be(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"has nothing for web:{key}, and would") as caught:
        stack(web={key: value})
    assert f"cyan.adopted.without: [web:{key}]" in str(caught.value.todo)
    assert key not in stack((f"web:{key}",), web={key: value})["services"]["web-blue"]


def test_a_job_and_a_config_that_is_no_file_are_named_as_well() -> None:
    with pytest.raises(UsageError, match=r"web:deploy\.mode"):
        stack(web={"deploy": {"mode": "global-job"}})
    text = json.loads(color())
    text["secrets"] = {"key": {"environment": "KEY"}}
    with pytest.raises(UsageError, match="secrets:key"):
        stack_file(json.dumps(text), "shop", "r1")


def test_a_color_may_have_a_node_of_its_own_unless_what_it_mounts_is_elsewhere() -> None:
    plain = color(web={"volumes": []})
    made = json.loads(stack_file(plain, "shop", "r1", node="two"))["services"]
    placed = [each["deploy"]["placement"]["constraints"] for each in made.values()]
    assert placed == [["node.hostname == two"]] * len(made)
    anywhere = json.loads(stack_file(plain, "shop", "r1"))["services"]
    assert not any("placement" in each["deploy"] for each in anywhere.values())
    with pytest.raises(UsageError, match="web-blue would run on two only"):
        stack_file(color(), "shop", "r1", node="two")  # it mounts a file


def test_secrets_are_named_after_the_release_for_they_cannot_be_changed() -> None:
    assert stack()["secrets"]["key"]["name"] == "shop-key-r1"


def test_what_runs_once_is_left_out() -> None:
    kept = json.loads(only(color(), {"web-blue"}))
    assert set(kept["services"]) == {"web-blue"}
    assert kept["networks"] == json.loads(color())["networks"]


@NEEDS_DOCKER
@pytest.mark.skipif(
    not (wild.WILD / "SOURCES.tsv").exists(), reason="CYAN_WILD names no folder of Compose files"
)
def test_docker_takes_the_stack_of_every_file_that_others_wrote(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    room = tmp_path_factory.mktemp("wild")
    taken = 0
    for entry in wild.entries():
        folder, config = wild.resolved(entry, room)
        if config is None or not config["services"]:
            continue
        names = list(config["services"])
        adopted = AdoptedSettings.model_validate(
            {
                "project": config["name"],
                "services": dict.fromkeys(names, "web"),
                "routes": [{"service": names[0], "port": 80}],
            }
        )
        made = Mould("shop", Color.BLUE, "v1", "r1", "ann", adopted, 40, quick=True, linked=False)
        text = color_file(json.dumps({**config, OURS: {"folder": str(folder)}}), made)
        try:
            lost: list[str] = []
            stack_file(text, "shop", "r1")
        except UsageError as error:
            lost = str(error.todo).partition("[")[2].rstrip("]").split(", ")
        accepted(folder / "stack.json", stack_file(text, "shop", "r1", without=lost))
        taken += 1
    assert taken > 100


@NEEDS_DOCKER
def test_docker_takes_what_is_translated(tmp_path: Path) -> None:
    given = {"mem_limit": "1g", "cpus": 0.5, "tmpfs": "/tmp", "shm_size": "1000", "restart": "no"}
    accepted(tmp_path / "stack.json", json.dumps(stack(web=given, api={"deploy": {"replicas": 2}})))


def accepted(path: Path, text: str) -> None:
    path.write_text(text)
    words = ("docker", "stack", "config", "-c", str(path))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
