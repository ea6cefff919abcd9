"""What must be true before anything is touched, each check with its number: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from cyan.engines.versions import START_INTERVAL, numbers
from cyan.errors import UsageError
from cyan.names import EngineKind, Kind, Server
from cyan.releases.precheck import Availability
from cyan.world.sessions import AT_ONCE, RELOAD, prohibited

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from cyan.hosts.look import Observation
    from cyan.names import Color
    from cyan.releases.precheck import Precheck
    from cyan.rollout.facts import Facts
    from cyan.rollout.planned import Plan
    from cyan.settings import Settings

MIB = 2**20
ROOM = 1.25  # of what the live color uses: less than this is tight
SPARE = 100 * MIB  # bytes that the engine's disk must keep beside the images
BOOKS = 16 * MIB  # bytes that the journal and the logs need
DAY = 86_400.0  # seconds
CERTIFICATE = "certificate"
NODE = "node"
RENEWED = 14.0  # days before its end by which a certificate is renewed
CLOCKS = 2.0  # seconds that the clocks may differ
RESOURCES = ("memory", "disk", "directory")
SSHD = ("sessions", "forwarding")
OTHERS = ("ports", "traffic", "compose-file", "images", CERTIFICATE, NODE)
NEEDS = {
    "memory": Kind.START,
    "disk": Kind.FETCH,
    "directory": Kind.START,
    "certificate": Kind.FETCH,
    NODE: Kind.START,
}
"""What a plan needs only if it has the step; the journal has room of its own."""
PODMAN = (5, 0)
"""With the name service of 4.3 sockets were dropped at each start of a container."""
OLDEST = {"engine": (20, 10), "compose": (2, 20), Server.CADDY: (2, 6), Server.NGINX: (1, 20)}


class Level(StrEnum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Check:
    """One check: its name, what it found, with figures, and how it is mended."""

    name: str
    level: Level
    says: str
    todo: str = ""


def checks(
    world: Observation,
    facts: Facts,
    settings: Settings,
    comes: Precheck | None = None,
    unneeded: Collection[str] = (),
) -> tuple[Check, ...]:
    """Every check, in the order in which they are told.

    `comes` is what a release would be made of, None where nothing is fetched. What is `unneeded`
    is told, and forbids nothing.
    """
    live = bool(world.live and world.of(world.live))
    resources = (_memory(facts, live=live), _disk(facts), _directory(facts, settings))
    return (
        *(_service(name, world) for name in settings.stateful),
        *(_reachable(name, answers) for name, answers in facts.reachable),
        *(_soft(each) if each.name in unneeded else each for each in resources),
        _engine(facts),
        _compose_version(facts),
        _version(settings.server, facts.proxy),
        _sessions(facts),
        _forwarding(facts),
        _ports(facts, settings),
        _traffic(facts, settings),
        _configured(facts, settings),
        _clock(facts),
        *(
            _soft(each) if each.name in unneeded else each
            for each in _placed(facts, settings, world.standby)
        ),
        *(
            _soft(each) if each.name in unneeded else each
            for each in _certificate(facts, settings, world.now)
        ),
        *((*_compose(comes, facts), *_images(comes)) if comes else ()),
    )


def unneeded(plan: Plan) -> tuple[str, ...]:
    """The checks of what a plan does not need, such as a rollback to a color that is warm.

    Or the memory for a second color, where one makes way for the other.
    """
    kinds = {step.kind for step in plan.steps}
    lacks = tuple(name for name, kind in NEEDS.items() if kind not in kinds)
    return (*lacks, "memory") if plan.run.hold else lacks


def refusals(found: Iterable[Check], forced: Sequence[str]) -> tuple[Check, ...]:
    """The checks that forbid to go on and were not overridden."""
    return tuple(item for item in found if item.level is Level.REFUSE and item.name not in forced)


def valid_names(names: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """The names of checks to override. Raises UsageError for a name that no check has."""
    known = (*settings.stateful, *RESOURCES, *OLDEST, *SSHD, *OTHERS)
    for name in names:
        if name not in known:
            raise UsageError(f"no check is called {name!r}", todo=f"one of: {', '.join(known)}")
    return tuple(names)


def _soft(check: Check) -> Check:
    return replace(check, level=Level.WARN) if check.level is Level.REFUSE else check


def _compose(comes: Precheck, facts: Facts) -> Iterator[Check]:
    engine = numbers(facts.engine)
    if comes.quick_starters and engine and engine < START_INTERVAL:
        says = f"engine {facts.engine} knows no start_interval, and Compose refuses it there: "
        todo = "take healthcheck.start_interval away, or upgrade the engine to 25"
        yield Check("compose-file", Level.REFUSE, says + ", ".join(comes.quick_starters), todo)
    for fault in comes.faults:
        says = f"the Compose file is not valid: {fault.says}"
        yield Check("compose-file", Level.REFUSE, says, fault.todo)
    if not comes.faults:
        yield Check("compose-file", Level.OK, "the Compose file is valid")


def _images(comes: Precheck) -> Iterator[Check]:
    """One check for all that is well, and one for each image that is not."""
    well = [
        each
        for each in comes.images
        if each.availability in (Availability.THERE, Availability.COMES)
    ]
    if well:
        told = (f"{each.reference} {each.availability} {each.says}".strip() for each in well)
        yield Check("images", Level.OK, ", ".join(told))
    for each in comes.images:
        if each not in well:
            level = Level.REFUSE if each.availability is Availability.NEVER else Level.WARN
            says = f"{each.reference} {each.availability}: {each.says}".strip()
            yield Check("images", level, says, each.todo)


def _service(name: str, world: Observation) -> Check:
    container = world.service(name)
    if container is None or container.state != "running":
        todo = "start it: inv lab.up for the lab, else fab -H USER@HOST provision"
        return Check(name, Level.REFUSE, f"the shared service {name} does not run", todo)
    if not container.up:
        todo = f"look at it first: docker logs {container.name}"
        return Check(name, Level.REFUSE, f"the shared service {name} is {container.health}", todo)
    return Check(name, Level.OK, f"{name} runs")


def _reachable(name: str, answers: str) -> Check:
    if answers == "ok":
        return Check(name, Level.OK, f"{name} accepts connections")
    todo = f"look at it: inv logs --service {name}"
    return Check(name, Level.REFUSE, f"{name} accepts no connection at {answers}", todo)


def _memory(facts: Facts, *, live: bool) -> Check:
    """Two colors must fit: the standby is taken to need what the live color uses now."""
    free, need = facts.memory_free + facts.memory_standby, facts.memory_live
    if live and not need:  # as where the kernel counts no memory by control groups
        unknown = "what the live color uses the engine does not say"
        return Check("memory", Level.OK, f"{size(free)} for a standby; {unknown}")
    says = f"{size(free)} for a standby, the live color uses {size(need)}"
    todo = "free memory, or keep less of the old color warm: warm.services"
    if free < need:
        return Check("memory", Level.REFUSE, f"only {says}", todo)
    if free < need * ROOM:
        return Check("memory", Level.WARN, f"tight: {says}", todo)
    return Check("memory", Level.OK, says)


def _disk(facts: Facts) -> Check:
    need = facts.images + SPARE
    says = f"{size(facts.disk_free)} for images, a release takes {size(facts.images)}"
    if facts.disk_free < need:
        todo = "remove images that nobody needs: docker image prune"
        return Check("disk", Level.REFUSE, f"only {says}", todo)
    return Check("disk", Level.OK, says)


def _directory(facts: Facts, settings: Settings) -> Check:
    says = f"{size(facts.directory_free)} for journal and logs"
    if facts.directory_free < BOOKS:
        todo = f"free space in {settings.directory}"
        return Check("directory", Level.REFUSE, f"only {says}", todo)
    return Check("directory", Level.OK, says)


def _version(name: str, text: str) -> Check:
    oldest = OLDEST[name]
    wanted = ".".join(map(str, oldest))
    found = numbers(text)
    if not found:
        says = f"the version of {name} could not be read: {text or 'no answer'}"
        return Check(name, Level.WARN, says, f"it should be {wanted} or newer")
    if found < oldest:
        says = f"{name} is {text}, older than {wanted}"
        return Check(name, Level.REFUSE, says, f"upgrade {name} on the host")
    return Check(name, Level.OK, f"{name} {text}")


def _engine(facts: Facts) -> Check:
    found = EngineKind.PODMAN if facts.podman else EngineKind.DOCKER
    if facts.engine and facts.podman is not (facts.wanted is EngineKind.PODMAN):
        says = f"what answers there is {found.title()}, and cyan.engine says {facts.wanted}"
        return Check("engine", Level.REFUSE, says, f"cyan.engine: {found}, where it is wanted")
    if not facts.podman:
        return _version("engine", facts.engine)
    if numbers(facts.engine) < PODMAN:
        says = f"Podman is {facts.engine}, older than 5.0: each start of a container interrupts"
        todo = "Debian 13 and Fedora 40 have one that is new enough"
        return Check("engine", Level.REFUSE, f"{says} the names of all others", todo)
    if facts.unwatched:
        says = "Podman's health checks are run by systemd's timers, and there is no systemd"
        return Check("engine", Level.REFUSE, says, "inv provision starts what runs them instead")
    return Check("engine", Level.OK, f"Podman {facts.engine}")


def _compose_version(facts: Facts) -> Check:
    if facts.podman and not numbers(facts.compose):
        says = "there is no Docker Compose, and podman-compose cannot take its place"
        return Check("compose", Level.REFUSE, says, "apt-get install docker-cli docker-compose")
    return _version("compose", facts.compose)


def _sessions(facts: Facts) -> Check:
    if facts.sessions < AT_ONCE:
        says = f"sshd gives one connection {facts.sessions} sessions at once; {AT_ONCE} are needed"
        return Check("sessions", Level.REFUSE, says, f"MaxSessions 10 {RELOAD}")
    return Check("sessions", Level.OK, f"sshd gives one connection {AT_ONCE} sessions at once")


def _forwarding(facts: Facts) -> Check:
    if facts.forbidden:
        error = prohibited(facts.forbidden[0], "")
        return Check("forwarding", Level.REFUSE, error.what, error.todo)
    return Check("forwarding", Level.OK, "sshd lets the site and the doors be asked through it")


def _ports(facts: Facts, settings: Settings) -> Check:
    doors = settings.door_ports
    published = {port for _, port in facts.published} | {*facts.theirs}
    missing = [str(port) for port in (*settings.ports, *doors) if port not in published]
    if missing:
        says = f"the proxy does not publish {', '.join(missing)}"
        return Check("ports", Level.REFUSE, says, "see site.port and doors, then inv lab.up")
    known = sorted(facts.published)
    open_ = [str(port) for address, port in known if port in doors and _public(address)]
    if open_:
        says = f"the private doors {', '.join(open_)} are open to the network"
        return Check("ports", Level.REFUSE, says, "publish them on 127.0.0.1 only")
    return Check("ports", Level.OK, f"site on {settings.site.url}, doors on loopback")


def _public(address: str) -> bool:
    return not (address.startswith("127.") or address == "::1")


def _traffic(facts: Facts, settings: Settings) -> Check:
    if facts.traffic_host and facts.traffic_host == facts.traffic_proxy:
        return Check("traffic", Level.OK, "the proxy sees the markers")
    says = f"the proxy does not look at {settings.directory}/traffic"
    todo = "mount that folder, as a folder, on /traffic of the proxy"
    return Check("traffic", Level.REFUSE, says, todo)


def _configured(facts: Facts, settings: Settings) -> Check:
    if facts.other_proxy:
        says = f"the proxy that runs is no {settings.server}: it would be asked in vain"
        return Check("configuration", Level.REFUSE, says, "change it: inv proxy.upgrade")
    if facts.configured:
        return Check("configuration", Level.OK, "the proxy runs this project's configuration")
    says = "the proxy runs another configuration than this project's"
    return Check(
        "configuration", Level.WARN, says, "load it without dropping anybody: inv proxy.reload"
    )


def _certificate(facts: Facts, settings: Settings, now: float) -> Iterator[Check]:
    """What the site's certificate is worth to its users; nothing where it has no domain."""
    found, site = facts.certificate, settings.site
    if found is None:
        return
    if found.fault:
        says = f"{site.url} shows no certificate that its users can trust: {found.fault}"
        todo = f"{settings.server} says why: inv logs --service {settings.proxy}; "
        todo += f"does {site.domain} lead here?"
        yield Check(CERTIFICATE, Level.REFUSE, says, todo)
        return
    days = (found.expires - now) / DAY
    says = f"certificate of {found.issuer}, good for {days:.1f} days"
    # Caddy's own are for half a day, always renewed
    own = site.is_local and settings.server is Server.CADDY
    if days < RENEWED and not own:
        todo = f"it should have been renewed: inv logs --service {settings.proxy}"
        yield Check(CERTIFICATE, Level.WARN, says, todo)
    else:
        yield Check(CERTIFICATE, Level.OK, says)


def _placed(facts: Facts, settings: Settings, standby: Color) -> Iterator[Check]:
    """Whether a standby that has a node of its own can be begun there."""
    name = settings.colors.host_of(standby)
    if name and name not in facts.nodes:
        says = f"{standby} runs on {name}, which is no node of the swarm that takes anything now"
        yield Check(NODE, Level.REFUSE, says, "docker node ls has the names; see cyan.colors")
    elif name:
        yield Check(NODE, Level.OK, f"{standby} runs on {name}")


def _clock(facts: Facts) -> Check:
    ahead = f"{facts.clock_offset:+.3f} s beside ours, ± {facts.clock_uncertainty:.3f} s"
    if abs(facts.clock_offset) - facts.clock_uncertainty > CLOCKS:
        return Check("clock", Level.WARN, f"the host's clock is {ahead}", "let NTP set both clocks")
    return Check("clock", Level.OK, f"clock {ahead}")


def size(count: float) -> str:
    """Bytes in words."""
    return f"{count / MIB:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
