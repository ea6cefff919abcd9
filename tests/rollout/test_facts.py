"""Which ports of a shared service are tried, and on which of them it counts as reachable."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from cyan.engines.docker import _wiring
from cyan.rollout.facts import _reach
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.engines.docker import Wiring


def wired(address: str, *exposed: str) -> Wiring:
    raw: dict[str, Any] = {
        "Config": {
            "Labels": {"com.docker.compose.service": "database"},
            "ExposedPorts": {key: {} for key in exposed},
        },
        "NetworkSettings": {"Ports": {}, "Networks": {"blue": {"IPAddress": address}}},
    }
    return _wiring(raw)


def test_udp_is_no_port_that_accepts_connections() -> None:
    assert wired("127.0.0.1", "53/udp", "5432/tcp", "8008/tcp").listens == (5432, 8008)
    assert wired("127.0.0.1", "53/udp").listens == ()


@pytest.mark.parametrize(("there", "said"), [(True, "ok"), (False, "127.0.0.1:1,{port}")])
def test_a_service_is_reachable_where_any_of_its_ports_accepts(
    tmp_path: Path, there: bool, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not there:
            server.close()
        found = Machine(tmp_path).run(_reach(wired("127.0.0.1", "1/tcp", f"{port}/tcp"))).stdout
    assert found.strip() == f"database={said.format(port=port)}"
