"""The command that compares ways to deploy."""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports; flags are arguments
from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.cli import command, settings
from cyan.names import seconds

if TYPE_CHECKING:
    from invoke import Context


@command(
    needs="proof",
    iterable=["way"],
    help={
        "way": "only this way, such as 'caddy reload'; may be given often",
        "rotations": "deploys of each",
        "rate": "requests a second",
        "users": "connections that the swarm keeps",
        "seed": "of the choice of requests",
        "rtt": "a round trip to add between swarm and site, such as 40ms",
        "fresh_connections": "a new connection for every request",
        "http2": "some of the users come over HTTPS with HTTP/2",
    },
)
def bench(
    c: Context,
    way: list[str] | None = None,
    rotations: int = 3,
    rate: float = 50.0,
    users: int = 60,
    seed: int = 1,
    rtt: str = "0",
    fresh_connections: bool = False,
    http2: bool = False,
) -> None:
    """Compare ways to deploy under the same load, each as its own documentation says it."""
    from cyan.bench import bench as comparison
    from cyan.bench.options import Options
    from cyan.cli import project_folder
    from cyan.errors import UsageError
    from cyan.tasks.evidence import _demos
    from cyan.terminal import console

    wanted = _demos(settings(c))
    if rotations < 1 or rate <= 0 or users < 1:
        raise UsageError("nothing can be measured of none", todo="--rotations 3 --rate 100")
    options = Options(
        ways=comparison.chosen(way or ()),
        rotations=rotations,
        rate=rate,
        sessions=users,
        seed=seed,
        rtt=seconds(rtt),
        fresh=fresh_connections,
        http2=http2,
    )
    comparison.bench(wanted, project_folder(), options, console)
