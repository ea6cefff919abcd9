"""What the world holds that it should not, in words for the operator: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.engines.containers import completed, lacking
from cyan.names import Color
from cyan.proxies import markers
from cyan.rollout import unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.hosts.look import Observation
    from cyan.settings import Settings

MARKERS = {
    *Color,
    markers.MAINTENANCE,
    markers.LAMEDUCK,
    *map(markers.held, (None, *Color)),
    *map(markers.kept, Color),
}


def drift(world: Observation, settings: Settings) -> tuple[str, ...]:
    """Every deviation from: one marker, live complete, standby complete or absent, nobody else."""
    parts = (
        _markers(world),
        _live(world, settings),
        _standby(world, settings),
        _warm(world, settings),
    )
    return (*(line for part in parts for line in part), *_runs(world))


def _markers(world: Observation) -> Iterator[str]:
    if {"blue", "green"} <= world.markers:
        yield "both markers exist; the proxy obeys green; the next deploy mends it"
    unknown = world.markers - MARKERS
    for name in sorted(each for each in unknown if not each.startswith(markers.PIN)):
        yield f"traffic/{name} is no marker; remove it"
    if world.held:
        yield f"{world.serving}; inv deploy --resume or --abort ends it"
    if "maintenance" in world.markers:
        yield "the site is in maintenance: users get 503; inv maintenance off ends it"
    if "lameduck" in world.markers:
        yield "lameduck is up: every answer closes its connection; inv proxy.reload --again ends it"


def _live(world: Observation, settings: Settings) -> Iterator[str]:
    for name in settings.stateful:
        shared = world.service(name)
        if shared is None or not shared.up:
            yield f"the shared service {name} is {shared.state if shared else 'not there'}"
    if world.live is None:
        return
    containers = world.of(world.live)
    application = world.application(world.release(world.live), settings)
    # what runs once is a container of the host that began it, whoever looks
    for name in lacking(containers, application.services if world.leads else application.lasting):
        yield f"live {world.live} lacks a healthy {name}: inv rollback, or deploy again"
    part = application.only  # of what is another release's it is known that it stayed
    if len({item.release for item in containers if not part or item.service in part}) > 1:
        yield f"live {world.live} holds containers of more than one release: deploy again"


def _standby(world: Observation, settings: Settings) -> Iterator[str]:
    for color in Color:
        if color is world.live:
            continue
        there = world.of(color)
        late = world.application(world.release(color), settings).late
        if working := [
            each.service for each in there if each.state == "running" and each.service in late
        ]:
            yield (
                f"{', '.join(working)} of standby {color} run, and should not: deploy again, "
                "or inv cleanup"
            )
        well = completed(there)
        ended = [
            item.service
            for item in there
            if item.state in ("exited", "dead", "created")
            and item.id not in well
            and item.service not in late
        ]
        bad = [item.service for item in there if item.state == "running" and not item.up]
        if ended and not world.alone:
            yield f"standby {color} holds stopped containers ({', '.join(ended)}): inv cleanup"
        if bad:
            yield f"standby {color} holds unhealthy containers ({', '.join(bad)}): inv cleanup"


def _warm(world: Observation, settings: Settings) -> Iterator[str]:
    over = world.warm_over(settings.warm.seconds)
    if over is not None:
        yield (
            f"standby {world.standby} was to stay warm for {settings.warm.seconds:g} s, "
            f"which was over {over:.0f} s ago: inv cleanup --expired"
        )


def _runs(world: Observation) -> Iterator[str]:
    left = unfinished.find(world.journal)
    if left and world.owner is None:
        yield unfinished.described(left, world)
