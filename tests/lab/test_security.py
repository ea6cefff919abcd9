"""What the running containers may do, who can reach what, and a deploy from a hostile directory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import Phase, example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from cyan.engines import compose
from cyan.lab import ports, sshd
from cyan.sections import HostSettings
from cyan.world.envfile import env_file
from cyan.world.host import Host
from tests.conftest import APP, BARE, PORTS, project_at
from tests.lab.harness import COMMAND, settings_section
from tests.shell import WORDS

if TYPE_CHECKING:
    from tests.lab.harness import Lab

pytestmark = pytest.mark.lab
PROJECT = Path(__file__).parent.parent.parent
ASKS = (
    "import sys, urllib.request as r\n"
    "q = r.Request(sys.argv[1], headers={'Host': 'localhost:2019'})\n"
    "print(r.urlopen(q, timeout=5).read())"
)
"""As an application would that was taken over, with the Host header that the admin API wants."""


def docker(*words: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=check)
    return done.stdout + ("" if check else done.stderr)


@pytest.fixture
def running(lab: Lab) -> dict[str, dict[str, Any]]:
    """What the engine says of every container of the application, by service."""
    lab.live("v1")
    ids = docker("ps", "-q", "--filter", f"label=cyan.app={lab.app}").split()
    found = json.loads(docker("inspect", *ids))
    return {item["Config"]["Labels"]["com.docker.compose.service"]: item for item in found}


def test_every_container_runs_as_an_ordinary_user_and_cannot_become_another(
    running: dict[str, dict[str, Any]],
) -> None:
    assert running.keys() == {"database", "proxy", "platform", "rag", "crawler"}
    for item in running.values():
        # what really runs, and not only what is configured: the user id of every process
        users = docker("top", item["Id"], "-eo", "pid,uid,comm").splitlines()[1:]
        assert users
        assert not [line for line in users if line.split()[1] == "0"], (item["Name"], users)
        assert item["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
        assert item["HostConfig"]["CapDrop"] == ["ALL"]
        assert not item["HostConfig"]["Privileged"]


ALLOWED = {
    "proxy": ["NET_BIND_SERVICE"],
    # the official image begins as root; what runs is postgres, to whom they give nothing
    "database": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
}


def test_no_container_can_write_to_its_root_or_has_more_capabilities_than_it_needs(
    running: dict[str, dict[str, Any]],
) -> None:
    for name, item in running.items():
        assert item["HostConfig"]["ReadonlyRootfs"], name
        wrote = docker("exec", "-u", "0", item["Id"], "touch", "/usr/written", check=False)
        assert "Read-only file system" in wrote
        allowed = ALLOWED.get(name, [])
        added = [word.removeprefix("CAP_") for word in item["HostConfig"]["CapAdd"] or []]
        assert added == allowed


def test_only_the_proxy_publishes_ports_and_only_on_loopback(
    running: dict[str, dict[str, Any]],
) -> None:
    for name, item in running.items():
        bound = [
            where for each in (item["HostConfig"]["PortBindings"] or {}).values() for where in each
        ]
        assert {where["HostIp"] for where in bound} == ({"127.0.0.1"} if name == "proxy" else set())
    published = {
        int(where["HostPort"])
        for each in running["proxy"]["HostConfig"]["PortBindings"].values()
        for where in each
    }
    assert published == {PORTS[name] for name in ("site", "tls", "blue", "green")}


def test_production_publishes_nothing_on_a_public_address_but_the_site() -> None:
    stateful = yaml.safe_load((PROJECT / "compose/stateful.yml").read_text())["services"]
    stateless = yaml.safe_load((PROJECT / "compose/stateless.yml").read_text())["services"]
    ports = {name: body.get("ports", []) for name, body in {**stateful, **stateless}.items()}
    assert {name for name, found in ports.items() if found} == {"proxy"}
    public = [port for port in ports["proxy"] if not port.startswith("127.0.0.1:")]
    assert public == [
        "${SITE_BIND}${HTTP_PORT}:${HTTP_PORT}",
        "${SITE_BIND}${TLS_PORT}:${TLS_PORT}",
    ]


def test_the_application_cannot_reach_the_proxys_admin_api(
    running: dict[str, dict[str, Any]],
) -> None:
    addresses = [
        network["IPAddress"] for network in running["proxy"]["NetworkSettings"]["Networks"].values()
    ]
    for name in ("platform", "rag", "crawler"):
        asks = ("exec", running[name]["Id"], "python3", "-c", ASKS)
        assert "cyan" in docker(*asks, f"http://proxy:{PORTS['site']}/")  # the way there is open
        for address in ("proxy", *addresses):
            answer = docker(*asks, f"http://{address}:2019/config/", check=False)
            assert "Connection refused" in answer or "timed out" in answer, answer
    inside = docker("exec", running["proxy"]["Id"], "curl", "-fsS", "http://localhost:2019/config/")
    assert "reverse_proxy" in inside


def test_no_agent_is_forwarded_whatever_the_users_own_configuration_says(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        "Host *\n  ForwardAgent yes\n  StrictHostKeyChecking no\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    machine = HostSettings(
        address="127.0.0.1",
        port=PORTS["ssh"],
        identity=lab.folder / ".lab/client_key",
        known_hosts=lab.folder / ".lab/known_hosts",
    )
    with Host(machine) as host:
        assert host._connection.ssh_config["forwardagent"] == "yes"  # it was read
        assert host._connection.forward_agent is False
        assert host.run("echo agent=$SSH_AUTH_SOCK").stdout == "agent=\n"


HOSTILE = """it's "$HOME" `id` \\ a'b;é #%h"""


@pytest.mark.nightly
def test_a_project_in_a_hostile_directory_deploys_rolls_back_and_is_removed(bare: Path) -> None:
    """Everything that reaches a shell, Compose, sshd or Caddy at once; and hostile values."""
    folder = bare / HOSTILE
    folder.mkdir()
    project_at(folder, f"{APP}-bare", BARE)
    (folder / "compose").unlink()
    shutil.copytree(PROJECT / "compose", folder / "compose")
    color = folder / "compose/stateless.yml"
    text = color.read_text()
    color.write_text(text.replace("FAULT: ${FAULT:-}", "FAULT: ${FAULT:-}\n    NOTE: ${NOTE:-}"))
    for parent in (folder, *folder.parents):
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)

    def cyan(*words: str) -> str:
        done = subprocess.run(
            [*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    try:
        cyan("lab.up")
        cyan("deploy", "--version", "v1", "--env", f"NOTE={HOSTILE}\\")
        (item,) = docker("ps", "-q", "--filter", f"name={APP}-bare-blue-rag").split()
        (inspected,) = json.loads(docker("inspect", item))
        assert f"NOTE={HOSTILE}\\" in inspected["Config"]["Env"]
        cyan("deploy", "--version", "v2")
        cyan("cleanup")
        cyan("rollback")
        assert "live is blue v1" in cyan("status")
        (item,) = docker("ps", "-q", "--filter", f"name={APP}-bare-blue-rag").split()
        (inspected,) = json.loads(docker("inspect", item))
        assert f"NOTE={HOSTILE}\\" in inspected["Config"]["Env"]
        cyan("reset", "--yes")
    finally:
        cyan("lab.down", "--volumes")
    assert ports.holder(BARE["ssh"]) is None


@pytest.mark.nightly
def test_the_labs_sshd_runs_in_a_hostile_directory_and_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE
    sshd.start(folder, BARE["ssh"])
    assert sshd.running(folder)
    assert "already listens" in sshd.start(folder, BARE["ssh"])
    assert sshd.stop(folder)
    assert ports.holder(BARE["ssh"]) is None
    words = [sshd._sshd(), "-T", "-f", str(folder / "sshd_config")]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"pidfile {folder}/sshd.pid" in said
    assert f"hostkey {folder}/host_key" in said
    assert "allowagentforwarding no" in said


AWKWARD = [
    HOSTILE,
    "\\",
    "a\\\\\\",
    "'\\",
    "\\'",
    "a\nb\\",
    "\\n'",
    "$$'",
    "${A}'\n",
    "'$(",
    "\r'\r",
]


@tried(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(WORDS, min_size=60, max_size=60))
@example(AWKWARD)
def test_compose_gives_every_value_of_an_env_file_literally(found: list[str]) -> None:
    """A batch of hostile values at once, read by the real Compose; `$$` is how it writes a `$`."""
    values = {f"V{number}": value for number, value in enumerate(found)}
    service = {"image": "x", "environment": {key: f"${{{key}}}" for key in values}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "compose.yml").write_text(yaml.safe_dump({"services": {"x": service}}))
        (folder / ".env").write_bytes(env_file(values).encode())
        command = compose.Project("hostile", PurePosixPath(name)).command("config", "--format=json")
        read = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout
    environment = json.loads(read)["services"]["x"]["environment"]
    assert {key: text.replace("$$", "$") for key, text in environment.items()} == values


def deploys(lab: Lab, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """What the workflow's script does, on a runner that knows nothing but what it is given."""
    project_at(folder, APP, PORTS)
    section = settings_section(folder)
    section["directory"] = str(lab.folder / ".lab/host")
    for key in ("identity", "known_hosts"):
        del section["hosts"][0][key]
    (folder / "invoke.yaml").write_text(yaml.safe_dump({"cyan": section}))
    (folder / "tasks.py").symlink_to(PROJECT / "tasks.py")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".ci").mkdir()
    shutil.copy(PROJECT / ".ci/deploy", folder / ".ci")
    (folder / "home").mkdir()
    keys = lab.folder / ".lab"
    values = {
        "VERSION": "v1",
        "HOST": "127.0.0.1",
        "DEPLOY_KEY": (keys / "client_key").read_text(),
        "KNOWN_HOSTS": (keys / "known_hosts").read_text(),
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(PROJECT),
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(
        [folder / ".ci/deploy"],
        env={**values, **given},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.nightly
def test_the_deploy_workflow_deploys_with_a_key_that_is_never_on_a_disk(
    lab: Lab, tmp_path: Path
) -> None:
    lab.live("v2")
    done = deploys(lab, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.answering()[1] == "v1"
    assert [path.name for path in (tmp_path / "home/.ssh").iterdir()] == ["known_hosts"]
    assert "PRIVATE KEY" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"KNOWN_HOSTS": "[127.0.0.1]:1 ssh-ed25519 AAAA"}, 1, "not found in known_hosts"),
        ({"KNOWN_HOSTS": ""}, 2, "KNOWN_HOSTS is not set"),
        ({"VERSION": "$(reboot)"}, 2, "is not a tag"),
        ({"HOST": "--help"}, 2, "is none of cyan.hosts"),
    ],
)
def test_the_deploy_workflow_refuses_what_it_does_not_know(
    lab: Lab, tmp_path: Path, given: dict[str, str], code: int, said: str
) -> None:
    before = lab.answering()
    done = deploys(lab, tmp_path, **given)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert lab.answering() == before
