"""Whose port it is, which names would be mistaken for another's; and the scripts are a shell's."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cyan.adopted import HostProxySettings
from cyan.errors import UsageError
from cyan.hosts import joining
from cyan.hosts.handover import Handover, redirecting
from cyan.hosts.sharing import Holder, Joined, Seen, to_publish
from cyan.names import Server
from cyan.proxies.configuration import Configuration
from tests.proxies.test_front import adopted
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

OURS = {"container": "c1", "project": "shop", "name": "shop-web-1"}


def seen(*holders: Holder, **joined: Joined) -> Seen:
    return Seen(
        {name.replace("_", "-"): each for name, each in joined.items()}, "p1", holders, frozenset()
    )


def test_a_port_is_published_where_it_is_free_and_taken_over_where_the_own_stack_has_it(
    tmp_path: Path,
) -> None:
    assert to_publish(adopted(tmp_path), seen()) == (("3000",), ())
    own = Holder(3000, service="web", **OURS)
    assert to_publish(adopted(tmp_path), seen(own)) == ((), (own,))
    front = Holder(3000, "c9", "cyan-proxy", "cyan-proxy", "cyan-proxy-1")
    assert to_publish(adopted(tmp_path), seen(front)) == (("3000",), ())


@pytest.mark.parametrize(
    ("holder", "says"),
    [
        (Holder(3000, name='users:(("sshd",pid=1,fd=3))'), "is held by a process, users"),
        (Holder(3000, "c2", "blog", "web", "blog-web-1"), "is held by the container blog-web-1"),
        (Holder(3000, service="db", **OURS), "shop-web-1, which stays as it is"),
    ],
)
def test_a_port_of_another_is_refused(tmp_path: Path, holder: Holder, says: str) -> None:
    with pytest.raises(UsageError, match="port 3000 ") as caught:
        to_publish(adopted(tmp_path), seen(holder))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("app", "others", "says"),
    [
        ("shop-blue", {"shop": Joined("/srv/x", (), ())}, "could be mistaken for shop"),
        ("shop", {"shop_green_x": Joined("/srv/x", (), ())}, "could be mistaken for shop-green-x"),
        ("shop", {"shop": Joined("/srv/other", (), ())}, "another application is called shop"),
        ("shop", {"blog": Joined("/srv/x", (), ("http://:3000",))}, "is the site of blog already"),
        ("shop", {"blog": Joined("/x", (), (), (), Server.NGINX)}, "nginx, on which blog counts"),
    ],
)
def test_what_would_be_mistaken_for_another_is_refused(
    tmp_path: Path, app: str, others: dict[str, Joined], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        to_publish(adopted(tmp_path, app=app), seen(**others))
    assert says in str(caught.value)


def test_a_proxy_that_reads_other_files_is_refused_before_any_is_written(tmp_path: Path) -> None:
    theirs = replace(seen(), markers="/srv/other/traffic")
    with pytest.raises(UsageError, match="runs with /srv/other, and not with ") as caught:
        to_publish(adopted(tmp_path), theirs)
    assert "cyan.host_proxy.directory: /srv/other" in str(caught.value.todo)
    directory = adopted(tmp_path).host_proxy.directory
    mine = replace(seen(), markers=f"{directory}/traffic")
    assert to_publish(adopted(tmp_path), mine) == (("3000",), ())


def test_others_and_oneself_are_no_collision(tmp_path: Path) -> None:
    mine = Joined("/srv/cyan/shop", ("3000",), ("http://:3000",))
    blog = Joined("/srv/cyan/blog", ("80",), ("http://:80",))
    assert to_publish(adopted(tmp_path), seen(shop=mine, blog=blog)) == (("3000",), ())


HOSTILE = ("$(touch canary)", "a;touch canary", "it's")


def test_the_scripts_of_a_handover_are_a_shells_and_name_no_command_of_anothers(
    tmp_path: Path,
) -> None:
    wanted = HostProxySettings(directory=tmp_path / "a b")
    move = Handover(
        wanted, {"shop": ("3000",)}, ("3000", "127.0.0.1:90"), HOSTILE, HOSTILE, 10, "true"
    )
    for script in (move.script, move.slow):
        done = subprocess.run(
            ["bash", "-n"], input=script, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "'$(touch canary)'" in script
    assert 'redirect 90 "127.0.0.1"' in move.script
    assert move.script.index("redirect 3000") < move.script.index("docker stop")
    assert move.script.index("docker stop") < move.script.index("docker start")


def test_a_proxy_removes_its_own_redirections_and_no_other_proxys(tmp_path: Path) -> None:
    made = "-A PREROUTING -p tcp --dport 80 -m comment --comment cyan-handover--"
    rules = [f"{made}{project} -j DNAT --to-destination 1.2.3.4:80" for project in ("a", "a-b")]
    (tmp_path / "rules").write_text("\n".join([*rules, "-P PREROUTING ACCEPT", ""]))
    told = f'*-S) cat {tmp_path}/rules ;; *) echo "$*" >>{tmp_path}/ran ;;'
    (tmp_path / "iptables").write_text(f'#!/bin/sh\ncase "$*" in {told} esac')
    (tmp_path / "iptables").chmod(0o755)
    script = f"as=; {redirecting('a')} unredirect"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-c", script], env=environment, check=True)
    ran = (tmp_path / "ran").read_text().splitlines()
    assert ran == [f"-w 5 -t nat -D{rules[0][2:]}"]


def test_what_is_put_is_kept_beside_what_others_have(tmp_path: Path) -> None:
    def run(command: str) -> int:
        return subprocess.run(["bash", "-c", command], check=False).returncode

    folder = tmp_path / "config"
    (folder / "apps").mkdir(parents=True)
    (folder / "apps/blog.caddy").write_text("blog")
    files: dict[str, Any] = {"Caddyfile": "import apps/*\n", "apps/shop.caddy": "it's $HOME"}
    wanted = Configuration(str(folder), str(tmp_path), (8009,), tuple(files.items()))
    assert run(wanted.same()) != 0
    assert run(wanted.put()) == 0
    assert (folder / ".new/apps/blog.caddy").read_text() == "blog"
    assert run(wanted.same()) != 0, "it is not what the proxy reads yet"
    assert run(wanted.keep()) == 0
    assert run(wanted.same()) == 0
    assert not (folder / ".new").exists()
    for name, text in {**files, "apps/blog.caddy": "blog"}.items():
        assert (folder / name).read_text() == text


@pytest.mark.parametrize("held", ["", "/srv/it's held"])
def test_the_second_proxy_is_asked_for_by_its_file_however_its_folder_is_called(
    tmp_path: Path, held: str
) -> None:
    machine, folder = Machine(tmp_path), tmp_path / "it's $HOME"
    folder.mkdir()
    for name in ("iptables", "ip6tables", "sleep"):  # this machine's own are not to be touched
        machine.program(name, "true")
    move = Handover(HostProxySettings(directory=folder), {}, (), held=held)
    machine.run(move.script, check=False)
    asked = [call for call in machine.calls if "cyan-proxy-second" in call]
    assert {call[call.index("-f") + 1] for call in asked} == {str(folder / "second.json")}
    assert ["up" in call for call in asked].count(True) == 1


@pytest.mark.parametrize(("made", "code"), [("by another", 0), ("by nobody", 1)])
def test_a_network_that_another_makes_at_the_same_time_is_as_good(
    tmp_path: Path, made: str, code: int
) -> None:
    machine, there = Machine(tmp_path), tmp_path / "there"
    meanwhile = f"touch {there}" if made == "by another" else "true"
    create, inspect = f"{meanwhile}; exit 1", f"[ -e {there} ]"
    cases = f'"network create") {create} ;; "network inspect") {inspect} ;;'
    machine.program("docker", f'case "$1 $2" in {cases} esac')
    assert machine.run(joining._networks(adopted(tmp_path), leads=True), check=False).code == code
