"""Preparing a host that has an engine: the application's directory, its shared services."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.application.secrets import NO_SECRETS
from cyan.application.source import source_of
from cyan.bundled import bundled
from cyan.engines import compose
from cyan.errors import CyanError
from cyan.hosts import joining
from cyan.hosts.session import owner
from cyan.journal.lock import Lock
from cyan.journal.while_held import WhileHeld
from cyan.names import EngineKind
from cyan.proxies.configuration import configuration
from cyan.releases import contents, mounted
from cyan.releases.contents import Contents
from cyan.world.envfile import env_file
from cyan.world.shell import quoted_path, run_script, shared_mask, write_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.application.secrets import Secrets
    from cyan.settings import Settings
    from cyan.world.host import Host

FOLDER = "shared"
GROUP = "docker"  # whose members may use the host's engine
OTHER = "another-configuration"
SEPARATOR = "--cyan--"
TRIED = ("--progress", "plain", "--dry-run", "up", "-d", "--no-build", "--pull", "missing")
ANEW = re.compile(r"Container (\S+) +Recreate$", re.MULTILINE)


def provision(
    host: Host,
    settings: Settings,
    secrets: Secrets = NO_SECRETS,
    agrees: Callable[[str], bool] = lambda _service: False,
) -> str:
    """Make the directory, write the shared services' files and `secrets`, start what does not run.

    Safe to repeat: what runs unchanged is left alone. What runs and is now defined otherwise is
    made anew only where `agrees` says so of the service: its users are interrupted. What a
    running proxy reads is left as it is: the file would say one thing and the proxy do another.
    Takes the lock. Returns what was done, in words. Raises LockedError, HostError.
    """
    if settings.adopted:
        return _adopted(host, settings, secrets)
    began = time.monotonic()
    root = PurePosixPath(settings.directory)
    make = f"mkdir -p {quoted_path(root, 'traffic')} {quoted_path(root, 'releases')}"
    logs = f"mkdir -p -m 1777 {quoted_path(root, 'logs')}"
    host.run(f"{{ {_share(root)}; }} && {make} && {logs}")
    with Lock(host, str(root), owner("provision")) as lock:
        project = compose.Project(settings.app, root / FOLDER)
        files = shared_files(settings, project, host.settings.bind)
        left, other = _provisioned(lock, settings, files, secrets, agrees)
    says = f"the shared services run ({time.monotonic() - began:.1f} s)"
    if left:
        says += (
            f"; {', '.join(left)} would be made anew, being defined otherwise now, and was left: "
        )
        says += f"inv provision --recreate {left[0]}"
    if other:
        says += f"; the proxy runs another {settings.proxy_file} than this project's: "
        says += "inv proxy.reload loads it"
    return says


def _adopted(host: Host, settings: Settings, secrets: Secrets) -> str:
    """The same for an application whose own stack stays: it joins the host's one proxy."""
    began, front = time.monotonic(), PurePosixPath(settings.host_proxy.directory)
    root = PurePosixPath(settings.directory)
    host.run(f"{{ {_share(front)}; }} && {{ {_share(root)}; }} && {joining.directories(settings)}")
    source = source_of(settings, "", secrets.values)
    doing = owner(f"provision of {settings.app}")
    with Lock(host, str(root), owner("provision")) as lock, Lock(host, str(front), doing) as by:
        try:
            leads = settings.leads(host.settings)
            brought = mounted.brought(host, lock, settings, source) if leads else ()
            own = joining.Own(source, brought)
            done, theirs = joining.join(host, lock, by, settings, own)
        except CyanError as error:
            error.where = error.where or host.name
            raise
    if own.brought:
        done = f"{', '.join(own.brought)} sent; {done}"
    says = f"{done or 'nothing was to be done'} ({time.monotonic() - began:.1f} s)"
    if theirs:
        ports = ", ".join(f"{each.port} ({each.says})" for each in theirs)
        says += f"; the first deploy takes over port {ports}"
    return says


def _provisioned(
    lock: Lock,
    settings: Settings,
    files: tuple[tuple[str, str], ...],
    secrets: Secrets,
    agrees: Callable[[str], bool],
) -> tuple[tuple[str, ...], bool]:
    """Do it, with the project's `files`.

    The services that were left as they were, and whether the proxy reads another file.
    """
    root = PurePosixPath(settings.directory)
    project = compose.Project(settings.app, root / FOLDER)
    wanted = configuration(settings)
    runs = f'[ -n "$({project.command("ps", "-q", "--status", "running", settings.proxy)})" ]'
    broken = project.command("ps", "-aq", "--status", "restarting", "--status", "exited")
    prepare = " && ".join(
        (
            f"{{ {shared_mask(root)}; }}",
            contents.write(project, files, Contents(secrets)),
            f"{{ {runs} || {{ {wanted.write()}; }}; }}",
            # one that crashes again and again would wait minutes before its next start
            f"{broken} | xargs -r docker rm -f >&2",
            f"{project.command(*TRIED)} 2>&1",
            f"echo {SEPARATOR}",
            _made(settings.app),
            f"echo {SEPARATOR}",
            f"{{ {wanted.same()} || echo {OTHER}; }}",
        )
    )
    tried, made, other = run_script(lock, prepare).stdout.split(f"{SEPARATOR}\n")
    otherwise = changed(tried, made)
    anew = tuple(name for name in otherwise if agrees(name))
    up = ("up", "-d", *compose.WAIT, "--no-build", "--pull", "missing")
    WhileHeld(lock).run(project.command(*up, "--no-recreate"))
    if anew:
        WhileHeld(lock).run(project.command(*up, "--no-deps", *anew))
    return tuple(name for name in otherwise if name not in anew), OTHER in other.split()


def shared_files(
    settings: Settings, project: compose.Project, bind: str
) -> tuple[tuple[str, str], ...]:
    """The Compose file of the shared services and its variables, (path on the host, text).

    `bind` is where the host publishes a site without a domain.
    """
    return (
        (str(project.file), settings.stateful_text),
        (str(project.env), env_file(_variables(settings, bind))),
    )


def changed(tried: str, made: str) -> tuple[str, ...]:
    """The services whose containers are not as they are defined now: pure.

    `tried` is what Compose says that it would do (the hash that `config` prints is another than
    that of `up` where a service has an env_file); `made` has each container's service and name.
    """
    anew = {found[1] for found in ANEW.finditer(tried)}
    lines = (line.partition(" ") for line in made.splitlines())
    return tuple(sorted({service for service, _, name in lines if name in anew}))


def _made(app: str) -> str:
    """The shell command that prints the service and the name of each shared container."""
    label = "com.docker.compose"
    form = f'{{{{.Label "{label}.service"}}}} {{{{.Names}}}}'
    words = ("docker", "ps", "-a", "--filter", f"label={label}.project={app}", "--format", form)
    return shlex.join(words)


def _variables(settings: Settings, bind: str) -> dict[str, str]:
    """What the shared services' Compose file is told."""
    return {
        "APP": settings.app,
        "DIRECTORY": str(settings.directory),
        **_site(settings, bind),
        "PUBLIC_PORT": str(settings.public.port),
        "BLUE_DOOR": str(settings.doors.blue),
        "GREEN_DOOR": str(settings.doors.green),
    }


def _share(root: PurePosixPath) -> str:
    """Give a new directory, and all that comes into it, to those who may use the engine.

    Who may not give it to them, or where there is no such group, keeps it.
    """
    folder, traffic = quoted_path(root), quoted_path(root, "traffic")
    give = f"{{ chgrp {GROUP} {folder} && chmod g+ws {folder}; }} 2>/dev/null"
    return f"[ -e {traffic} ] || {{ mkdir -p {folder} && {give}; }}; {shared_mask(root)}"


def _site(settings: Settings, bind: str) -> dict[str, str]:
    """What the shared services are told of the site: its address in Caddy's words, and its ports.

    A site with a domain is open to everybody, unless the domain is one of this machine only; one
    without is published on the host's address `bind`.
    """
    site = settings.site
    plain = f"http://:{site.port}, https://localhost:{site.tls_port}"
    return {
        "SITE_ADDRESS": site.domain or plain,
        "SITE_BIND": "" if site.domain and not site.is_here else f"{bind}:",
        "HTTP_PORT": str(site.port),
        "TLS_PORT": str(site.tls_port),
        # elsewhere Caddy would redirect what the plain site is asked as localhost
        "REDIRECT_PORT": str(site.port if site.domain else 80),
        "SECURE_PORT": str(site.tls_port if site.domain else 443),
    }


def install_engine(host: Host, settings: Settings) -> str:
    """Install the engine and Compose on a bare Debian or Ubuntu host with cyan's setup.

    What is there already is left alone. Returns the last line that it printed. Raises HostError.
    """
    script = f"{settings.directory}/setup"
    write = write_files([(script, bundled("setup").read_text())])
    podman = host.settings.engine is EngineKind.PODMAN
    only = "--podman-only" if podman else "--engine-only"
    output = host.run(f"{write} && bash {quoted_path(script)} {only}")
    return output.stdout.strip().splitlines()[-1]
