"""The proxy that stands in for another: its file, its ports, and its scripts."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from cyan.hosts.handover import UNTOUCHED
from cyan.hosts.upgrade import Port, Upgrade, ports_of, standing_in
from cyan.proxies.configuration import Configuration

if TYPE_CHECKING:
    from pathlib import Path

RESOLVED = json.dumps(
    {
        "name": "demo",
        "services": {
            "proxy": {
                "image": "caddy:2",
                "container_name": "the-proxy",
                "depends_on": {"database": {"condition": "service_started"}},
                "labels": {"cyan.app": "demo"},
                "restart": "unless-stopped",
                "networks": {"blue": None, "green": None},
                "ports": [
                    {"target": 8080, "published": "80", "host_ip": "0.0.0.0", "protocol": "tcp"},
                    {"target": 8443, "published": "8443", "host_ip": "10.0.0.1"},
                    {"target": 8001, "published": "8001", "host_ip": "127.0.0.1"},
                ],
                "volumes": [
                    {"type": "bind", "source": "/srv/demo/shared/proxy", "target": "/etc/caddy"},
                    {"type": "volume", "source": "certificates", "target": "/data"},
                ],
            },
            "database": {"image": "postgres:17"},
        },
        "networks": {"blue": {"name": "demo-blue"}, "green": {"name": "demo-green"}},
        "volumes": {"certificates": {"name": "demo-certificates"}},
    }
)
DOORS = (8001, 8002)


def test_a_stand_in_reads_what_is_new_on_ports_that_are_free_and_is_taken_for_nobody() -> None:
    made = json.loads(standing_in(RESOLVED, "proxy", "/srv/demo/shared/proxy", DOORS))
    assert [*made["services"]] == ["proxy"]
    proxy = made["services"]["proxy"]
    assert proxy["image"] == "caddy:2"
    assert not proxy.keys() & {"container_name", "depends_on", "labels"}
    assert proxy["restart"] == "no"
    assert proxy["ports"] == [
        {"target": 8080, "host_ip": "0.0.0.0", "protocol": "tcp"},
        {"target": 8443, "host_ip": "10.0.0.1"},
    ]
    assert [each["source"] for each in proxy["volumes"]] == [
        "/srv/demo/shared/proxy/.new",
        "certificates",
    ]
    assert made["networks"]["blue"] == {"name": "demo-blue", "external": True}
    assert made["volumes"]["certificates"] == {"name": "demo-certificates", "external": True}


def test_what_users_reach_is_redirected_and_no_door() -> None:
    assert ports_of(RESOLVED, "proxy", DOORS) == (Port("", 80, 8080), Port("10.0.0.1", 8443, 8443))


def test_both_scripts_are_a_shells_words_whatever_the_folder_is_called() -> None:
    folder = '/srv/it\'s a "shop" $HOME'
    made = Upgrade(
        project="shop",
        main="docker compose -p demo",
        second="docker compose -p demo-second -f x",
        service="proxy",
        network="demo-blue",
        ports=ports_of(RESOLVED, "proxy", DOORS),
        configuration=Configuration(folder, "m", DOORS, (("Caddyfile", "it's\n:80\n"),)),
        files=((f"{folder}/compose.yml", "services: {}\n"),),
        second_file=(f"{folder}/second.json", "{}"),
    )
    for script in (made.stand_in, made.script):
        subprocess.run(["bash", "-n", "-c", script], check=True)
    assert made.script.index("docker update --restart always") < made.script.index('ends "$(docker')


def test_without_room_to_go_back_nothing_is_stopped(tmp_path: Path) -> None:
    files = ((str(tmp_path / "compose.yml"), "new"),)
    (tmp_path / "compose.yml").write_text("old")
    (tmp_path / "bin").mkdir()
    for name, does in {
        "docker": f"echo $* >>{tmp_path}/calls; case $* in *'ps -q'*) echo c1;; esac",
        "iptables": "true",
        "cp": "false",
        "sleep": "true",
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    made = Upgrade(
        project="shop",
        main="docker main",
        second="docker second",
        service="proxy",
        network="demo-blue",
        ports=(),
        configuration=Configuration(str(tmp_path / "config"), "m", DOORS, ()),
        files=files,
        second_file=(str(tmp_path / "second.json"), "{}"),
    )
    done = subprocess.run(
        ["bash", "-c", made.script],
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == UNTOUCHED
    calls = (tmp_path / "calls").read_text()
    assert "stop" not in calls
    assert "main up" not in calls
    assert (tmp_path / "compose.yml").read_text() == "old"
