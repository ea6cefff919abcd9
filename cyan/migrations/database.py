"""PostgreSQL in a shared container: scripts for psql, which runs inside it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyan.sections import DatabaseSettings
    from cyan.world.host import Output, Runner

END = "-- cyan: end"
WHOLE = (
    'script=$(cat); case $script in *"$0") ;; *) echo "the script was cut short" >&2; exit 70;; '
    'esac; export PGPASSWORD="${POSTGRES_PASSWORD:-}" PGAPPNAME="$1"; shift; '
    'printf "%s\\n" "$script" | psql "$@"'
)
"""Half a script is not run: the half of a statement may be a statement too."""


class Database:
    """The database in `container`, as its own psql reaches it there.

    `name` is what its sessions are called in pg_stat_activity.
    """

    def __init__(self, container: str, settings: DatabaseSettings, name: str) -> None:
        words = ("docker", "exec", "-i", container, "sh", "-c", WHOLE, END, name)
        options = ("-X", "-q", "-At", "-v", "ON_ERROR_STOP=1")
        where = ("-h", settings.socket, "-U", settings.user, "-d", settings.name)
        self._command = shlex.join((*words, *options, *where))

    def run(self, script: str, by: Runner) -> Output:
        """Have a script run until its first error; what it printed. Raises HostError."""
        return by.feed(self._command, lambda sink: sink.write(_whole(script)), check=False)

    def command(self, script: str) -> str:
        """The shell command that runs a script; whoever lists the processes can read it."""
        return f"printf %s {shlex.quote(_whole(script).decode())} | {self._command}"


def _whole(script: str) -> bytes:
    return f"SET client_min_messages = warning;\n{script}\n{END}\n".encode()
