"""Worlds to plan in, made of plain data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyan.engines.containers import Container
from cyan.hosts.look import Observation
from cyan.journal.entries import Entry, Event
from cyan.names import Color
from cyan.proxies.in_flight import InFlight
from cyan.sections import DatabaseSettings, HostSettings
from cyan.settings import Settings

if TYPE_CHECKING:
    from cyan.application.record import Application

NAMES: dict[str, Any] = {
    "app": "demo",
    "stateless": ("platform", "rag", "crawler"),
    "stateful": ("database", "proxy"),
    "proxy": "proxy",
    "public": {"service": "platform"},
}
"""What the settings of any application must say."""

DATABASE = DatabaseSettings(service="database")
NOW = 1_800_000_000.0


def settings(**changes: Any) -> Settings:
    host = HostSettings(address="127.0.0.1", user="deploy")
    return Settings.model_validate(
        {"hosts": (host,), "directory": Path("/srv/demo"), **NAMES, **changes}
    )


def container(service: str, color: Color | None = None, **changes: Any) -> Container:
    fields: dict[str, Any] = {
        "id": f"{color}-{service}",
        "name": f"demo-{color}-{service}-1",
        "project": f"demo-{color}" if color else "demo",
        "service": service,
        "color": color,
        "version": "v1" if color else "",
        "release": "r1" if color else "",
        "by": "ann",
        "image": "sha256:1",
        "state": "running",
        "health": "healthy",
        "started_at": "2026-11-21T01:00:00Z",
        "exit_code": 0,
        "oom_killed": False,
        "restarts": 0,
    }
    return Container(**{**fields, **changes})


def color(which: Color, version: str, release: str, **changes: Any) -> tuple[Container, ...]:
    services = ("platform", "rag", "crawler")
    return tuple(
        container(name, which, version=version, release=release, **changes) for name in services
    )


def ended(release: str, at: float) -> Entry:
    return Entry(at, release, "deploy", Event.END, detail={"ok": True})


SHARED = (container("database"), container("proxy"))


def switched(to: Color, version: str, release: str, at: float) -> Entry:
    return Entry(
        at, release, "deploy", Event.DONE, "switch", to, version, release, {"renamed_at": at}
    )


def world(
    markers: set[str],
    *containers: Container,
    journal: tuple[Entry, ...] = (),
    in_flight: InFlight | None = None,
    applications: dict[str, Application] | None = None,
) -> Observation:
    return Observation(
        markers=frozenset(markers),
        containers=(*SHARED, *containers),
        in_flight=in_flight or InFlight(0, 0),
        journal=journal,
        owner=None,
        applications=applications or {},
        now=NOW,
        seen=0.0,
    )


EMPTY = world(set())
V1_ON_BLUE = world(
    {"blue"},
    *color(Color.BLUE, "v1", "r1"),
    journal=(switched(Color.BLUE, "v1", "r1", NOW - 900), ended("r1", NOW - 890)),
)
V2_ON_GREEN = world(
    {"green"},
    *color(Color.BLUE, "v1", "r1"),
    *color(Color.GREEN, "v2", "r2"),
    journal=(
        switched(Color.BLUE, "v1", "r1", NOW - 900),
        switched(Color.GREEN, "v2", "r2", NOW - 600),
        ended("r2", NOW - 590),
    ),
)
