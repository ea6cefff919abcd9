"""Each replica of a color on a swarm, asked by itself: its door leads to whichever it likes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cyan.hosts import site
from cyan.names import EngineKind
from cyan.rollout.health import Look, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cyan.names import Color
    from cyan.rollout.job import Job
    from cyan.sections import PublicSettings

WITHIN = 3  # seconds that a replica may take to answer
ASK = """
for each in {addresses}; do
  url="http://$each:{port}"{path}
  code=$(curl -s -o /dev/null -m {within} -w '%{{http_code}}' {curl} "$url" 2>/dev/null \
    || wget -q -S -T {within} -O /dev/null {wget} "$url" 2>&1 \
      | awk '/HTTP\\//{{c = $2}} END {{print c}}')
  echo "$each ${{code:-0}}"
done
"""
"""Asks from within the proxy, which has curl or, as the official image, wget: the network of a
color is not the host's."""


def look(job: Job, color: Color) -> tuple[Look, int]:
    """Ask each replica of the public service for its ready path, by its own address.

    How that looks, and how many there were; 0 where the color is on one host. One may not be
    reached from the proxy yet, although it is healthy on its node: a swarm has to hear of it.
    """
    if job.settings.engine is not EngineKind.SWARM:
        return Look(State.PASSING), 0
    public, network = job.plan.run.application.public, job.settings.project(color)
    found = [each for each in job.containers(color) if each.service == public.service]
    places = {job.engine.address(each.id, network): each for each in found}
    proxy = job.world.service(job.settings.proxy)
    assert proxy is not None  # noqa: S101 - for the type checker: preflight has seen it
    script = asking(places, public, site.headers(job.settings, public.send))
    said = job.host.run(shlex.join(("docker", "exec", proxy.id, "sh", "-c", script))).stdout
    codes = {address: int(code) for address, code in (line.split() for line in said.splitlines())}
    for address, each in places.items():
        code = codes.get(address, 0)
        if not (code == 200 or 0 < code < (public.below or 0)):  # noqa: PLR2004 - HTTP's own word
            answers = f"answers {code}" if code else f"does not answer within {WITHIN} s"
            where = f"{each.name}, {address or 'no address'}:{public.port}{public.ready}"
            return Look(State.WAITING, f"a replica {answers} ({where})", (public.service,)), 0
    return Look(State.PASSING), len(places)


def asking(addresses: Iterable[str], public: PublicSettings, sent: Mapping[str, str]) -> str:
    """The script that prints each address and the status that it answers; 0 for none.

    Each is sent the headers `sent`.
    """
    return ASK.format(
        addresses=" ".join(map(shlex.quote, addresses)),
        port=public.port,
        path=shlex.quote(public.ready),
        within=WITHIN,
        curl=" ".join(shlex.join(("-H", f"{name}: {value}")) for name, value in sent.items()),
        wget=" ".join(shlex.quote(f"--header={name}: {value}") for name, value in sent.items()),
    )
