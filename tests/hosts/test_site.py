"""Who is asked on a host: the proxy that has the ports now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cyan.hosts import site
from tests.rollout.worlds import V1_ON_BLUE, container, settings
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path


def test_the_proxy_is_asked_for_anew_where_another_may_have_taken_the_ports(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.program("docker", "echo another")
    taking_over = replace(V1_ON_BLUE, own=(container("web"),))
    assert site.proxy_of(machine.host, settings(), V1_ON_BLUE) == "None-proxy"
    assert site.proxy_of(machine.host, settings(), taking_over) == "another"
