"""What a look at the host, and a hand laid on it, need there."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, cast

import pytest

from cyan.chaos.catalogue import fault
from cyan.chaos.hands import Site, as_root
from cyan.world.host import Output
from tests.rollout.worlds import settings

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.engines.containers import Container
    from cyan.world.host import Host


@pytest.mark.parametrize(("user", "asked"), [(0, ""), (1000, "-n sh -c ")])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_what_needs_root_goes_through_sudo_only_where_the_user_is_another(
    tmp_path: Path, shell: str, user: int, asked: str
) -> None:
    for name, body in (("id", f"echo {user}"), ("sudo", 'echo "sudo $*"; shift; exec "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    command = 'false || { echo "it\'s" done && ! cat /nothing; }'
    done = subprocess.run(
        [shell, "-c", as_root(command)],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    told = f"sudo {asked}{command}\n" if asked else ""
    assert done.stdout == f"{told}it's done\n"


def test_an_exit_code_comes_through() -> None:
    assert subprocess.run(["sh", "-c", as_root("exit 7")], check=False).returncode == 7


class Told(list[str]):
    """A host that notes what it is told, and answers each with a number."""

    def run(self, command: str, *, check: bool = True) -> Output:
        assert isinstance(check, bool)
        self.append(command)
        return Output("42\n", "", 0)


def site_on(host: Told) -> Site:
    wanted = settings()
    made = Site(wanted, wanted.hosts[0], wanted.directory)
    made.host = cast("Host", host)
    return made


class Proxy:
    id = "abc"


def test_what_enters_a_containers_network_or_mounts_is_run_as_root() -> None:
    host = Told()
    site_on(host).inside(cast("Container", Proxy()), "iptables", "-S")
    assert host[-1] == as_root("nsenter -t 42 -n iptables -S")
    full = fault("disk-full")
    full.inject(site_on(host), None)
    full.heal(site_on(host))
    mounted, unmounted = host[-2:]
    for command, wanted in ((mounted, "mount -t tmpfs"), (unmounted, "umount")):
        assert command.startswith('$([ "$(id -u)" = 0 ] || echo sudo -n) sh -c ')
        assert wanted in command
