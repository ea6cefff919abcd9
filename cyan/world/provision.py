"""Preparing a host that has an engine: the application's directory, its shared services."""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cyan.world import compose
from cyan.world.compose import quoted_path

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.settings import Settings
    from cyan.world.host import Host

FOLDER = "shared"


def provision(host: Host, settings: Settings) -> str:
    """Make the directory, write the proxy's and the database's files, start what does not run.

    Safe to repeat: what runs unchanged is left alone. Returns what was done, in words. Raises
    HostError.
    """
    began = time.monotonic()
    root = PurePosixPath(settings.directory)
    folder = root / FOLDER
    env = compose.env_file(
        {
            "APP": settings.app,
            "DIRECTORY": str(root),
            "SITE_BIND": f"127.0.0.1:{settings.site.port}",
            "TLS_PORT": str(settings.site.tls_port),
            "PUBLIC_PORT": str(settings.public.port),
            "BLUE_DOOR": str(settings.doors.blue),
            "GREEN_DOOR": str(settings.doors.green),
        }
    )
    project = compose.Project(settings.app, folder)
    files = (
        (str(folder / "proxy" / "Caddyfile"), settings.caddyfile.read_text()),
        (str(project.file), settings.compose.stateful.read_text()),
        (str(project.env), env),
    )
    broken = project.command("ps", "-aq", "--status", "restarting", "--status", "exited")
    host.run(
        " && ".join(
            (
                f"mkdir -p {quoted_path(root, 'traffic')} {quoted_path(root, 'releases')}",
                f"mkdir -p -m 1777 {quoted_path(root, 'logs')}",
                compose.write_files(files),
                # one that crashes again and again would wait minutes before its next start
                f"{broken} | xargs -r docker rm -f",
                project.command("up", "-d", "--wait", "--no-build", "--pull", "missing"),
            )
        )
    )
    return f"the shared services run ({time.monotonic() - began:.1f} s)"


def install_engine(host: Host, settings: Settings, setup: Path) -> str:
    """Install Docker Engine and Compose on a bare Debian or Ubuntu host with this project's setup.

    What is there already is left alone. Returns the last line that it printed. Raises HostError.
    """
    script = f"{settings.directory}/setup"
    write = compose.write_files([(script, setup.read_text())])
    output = host.run(f"{write} && bash {quoted_path(script)} --engine-only")
    return output.stdout.strip().splitlines()[-1]
