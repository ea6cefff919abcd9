"""An adopted application joins its host, or leaves: folders, networks, a place at the one proxy.

Nothing of the application's own stack is touched: only shared services that are not there yet are
started, and a port that the stack has is left to it until the first deploy takes it over.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.application.own_stack import own_file
from cyan.application.source import USUAL
from cyan.application.stack_file import HERE
from cyan.engines import colors, compose, stack
from cyan.hosts import fronting, handover, sharing, spread
from cyan.hosts.handover import Handover
from cyan.hosts.sharing import Holder, Joined, Seen, look, to_publish
from cyan.names import Color, EngineKind, Role, Strategy
from cyan.proxies import front, markers, sites
from cyan.proxies.configuration import configuration, others_only
from cyan.world.shell import quoted_path, run_script, shared_mask, write_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cyan.engines.containers import Container
    from cyan.journal.lock import Lock
    from cyan.settings import Settings
    from cyan.world.host import Host, Runner

BY_CYAN = "written by cyan"
PATIENCE = 10  # seconds that whoever is interrupted may take


def directories(settings: Settings) -> str:
    """The shell command that makes the folders which an application and the proxy share."""
    front_, app = settings.host_proxy.directory, settings.app
    root = settings.directory
    traffic, logs = (quoted_path(front_, name, app) for name in ("traffic", "logs"))
    plain = " ".join(
        quoted_path(front_, each)
        for each in ("config/apps", "config/doors", "config/ports", "apps")
    )
    links = " && ".join(
        f"ln -sfnT {target} {quoted_path(root, name)}"
        for name, target in (("traffic", traffic), ("logs", logs))
    )
    return (
        f"{{ {shared_mask(front_)}; }} && mkdir -p {plain} {traffic} && mkdir -p -m 1777 {logs} && "
        f"mkdir -p {quoted_path(root, 'releases')} && {links}"
    )


@dataclass(frozen=True)
class Own:
    """An application's own stack: what Compose resolved, and what of its checkout was `brought`."""

    source: str
    brought: tuple[str, ...] = ()


def join(
    host: Host, lock: Lock, by: Lock, settings: Settings, own: Own
) -> tuple[str, tuple[Holder, ...]]:
    """Give the application its networks and its place at the proxy; what was done, in words.

    And whose ports are to be taken over. `lock` is the application's, `by` the proxy's. Safe to
    repeat. Raises UsageError, HostError, DeployError.
    """
    seen = look(host, settings)
    publishes, theirs = to_publish(settings, seen)
    leads = settings.leads(host.settings)
    if settings.engine is EngineKind.SWARM:
        spread.allowed(host, settings, own.source)
    if not leads:
        spread.joined(host, settings)
    lock.run(_networks(settings, leads=leads))
    says = [*_shared(lock, settings, seen, own)] if leads else []
    before = seen.joined.get(settings.app)
    mine = Joined(
        str(settings.directory),
        publishes,
        sites.addresses(settings),
        before.stopped if before else (),
        settings.server,
    )
    joined = {**seen.joined, settings.app: mine}
    if not seen.proxy:
        fronting.start(by, settings, joined)
        says.append("the host's proxy runs")
    else:
        says += fronting.change(by, settings, seen, joined)
    by.run(write_files([sharing.record(settings, mine)]))
    return "; ".join(says), theirs


def take_over(by: Runner, settings: Settings, seen: Seen, grace: int, *, held: bool = False) -> str:
    """Move the ports that the application's own stack has to the proxy; how it went, in words.

    With `held` who comes from then on waits.

    Safe to repeat. Raises HostError where they could not be moved: all is as it was before.
    """
    _, theirs = to_publish(settings, seen)
    before = seen.joined[settings.app]
    stopped = tuple(dict.fromkeys(each.name for each in theirs))
    mine = replace(
        before,
        published=sites.published(settings),
        stopped=tuple(dict.fromkeys((*before.stopped, *stopped))),
    )
    joined = {**seen.joined, settings.app: mine}
    then = write_files([sharing.record(settings, mine)])
    if not theirs:
        by.run(then)
        return "the ports are the proxy's already"
    # first of all who gives way, so that whoever comes after a crash knows what to start again
    by.run(write_files([sharing.record(settings, replace(mine, published=before.published))]))
    move = Handover(
        settings.host_proxy,
        sharing.published(joined),
        sharing.ports(joined),
        stopped,
        grace=grace,
        then=then,
        held=f"{settings.directory}/traffic" if held else "",
    )
    return fronting.moved(by, move)


def give_back(by: Runner, settings: Settings, seen: Seen) -> str:
    """Take the application's ports from the proxy and start what had made way for it.

    Returns how it went, in words; "" where there was nothing to give. Safe to repeat.
    """
    before = seen.joined.get(settings.app)
    if before is None or not (before.stopped or before.published):
        return ""
    mine = replace(before, published=(), stopped=())
    joined = {**seen.joined, settings.app: mine}
    move = Handover(
        settings.host_proxy,
        sharing.published(joined),
        sharing.ports(seen.joined),
        started=before.stopped,
        again=_started_again(settings) if before.stopped else ":",
        then=write_files([sharing.record(settings, mine)]),
    )
    return fronting.moved(by, move, f"the ports are {'given back' if before.stopped else 'free'}")


def forget(by: Runner, host: Host, settings: Settings) -> tuple[str, ...]:
    """Remove what made way of the application's own stack: it can be made again, not started.

    Returns the names of the containers that were there.
    """
    joined = look(host, settings).joined.get(settings.app)
    if joined is None or not joined.stopped:
        return ()
    filters = " ".join(f"--filter {shlex.quote(f'name=^{name}$')}" for name in joined.stopped)
    command = f"docker ps -a --filter status=exited {filters} --format '{{{{.Names}}}}'"
    return tuple(by.run(f"{command} | xargs -r docker rm").stdout.split())


def _started_again(settings: Settings) -> str:
    """The shell command that starts what rotates as the user would: its containers may be gone."""
    adopted = settings.adopted
    assert adopted is not None  # noqa: S101 - for the type checker: see look
    folder = str(adopted.there or adopted.folder)
    files = [word for each in adopted.files for word in ("-f", f"{folder}/{each}")]
    words = ("docker", "compose", "--progress", "quiet", "--project-directory", folder, *files)
    up = ("-p", adopted.project, "up", "-d", "--no-recreate")
    return shlex.join((*words, *up, *adopted.replaced))


def retire(by: Runner, host: Host, settings: Settings, own: Sequence[Container]) -> None:
    """Stop containers of the application's own stack, and have the engine leave them so.

    They are kept, and known as what is started again where the ports are given back.
    """
    joined = look(host, settings).joined[settings.app]
    names = tuple(item.name for item in own)
    mine = replace(joined, stopped=tuple(dict.fromkeys((*joined.stopped, *names))))
    by.run(write_files([sharing.record(settings, mine)]))
    grace = max(item.grace for item in own)
    # one that restarts always would come back with the engine, and want its port
    by.run(
        f"{shlex.join(('docker', 'update', '--restart', 'unless-stopped', *names))} >/dev/null && "
        f"{shlex.join(('docker', 'stop', '-t', str(grace), *names))} >/dev/null"
    )


def harmless(by: Runner, settings: Settings) -> str:
    """Have the user's own `docker compose up -d` leave what rotates alone; in words where it can't.

    By a file that Compose reads beside theirs, unless they have one of that name.
    """
    path, text = _override(settings)
    assert settings.adopted is not None  # noqa: S101 - for the type checker: see look
    files = settings.adopted.files
    usual = len(files) == 1 and str(files[0]) in USUAL
    quoted, folder = quoted_path(path), quoted_path(PurePosixPath(path).parent)
    mine = f"[ ! -e {quoted} ] || head -n 1 {quoted} | grep -q '{BY_CYAN}'"
    written = f"[ -d {folder} ] && {{ {mine}; }} && {write_files([(path, text)])}"
    if usual and by.run(written, check=False).code == 0:
        return ""
    ours = f"{settings.directory}/retired.yaml"
    by.run(write_files([(ours, text)]))
    return (
        "docker compose up -d of your own would start what rotates again, without its ports: "
        f"add {ours} to its files (COMPOSE_FILE, or -f)"
    )


def rest(settings: Settings) -> str:
    """The shell command that ends what takes work in either color: the own stack's is to begin."""
    roles = " ".join(str(role) for role in (Role.WORKER, Role.SCHEDULER))
    if settings.engine is EngineKind.SWARM:  # which would begin again what is only stopped
        return (
            f"for each in {roles}; do docker service ls --filter label=cyan.app={settings.app} "
            "--filter label=cyan.role=$each --format '{{.Name}}=0' "
            "| xargs -r docker service scale -d >/dev/null; done"
        )
    return (
        f"for each in {roles}; do docker ps -q --filter label=cyan.app={settings.app} "
        "--filter label=cyan.role=$each | xargs -r docker stop >/dev/null; done"
    )


def withdraw(host: Host, by: Lock, settings: Settings) -> str:
    """Give everything back: ports, the own stack's containers; and remove what cyan brought."""
    path, _ = _override(settings)
    quoted = quoted_path(path)
    by.run(f"if head -n 1 {quoted} 2>/dev/null | grep -q '{BY_CYAN}'; then rm -f -- {quoted}; fi")
    leads = settings.leads(host.settings)
    if leads:
        by.run(rest(settings))
    if settings.strategy is Strategy.HOLD:  # the own stack may not run beside a color
        for color in Color:
            by.run(colors.stop(settings, color, None))
    says = give_back(by, settings, look(host, settings))
    traffic = quoted_path(settings.host_proxy.directory, "traffic", settings.app)
    raised = shlex.join((*Color, *map(markers.held, (None, *Color)), markers.LAMEDUCK))
    by.run(f"cd {traffic} 2>/dev/null && rm -f -- {raised} || true")
    for color in Color if leads else ():
        by.run(colors.down(settings, color, PATIENCE))
    return "; ".join(each for each in (says, leave(host, by, settings)) if each)


def leave(host: Host, by: Lock, settings: Settings) -> str:
    """Remove the application from the host's proxy; the proxy, too, where it was the last one.

    Its colors must be gone, and its ports given back. Raises HostError.
    """
    seen, wanted = look(host, settings), settings.host_proxy
    others = [name for name in seen.joined if name != settings.app]
    if not others:
        by.run(f"{handover.compose(wanted, wanted.project)} down 2>&1 || true")
    gone = " ".join(
        quoted_path(wanted.directory, "config", path) for path in configuration(settings).own
    )
    by.run(f"rm -f -- {gone}")
    says = "the host's proxy is removed: this was its last application"
    if others and seen.proxy:
        staying = {name: seen.joined[name] for name in others}
        how = fronting.read(by, settings, others_only(settings), staying, seen.proxy)[1]
        says = f"the proxy goes on for {', '.join(others)}; {how}"
    for color in Color:
        name = settings.project(color)
        by.run(f"docker network disconnect -f {name} {seen.proxy or 'none'} >/dev/null 2>&1; true")
        if settings.leads(host.settings):
            by.run(f"docker network rm {name} >/dev/null 2>&1; true")
    root, app = wanted.directory, settings.app
    folders = " ".join(quoted_path(root, each, app) for each in ("traffic", "logs"))
    by.run(f"rm -rf -- {folders} {quoted_path(root, 'apps', f'{app}.json')}")
    return says


def _override(settings: Settings) -> tuple[str, str]:
    """The file by which Compose starts nothing of what rotates: its path on the host, its text."""
    adopted = settings.adopted
    assert adopted is not None  # noqa: S101 - for the type checker: see look
    folder = adopted.there or adopted.folder
    services = "".join(f"  {name}: {{scale: 0}}\n" for name in adopted.replaced)
    said = f"{BY_CYAN}, which runs these; inv init --undo removes this file"
    return f"{folder}/compose.override.yaml", f"# {said}\nservices:\n{services}"


def _networks(settings: Settings, *, leads: bool) -> str:
    """The shell command that makes what is not there yet: networks, the certificates' volume.

    The host that leads is where an application's data are.
    """
    over = settings.engine is EngineKind.SWARM
    flags = compose.SPREAD if over else ()
    mine = [(settings.project(color), f"cyan.app={settings.app}", flags) for color in Color]
    names = [(front.NETWORK, "cyan.front=1", ()), *mine]
    made = [  # another proxy's application may make the first of them at the same time
        f"{{ docker network inspect {name} >/dev/null 2>&1 || "
        f"docker network create {shlex.join(flags)} --label {label} {name} >/dev/null || "
        f"docker network inspect {name} >/dev/null; }}"
        for name, label, flags in names
    ]
    if over and leads:
        made.append(stack.labelled(f"{HERE}{settings.app}"))
    volume = shlex.quote(f"{settings.host_proxy.project}-certificates")
    return " && ".join((*made, f"docker volume create {volume} >/dev/null"))


def _shared(lock: Lock, settings: Settings, seen: Seen, own: Own) -> Iterable[str]:
    """Start the application's own shared services where they have no container at all."""
    assert settings.adopted is not None  # noqa: S101 - for the type checker: see look
    missing = tuple(name for name in settings.adopted.shared if name not in seen.shared)
    if not missing:
        return
    file = f"{settings.directory}/shared/compose.json"
    over = settings.engine is EngineKind.SWARM
    text = own_file(own.source, settings.adopted, own.brought, spread=over)
    private = f"(umask 077; {write_files([(file, text)])})"
    words = ("docker", "compose", "--progress", "quiet", "-p", settings.adopted.project, "-f", file)
    up = shlex.join((*words, "up", "-d", *compose.WAIT, "--no-deps", "--no-recreate", *missing))
    run_script(lock, f"{private} && {up}")
    yield f"{', '.join(missing)} started, as in the Compose file"
