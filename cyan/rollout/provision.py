"""Preparing a host that has an engine: the application's directory, its shared services."""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.application.secrets import NO_SECRETS
from cyan.engines import compose
from cyan.proxies import caddy
from cyan.releases import contents
from cyan.releases.contents import Contents
from cyan.world.envfile import env_file
from cyan.world.shell import quoted_path, run_script, shared_mask, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.application.secrets import Secrets
    from cyan.settings import Settings
    from cyan.world.host import Host

FOLDER = "shared"
GROUP = "docker"  # whose members may use the host's engine
OTHER = "another-caddyfile"


def provision(host: Host, settings: Settings, secrets: Secrets = NO_SECRETS) -> str:
    """Make the directory, write the shared services' files and `secrets`, start what does not run.

    Safe to repeat: what runs unchanged is left alone. So is the Caddyfile of a proxy that runs: the
    file would say one thing and the proxy do another. Returns what was done, in words. Raises
    HostError.
    """
    began = time.monotonic()
    root = PurePosixPath(settings.directory)
    folder = root / FOLDER
    env = env_file(
        {
            "APP": settings.app,
            "DIRECTORY": str(root),
            **_site(settings),
            "PUBLIC_PORT": str(settings.public.port),
            "BLUE_DOOR": str(settings.doors.blue),
            "GREEN_DOOR": str(settings.doors.green),
        }
    )
    project = compose.Project(settings.app, folder)
    files = (
        (str(project.file), settings.compose.stateful.read_text()),
        (str(project.env), env),
    )
    text = settings.caddyfile.read_text()
    caddyfile = str(folder / "proxy" / "Caddyfile")
    runs = f'[ -n "$({project.command("ps", "-q", "--status", "running", settings.proxy)})" ]'
    same = caddy.Caddyfile(str(root), "").same(text)
    broken = project.command("ps", "-aq", "--status", "restarting", "--status", "exited")
    run_script(
        host,
        " && ".join(
            (
                f"{{ {_share(root)}; }}",
                f"mkdir -p {quoted_path(root, 'traffic')} {quoted_path(root, 'releases')}",
                f"mkdir -p -m 1777 {quoted_path(root, 'logs')}",
                contents.write(project, files, Contents(secrets)),
            )
        ),
    )
    done = host.run(
        " && ".join(
            (
                f"{{ {_share(root)}; }}",
                f"{{ {runs} || {{ {write_files([(caddyfile, text)])}; }}; }}",
                # one that crashes again and again would wait minutes before its next start
                f"{broken} | xargs -r docker rm -f",
                project.command("up", "-d", "--wait", "--no-build", "--pull", "missing"),
                f"{{ {same} || echo {OTHER}; }}",
            )
        )
    )
    says = f"the shared services run ({time.monotonic() - began:.1f} s)"
    if OTHER in done.stdout.split():
        says += "; the proxy runs another Caddyfile than this project's: inv proxy.reload loads it"
    return says


def _share(root: PurePosixPath) -> str:
    """Give a new directory, and all that comes into it, to those who may use the engine.

    Who may not give it to them, or where there is no such group, keeps it.
    """
    folder, traffic = quoted_path(root), quoted_path(root, "traffic")
    give = f"{{ chgrp {GROUP} {folder} && chmod g+ws {folder}; }} 2>/dev/null"
    return f"[ -e {traffic} ] || {{ mkdir -p {folder} && {give}; }}; {shared_mask(root)}"


def _site(settings: Settings) -> dict[str, str]:
    """What the shared services are told of the site: its address in Caddy's words, and its ports.

    A site with a domain is open to everybody, unless the domain is one of this machine only.
    """
    site = settings.site
    plain = f"http://:{site.port}, https://localhost:{site.tls_port}"
    return {
        "SITE_ADDRESS": site.domain or plain,
        "SITE_BIND": "" if site.domain and not site.is_local else "127.0.0.1:",
        "HTTP_PORT": str(site.port),
        "TLS_PORT": str(site.tls_port),
        # elsewhere Caddy would redirect what the plain site is asked as localhost
        "REDIRECT_PORT": str(site.port if site.domain else 80),
        "SECURE_PORT": str(site.tls_port if site.domain else 443),
    }


def install_engine(host: Host, settings: Settings, setup: Path) -> str:
    """Install Docker Engine and Compose on a bare Debian or Ubuntu host with this project's setup.

    What is there already is left alone. Returns the last line that it printed. Raises HostError.
    """
    script = f"{settings.directory}/setup"
    write = write_files([(script, setup.read_text())])
    output = host.run(f"{write} && bash {quoted_path(script)} --engine-only")
    return output.stdout.strip().splitlines()[-1]
