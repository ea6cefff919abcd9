"""An application on a swarm: what its settings may say, and what its plan runs on the manager."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from cyan.application.own_stack import own_file
from cyan.application.source import OURS
from cyan.engines import colors, stack
from cyan.engines.stack import Stack
from cyan.errors import UsageError
from cyan.hosts import joining
from cyan.hosts.spread import allowed
from cyan.names import Color, Kind
from cyan.proxies import caddyfile, front
from cyan.releases import contents, images
from cyan.releases.images import ServiceImage
from cyan.rollout import plan, replicas
from cyan.rollout.planned import Request
from cyan.rollout.preflight import Level, checks
from cyan.world.host import Output
from tests.proxies.test_front import adopted
from tests.rollout import worlds
from tests.rollout.test_preflight import WELL
from tests.rollout.worlds import V1_ON_BLUE

if TYPE_CHECKING:
    from cyan.settings import Settings

CONFIG: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web": {"image": "shop/web:v2", "networks": {"default": None}, "scale": 3},
        "api": {"image": "shop/api:v2", "networks": {"default": None}},
        "jobs": {"image": "shop/web:v2", "networks": {"default": None}, "scale": 2},
        "migrate": {"image": "shop/web:v2", "networks": {"default": None}},
        "db": {"image": "postgres:17", "networks": {"default": None}},
    },
    "networks": {"default": {"name": "shop_default"}, "theirs": {"external": True}},
    OURS: {"folder": "/srv/checkout"},
}
ROLES = {"web": "web", "api": "web", "jobs": "worker", "migrate": "once", "db": "shared"}


def spread(base: Path, **changes: Any) -> Settings:
    told = {"project": "shop", "services": ROLES,
            "routes": [{"service": "web", "port": 8000, "published": 3000}]}  # fmt: skip
    return adopted(base, **{"engine": "swarm", "adopted": told, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strategy": "hold"}, "cyan.strategy is colors on a swarm"),
        ({"engine": "docker", "colors": {"blue": {"host": "a"}}}, "colors is for nodes of a swarm"),
        ({"colors": {"blue": {"host": "-a"}}}, "cyan.colors.blue.host"),
        ({"site": {"sticky": True}}, "sticky is for hosts that have colors of their own"),
        ({"proxy": "nginx", "site": {"answers_within": 3}}, "answers_within is for Caddy"),
    ],
)
def test_what_a_swarm_has_not_is_refused(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        spread(tmp_path, **changes)
    assert says in str(caught.value)


def test_a_color_is_a_stack_whose_workers_rest_until_it_is_live(tmp_path: Path) -> None:
    settings = spread(tmp_path)
    world = worlds.EMPTY
    request = Request("deploy", "v2", "ann")
    made = plan.deploy(request, world, settings, json.dumps(CONFIG))
    steps = {step.kind: step for step in made.steps}
    files = {path.rpartition("/")[2]: text for path, text in steps[Kind.FETCH].files}
    services = json.loads(files["stack.json"])["services"]
    assert {name: each["deploy"]["replicas"] for name, each in services.items()} == {
        "web-blue": 3, "api-blue": 1, "jobs-blue": 2
    }  # fmt: skip
    assert json.loads(files["resting.json"])["services"] == {
        "jobs-blue": {"deploy": {"replicas": 0}}
    }
    (start,) = steps[Kind.START].commands
    assert start.index("migrate-blue") < start.index("docker wait") < start.index("stack deploy")
    (workers,) = steps[Kind.WORKERS].commands
    assert "docker service scale -d $each=$n" in workers
    assert "shop-blue_jobs-blue" in workers
    assert "--driver overlay --attachable" in " ".join(steps[Kind.FETCH].commands)


def test_a_key_that_a_swarm_has_not_ends_a_deploy_before_anything_is_touched(
    tmp_path: Path,
) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["services"]["api"]["security_opt"] = ["no-new-privileges:true"]
    request = Request("deploy", "v2", "ann")
    with pytest.raises(UsageError, match="has nothing for api:security_opt"):
        plan.deploy(request, worlds.EMPTY, spread(tmp_path), json.dumps(config))


def test_a_color_that_has_a_node_of_its_own_is_begun_there_or_not_at_all(tmp_path: Path) -> None:
    places = {"blue": {"host": "one"}, "green": {"host": "two"}}
    settings = spread(tmp_path, colors=places)
    made = plan.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, settings, json.dumps(CONFIG))
    files = {path.rpartition("/")[2]: text for step in made.steps for path, text in step.files}
    assert files["stack.json"].count("node.hostname == two") == 3
    found = {
        ready: next(
            each
            for each in checks(V1_ON_BLUE, replace(WELL, nodes=frozenset(ready.split())), settings)
            if each.name == "node"
        )
        for ready in ("one", "one two", "two")
    }
    assert [each.level for each in found.values()] == [Level.REFUSE, Level.OK, Level.OK]
    assert found["one"].says.startswith("green runs on two, which is no node")


def test_networks_of_the_shared_services_reach_every_node(tmp_path: Path) -> None:
    settings = spread(tmp_path)
    assert settings.adopted is not None
    made = json.loads(own_file(json.dumps(CONFIG), settings.adopted, spread=True))["networks"]
    assert made["default"] == {"name": "shop_default", "driver": "overlay", "attachable": True}
    assert made["theirs"] == {"external": True}
    made = joining._networks(settings, leads=True)
    assert "--driver overlay --attachable --label cyan.app=shop shop-blue" in made
    assert "cyan.data.shop=here" in made
    assert "cyan.data" not in joining._networks(settings, leads=False)


def test_the_proxy_begins_with_the_network_that_is_its_hosts(tmp_path: Path) -> None:
    wanted = spread(tmp_path).host_proxy
    made = json.loads(front.compose_file(wanted, {"shop": ("3000",)}))
    networks = made["services"]["cyan-proxy"]["networks"]
    assert networks == {"own": {"priority": 1}, "shop-blue": None, "shop-green": None}


def test_a_replica_that_does_not_answer_is_taken_for_lost_where_that_is_said(
    tmp_path: Path,
) -> None:
    text = "".join(text for _, text in caddyfile.files(spread(tmp_path)))
    assert "response_header_timeout" not in text
    bounded = spread(tmp_path, site={"answers_within": 3})
    text = "".join(text for _, text in caddyfile.files(bounded))
    assert "response_header_timeout 3s" in text
    assert "lb_try_duration 11s" in text


@pytest.mark.parametrize(
    ("reference", "digests", "named"),
    [
        ("r:5000/shop/web:v2", ("r:5000/shop/web@sha256:a",), "r:5000/shop/web@sha256:a"),
        ("shop/web:v2", ("mirror/web@sha256:b", "shop/web@sha256:a"), "shop/web@sha256:a"),
        ("shop/web:v2", (), "shop/web:v2"),
        ("shop/web@sha256:a", ("shop/web@sha256:a",), "shop/web@sha256:a"),
    ],
)
def test_an_image_is_called_on_every_node_by_its_digest(
    reference: str, digests: tuple[str, ...], named: str
) -> None:
    image = ServiceImage("web-blue", reference, "sha256:1", digests)
    assert json.loads(images.pins([image]))["services"]["web-blue"]["image"] == named


def test_a_stack_has_what_lasts_and_its_file_is_nobody_elses_to_read(tmp_path: Path) -> None:
    project = Stack("shop-blue", PurePosixPath(tmp_path, "releases", "r1"))
    web = ServiceImage("web-blue", "shop/web:v2", "sha256:1")
    once = ServiceImage("migrate-blue", "shop/web:v2", "sha256:1")
    files = [(str(project.source), "{}"), (str(project.stack), "{}"), (str(project.resting), "{}")]
    written = contents.write(project, files, contents.EMPTY)
    for script in (written, contents.record(project, (web, once), (web,))):
        subprocess.run(["bash", "-c", script], check=True)
    modes = {each.name: each.stat().st_mode & 0o077 for each in Path(project.folder).iterdir()}
    assert modes["stack.json"] == 0
    assert modes["resting.json"] != 0
    assert json.loads(Path(project.pins).read_text()) == {
        "services": {"web-blue": {"image": "shop/web:v2"}}
    }


TASK = "task {{.Node}} {{.CurrentState}}"


def ran(folder: Path, script: str, docker: str) -> tuple[int, list[str]]:
    """Run a script with a docker of our own; its exit code, and what docker was called with."""
    called = folder / "called"
    path = folder / "docker"
    path.write_text(f'#!/bin/sh\necho "$*" >> {called}\n{docker}\n')
    path.chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    with (folder / "said").open("w") as said:
        words = ["sh", "-c", script]
        done = subprocess.run(words, env=environment, check=False, timeout=60, stderr=said)
    return done.returncode, called.read_text().splitlines()


def test_what_is_stopped_has_ended_when_the_command_returns(tmp_path: Path) -> None:
    docker = f"""
case "$*" in
  "service ls"*) echo shop-blue_web-blue ;;
  "service ps"*) [ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; echo task n1 Running; }} ;;
esac"""
    code, called = ran(tmp_path, colors.stop(spread(tmp_path), Color.BLUE, 5), docker)
    assert code == 0
    assert "service scale -d shop-blue_web-blue=0" in called
    assert sum(each.startswith("service ps") for each in called) == 2
    assert f"service ps --format {TASK} shop-blue_web-blue" in called
    assert called[-1].startswith("compose --progress quiet -p shop-blue stop")


def test_a_service_that_is_stopped_leaves_the_others_alone(tmp_path: Path) -> None:
    command = colors.stop(spread(tmp_path), Color.GREEN, None, ("jobs-green", "beat-green"))
    code, called = ran(tmp_path, command, "")
    assert code == 0
    assert called == [
        "service scale -d shop-green_jobs-green=0",
        "service scale -d shop-green_beat-green=0",
        "node ls --format node {{.Hostname}} {{.Status}}",
        f"service ps --format {TASK} shop-green_jobs-green shop-green_beat-green",
    ]


@pytest.mark.parametrize("command", [colors.stop, colors.down])
def test_what_a_lost_node_had_is_not_waited_for(tmp_path: Path, command: Any) -> None:
    docker = """
case "$*" in
  "service ls"*) echo shop-blue_web-blue ;;
  "node ls"*) echo node n1 Ready; echo node n2 Down ;;
  *" ps --format task"*) echo task n2 Running; echo task n1 Shutdown ;;
esac"""
    docker = docker if command is colors.stop else docker.replace("; echo task n1 Shutdown", "")
    code, called = ran(tmp_path, command(spread(tmp_path), Color.BLUE, 5), docker)
    assert code == 0
    assert sum(" ps --format task" in each for each in called) == 1


def test_a_stack_is_gone_when_the_command_that_removes_it_returns(tmp_path: Path) -> None:
    docker = f"""
case "$*" in
  "service ls"*) echo shop-blue_web-blue ;;
  "stack ps"*) [ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; echo task n1 Running; }} ;;
esac"""
    code, called = ran(tmp_path, colors.down(spread(tmp_path), Color.BLUE, 5), docker)
    assert code == 0
    assert "stack rm shop-blue" in called
    assert sum(each.startswith("stack ps") for each in called) == 2
    assert "down --remove-orphans" in called[-1]


def test_a_stack_that_does_not_go_is_told_of_and_its_command_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "LONGEST", 1)
    stays = '"stack ps"*) echo task n1 Running'
    docker = f'case "$*" in "service ls"*) echo shop-blue_web-blue ;; {stays} ;; esac'
    code, called = ran(tmp_path, colors.down(spread(tmp_path), Color.BLUE, 0), docker)
    assert code == 1
    assert not any("down --remove-orphans" in each for each in called)
    said = (tmp_path / "said").read_text()
    assert said == "what Docker Swarm has of shop-blue has not ended within 1 s\n"


@pytest.mark.parametrize(("code", "deployed"), [("0", True), ("3", False), ("0\n10", False)])
def test_a_stack_is_not_started_where_what_runs_once_ended_badly(
    tmp_path: Path, code: str, deployed: bool
) -> None:
    project = Stack("shop-blue", PurePosixPath(tmp_path))
    docker = f"case \"$*\" in wait*) printf '{code}\\n' ;; *'ps -aq'*) echo c1 ;; esac"
    done, called = ran(tmp_path, project.up(("migrate-blue",), within=5), docker)
    assert done == 0
    assert any(each.startswith("stack deploy") for each in called) is deployed


def test_services_are_scaled_to_what_they_were_defined_with(tmp_path: Path) -> None:
    docker = 'case "$*" in "service inspect"*) echo 3 ;; esac'
    done, called = ran(tmp_path, stack.scaled_up("shop-blue", ("jobs-blue",)), docker)
    assert done == 0
    assert called[-1] == "service scale -d shop-blue_jobs-blue=3"


CURL = """#!/bin/sh
case "$*" in
  *10.0.0.1:8000*) printf 200 ;;
  *10.0.0.2:8000*) printf 503 ;;
  *) printf 000; exit 7 ;;
esac
"""
WGET = """#!/bin/sh
echo "$*" >> called
case "$*" in
  *10.0.0.1:8000*) echo '  HTTP/1.1 301 Moved' >&2; echo '  HTTP/1.1 200 OK' >&2 ;;
  *10.0.0.2:8000*) echo '  HTTP/1.1 503 Not' >&2; exit 8 ;;
  *) echo 'wget: timed out' >&2; exit 4 ;;
esac
"""


@pytest.mark.parametrize(("program", "text"), [("curl", CURL), ("wget", WGET)])
def test_each_replica_is_asked_with_what_the_proxys_image_has(
    tmp_path: Path, program: str, text: str
) -> None:
    (tmp_path / program).write_text(text)
    (tmp_path / program).chmod(0o755)
    (tmp_path / "awk").symlink_to(shutil.which("awk") or "awk")
    public = spread(tmp_path).public.model_copy(update={"ready": "/it's ready"})
    script = replicas.asking(
        ("10.0.0.1", "10.0.0.2", "10.0.0.3"), public, {"Host": "$(touch canary)"}
    )
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    codes = [line.split() for line in done.stdout.splitlines()]
    assert [(address, int(code)) for address, code in codes] == [
        ("10.0.0.1", 200), ("10.0.0.2", 503), ("10.0.0.3", 0)
    ]  # fmt: skip
    assert not (tmp_path / "canary").exists()


class Told:
    """A host that says what it is told to."""

    name = "root@manager:22"

    def __init__(self, swarm: dict[str, Any], driver: str) -> None:
        self._swarm, self._driver = swarm, driver

    def run(self, command: str, *, check: bool = True) -> Output:
        del check
        said = json.dumps(self._swarm) if "docker info" in command else self._driver
        return Output(said, "", 0)


@pytest.mark.parametrize("driver", ["", "overlay"])
def test_a_manager_whose_networks_reach_its_nodes_may_have_it(tmp_path: Path, driver: str) -> None:
    host: Any = Told({"ControlAvailable": True, "LocalNodeState": "active"}, driver)
    allowed(host, spread(tmp_path), json.dumps(CONFIG))


@pytest.mark.parametrize(
    ("swarm", "driver", "says", "todo"),
    [
        ({"LocalNodeState": "inactive"}, "", "is no manager of a swarm (its engine says: inactive)",
         "docker swarm init"),
        ({"LocalNodeState": "active", "ControlAvailable": False}, "", "says: active", "swarm join"),
        ({"ControlAvailable": True}, "bridge", "network of root@manager:22 alone (bridge)",
         "docker compose down there, once"),
    ],
)  # fmt: skip
def test_what_cannot_be_spread_is_refused_before_anything_is_touched(
    tmp_path: Path, swarm: dict[str, Any], driver: str, says: str, todo: str
) -> None:
    host: Any = Told(swarm, driver)
    with pytest.raises(UsageError) as caught:
        allowed(host, spread(tmp_path), json.dumps(CONFIG))
    assert says in str(caught.value)
    assert todo in str(caught.value.todo)
