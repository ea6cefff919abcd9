"""A lab of three hosts: this machine, and two containers with sshd and engine."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.lab.nodes import SSHD
from cyan.rollout.drift import drift
from cyan.rollout.status import observe
from tests.lab.harness import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.hosts.look import Observation
    from tests.lab.harness import Client, Lab

HERE = "127.0.0.1"


@dataclass(frozen=True)
class Fleet:
    """The hosts by their addresses, in their order, and the containers that two of them are."""

    lab: Lab
    nodes: dict[str, str]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every host's, the first one first."""
        return (HERE, *self.nodes)

    @property
    def second(self) -> str:
        """The address of a host that is neither the first nor the last."""
        return self.addresses[1]

    def versions(self) -> set[str]:
        """What users of any host get."""
        return {self.lab.answering(each)[1] for each in self.addresses}

    def worlds(self, but: str = "") -> dict[str, Observation]:
        """A look at each, but for one."""
        settings = self.lab.settings
        machines = (each for each in settings.hosts if each.address != but)
        return {each.address: observe(settings, each) for each in machines}

    def live(self, version: str) -> None:
        """Make a version live on all of them, and remove the standby."""
        if self.versions() != {version}:
            self.lab.cyan("deploy", "--version", version, INVOKE_CYAN_BAKE_SECONDS="0")
        if any(world.of(world.standby) for world in self.worlds().values()):
            self.lab.cyan("cleanup")

    def are_clean(self) -> None:
        """Assert of each host what `Lab.is_clean` does, and one version for all users."""
        assert len(self.versions()) == 1
        for world in self.worlds().values():
            assert len(world.markers) == 1
            assert drift(world, self.lab.settings) == ()
            assert world.owner is None
            been_live = {entry.release for entry in world.switches}
            assert {item.release for item in world.of(world.standby)} <= been_live

    @contextmanager
    def load(self) -> Iterator[tuple[Client, ...]]:
        """Users of every host."""
        with ExitStack() as stack:
            yield tuple(
                stack.enter_context(self.lab.load(3, address)) for address in self.addresses
            )

    def cut(self, address: str) -> str:
        """The command by which nobody reaches a host by SSH any more; its users go on."""
        return f"docker exec {self.nodes[address]} pkill sshd"

    def reachable(self, address: str) -> None:
        """Have sshd listen again, unless it does."""
        node, listens = self.nodes[address], "cat </dev/null >/dev/tcp/127.0.0.1/22"

        def there() -> bool:
            return _ok("docker", "exec", node, "timeout", "1", "bash", "-c", listens)

        if not there():
            _run("docker", "exec", node, "sh", "-c", f"/usr/sbin/{SSHD}")
            until(there, f"sshd listens on {address}")

    @contextmanager
    def cut_off(self, address: str) -> Iterator[None]:
        """Nobody reaches the host by SSH during the block."""
        _run(*self.cut(address).split())
        try:
            yield
        finally:
            self.reachable(address)


@contextmanager
def fleet(lab: Lab, hosts: int = 3) -> Iterator[Fleet]:
    """The lab with so many hosts, for a `with` block."""
    lab.cyan("lab.up", "--hosts", str(hosts))
    try:
        listed = json.loads((lab.folder / ".lab/hosts.json").read_text())
        names = (f"{lab.app}-node{number}" for number in range(2, hosts + 1))
        yield Fleet(lab, dict(zip((each["address"] for each in listed), names, strict=True)))
    finally:
        lab.cyan("lab.up", "--hosts", "1")


def _ok(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout
