"""The host's one proxy starts for an application, or goes on with other sites and other ports."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.hosts import handover, loading, sharing
from cyan.hosts.handover import Handover
from cyan.hosts.upgrade import of_the_host
from cyan.names import Color
from cyan.proxies import front
from cyan.proxies.configuration import configuration
from cyan.world.shell import quoted_path, write_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cyan.hosts.sharing import Joined, Seen
    from cyan.journal.lock import Lock
    from cyan.proxies.configuration import Configuration
    from cyan.settings import Settings
    from cyan.world.host import Output, Runner


def start(by: Lock, settings: Settings, joined: Mapping[str, Joined]) -> None:
    """Start the proxy, after its own image has said that it takes the configuration."""
    wanted, files = settings.host_proxy, configuration(settings)
    trial = ("docker", "run", "--rm", "--network", "none", "--tmpfs", "/logs:mode=1777")
    new = f"{quoted_path(files.folder)}:{files.inside}:ro"
    logs = "mkdir -p /logs/APP && ".replace("APP", settings.app)
    inside = shlex.quote(f"{logs}{shlex.join(files.check)}")
    done = by.run(
        f"{files.put()} && {shlex.join(trial)} -v {new} --user 0 --entrypoint sh "
        f"{shlex.quote(wanted.image)} -c {inside}",
        check=False,
    )
    if done.code != 0:
        raise HostError(
            f"the proxy would not take its configuration: {_last(done)}",
            todo=f"is {wanted.image} an image of {wanted.server} that this host has or can pull? "
            "cyan.host_proxy.image",
        )
    front_ = handover.compose(wanted, wanted.project)
    file = (f"{wanted.directory}/{handover.COMPOSE}", _compose_file(settings, joined))
    up = f"{front_} up -d --wait --no-build --pull missing"
    by.run(f"{files.keep()} && {write_files([file])} && {up}")


def change(by: Lock, settings: Settings, seen: Seen, joined: Mapping[str, Joined]) -> Iterable[str]:
    """Have the proxy that runs join the networks and load what is new."""
    connected = " && ".join(
        f"{{ docker network connect {settings.project(color)} {seen.proxy} 2>&1 "
        f"| grep -v 'already exists' >&2; true; }}"
        for color in Color
    )
    by.run(connected)
    mine = joined[settings.app]
    held = {each.port for each in seen.holders if each.project == settings.host_proxy.project}
    new = [each for each in mine.published if sharing.number(each) not in held]
    wanted = configuration(settings)
    published = False
    if by.run(wanted.same(), check=False).code != 0:
        published, how = read(by, settings, wanted, joined, seen.proxy)
        yield f"the proxy has the sites of {settings.app}; {how}"
    if new and not published:
        then = write_files([sharing.record(settings, mine)])
        move = Handover(
            settings.host_proxy, sharing.published(joined), sharing.ports(joined), then=then
        )
        yield moved(by, move)


def read(
    by: Lock, settings: Settings, wanted: Configuration, joined: Mapping[str, Joined], proxy: str
) -> tuple[bool, str]:
    """Have the proxy that runs read what is wanted; how it went, in words.

    And whether it publishes all ports of who `joined` by now: another took its place. Where the
    host gives no right to that it is the same one, by lame duck.
    """
    loading.checked(by, settings, wanted, proxy)
    form = ("docker", "inspect", "--format", "{{.Config.Image}}", proxy)
    runs = by.run(shlex.join(form)).stdout.strip()  # another application may want another one
    made = of_the_host(settings.host_proxy.model_copy(update={"image": runs}), joined, wanted)
    if made.ports and loading.stand_in(by, made) is not None:
        left = loading.hand_over(by, made)[0].left
        return True, f"{left} clients were asked to connect anew"
    left = loading.in_place(by, settings, wanted, proxy).left
    return False, f"{left} clients had not reconnected"


def moved(by: Runner, move: Handover, what: str = "the ports are the proxy's") -> str:
    """Hand ports over; how it went, in words. Raises HostError where all is as it was before."""
    done = by.run(move.script, check=False)
    way = f"{what}, and nobody was refused meanwhile"
    if done.code == handover.NO_RIGHT:
        done = by.run(move.slow, check=False)
        way = f"{what}; for about a second connections were refused"
    if done.code != 0:
        back = ": the ports were given back" if done.code == handover.AS_BEFORE else ", untouched"
        raise HostError(
            f"the proxy did not come up with the ports: {_last(done)}",
            serving=f"what served before{back}",
            todo="docker ps -a, then docker logs of it, say why; then try again",
        )
    cut = int(done.stdout.split()[-2])
    return way + (f"; {cut} kept connections ended with what had them before" if cut else "")


def _compose_file(settings: Settings, joined: Mapping[str, Joined]) -> str:
    return front.compose_file(settings.host_proxy, sharing.published(joined))


def _last(done: Output) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return " ".join(line for line in lines if not line.startswith("{"))[-600:]
