"""PostgreSQL in a shared container: scripts for psql, which runs inside it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cyan.errors import HostError
from cyan.world.host import Output

if TYPE_CHECKING:
    from cyan.settings import DatabaseSettings
    from cyan.world.host import Host

END = "-- cyan: end"
WHOLE = (
    'script=$(cat); case $script in *"$0") ;; *) echo "the script was cut short" >&2; exit 70;; '
    'esac; export PGPASSWORD="${POSTGRES_PASSWORD:-}" PGAPPNAME="$1"; shift; '
    'printf "%s\\n" "$script" | psql "$@"'
)
"""Half a script is not run: the half of a statement may be a statement too."""


class Database:
    """The database in `container`, as its own psql reaches it there."""

    def __init__(self, host: Host, container: str, settings: DatabaseSettings, name: str) -> None:
        self._host = host
        words = ("docker", "exec", "-i", container, "sh", "-c", WHOLE, END, name)
        options = ("-X", "-q", "-At", "-v", "ON_ERROR_STOP=1")
        where = ("-h", settings.socket, "-U", settings.user, "-d", settings.name)
        self._command = shlex.join((*words, *options, *where))

    def run(self, script: str) -> Output:
        """Run a script until its first error; what it printed. Raises HostError where cut off."""
        with self._host.channel(self._command) as channel:
            try:
                channel.sendall(f"SET client_min_messages = warning;\n{script}\n{END}\n".encode())
                channel.shutdown_write()
                stdout = channel.makefile("rb").read().decode(errors="replace")
                stderr = channel.makefile_stderr("rb").read().decode(errors="replace")
                code = channel.recv_exit_status()
            except OSError as error:
                raise self._cut_off(str(error)) from None
        if code < 0:
            raise self._cut_off("no exit code came back")
        return Output(stdout, stderr, code)

    def _cut_off(self, why: str) -> HostError:
        return HostError(
            f"the SSH connection broke while the database worked ({why})",
            where=self._host.name,
            todo="what was under way is undone or finished by the next one: inv migrate.status",
        )
