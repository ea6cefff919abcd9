"""The host's one proxy, for all of its applications: its Compose file: pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cyan.names import Color, EngineKind, Server
from cyan.settings import FRONT

if TYPE_CHECKING:
    from cyan.adopted import HostProxySettings

NETWORK = "0-cyan-proxy"
"""Its own network. It sorts before all that an application could have: the engine takes the
container's way out from the first, and moving that would cut off whoever is connected."""

DOOR = "X-Cyan-Door"
"""The header that says whose door is asked for."""

REQUESTS = 2000
"""So many requests may wait while one color takes the other's place; more are told to come back."""

LONGEST = 90
"""Seconds that they may wait; longer than a color may take, and then the old one again."""

DYING = 3  # seconds in which a proxy that ends asks its clients to connect anew
GRACE = 30  # seconds that their requests may take then

HEALTHY = (
    "u=http://127.0.0.1:2019/config/; "
    "curl -fsS -o /dev/null $$u 2>/dev/null || wget -qO /dev/null $$u"
)
"""Which has curl or, as the official image, wget."""

INSIDE = {Server.CADDY: "/etc/caddy", Server.NGINX: "/etc/nginx"}
"""Where the proxy's container finds its configuration."""

_OF_THE_SERVER: Mapping[Server, Mapping[str, object]] = {
    Server.CADDY: {
        "cap_add": ["NET_BIND_SERVICE"],
        "tmpfs": ["/config:mode=1777"],
        # It clears up half as often, with twice as much that may be cleared: a tenth more requests
        # for some 5 MiB (benchmarks/throughput.py); https://pkg.go.dev/runtime#hdr-Environment_Variables
        "environment": {"GOGC": "200"},
    },
    # its first process is root, which reads the key of a certificate; who serves is not
    Server.NGINX: {
        "command": ["sh", f"{INSIDE[Server.NGINX]}/start.sh"],
        "cap_add": ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"],
        "tmpfs": ["/tmp"],  # noqa: S108 - in its container
        "stop_signal": "SIGQUIT",  # what it has begun ends
        # of connections to a color that are over: they would use up the ports, and be in the way of
        # who counts those that are not
        "sysctls": {"net.ipv4.tcp_max_tw_buckets": "1024"},
    },
}

OWN_DOORS = {Color.BLUE: 8001, Color.GREEN: 8002}
"""Where a proxy that is an application's own, and not the host's, has the colors' doors."""

Published = Mapping[str, tuple[str, ...]]
"""What each application wants to have published, by its name: PORT, or ADDRESS:PORT."""


def compose_file(
    settings: HostProxySettings, ports: Published, passing: tuple[str, ...] = ()
) -> str:
    """The proxy's Compose file, JSON.

    Or that of the second one of a handover: without doors, and with the `passing` ports of its own
    published on the same addresses, wherever there is room.
    """
    folder = str(settings.directory)
    networks = [f"{app}-{color}" for app in sorted(ports) for color in Color]
    own = sorted({port for each in ports.values() for port in each})
    swarm = settings.engine is EngineKind.SWARM
    service = {
        "image": settings.image,
        "restart": "unless-stopped",
        "labels": {"cyan.front": settings.project},
        "read_only": True,
        "security_opt": ["no-new-privileges:true"],
        "cap_drop": ["ALL"],
        **_OF_THE_SERVER[settings.server],
        "volumes": [
            "certificates:/data",
            f"{folder}/traffic:/traffic:ro",
            f"{folder}/logs:/logs",
            f"{folder}/config:{INSIDE[settings.server]}:ro",
        ],
        "ports": (
            [_anywhere(each) for each in passing]
            if passing
            else [
                *(f"{each}:{each.rpartition(':')[2]}" for each in own),
                f"127.0.0.1:{settings.door}:{settings.door}",
            ]
        ),
        # Compose begins with one, and cannot with one that is spread over several machines
        "networks": {"own": {"priority": 1} if swarm else None, **dict.fromkeys(networks)},
        "stop_grace_period": f"{DYING + GRACE + 5}s",
        "healthcheck": {
            "test": ["CMD-SHELL", HEALTHY],
            "interval": "5s",
            "start_period": "30s",
            **({} if settings.engine is EngineKind.PODMAN else {"start_interval": "200ms"}),
        },
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
    }
    made = {
        "services": {FRONT: service},
        "networks": {
            "own": {"name": NETWORK, "external": True},
            **{name: {"name": name, "external": True} for name in networks},
        },
        "volumes": {"certificates": {"name": f"{settings.project}-certificates", "external": True}},
    }
    return json.dumps(made, indent=1)


def _anywhere(published: str) -> str:
    """A port as Compose publishes it on a port of the host that is free."""
    bind, _, port = published.rpartition(":")
    return f"{bind}::{port}" if bind else port
