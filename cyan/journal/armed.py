"""A command on the host that has begun and waits for a word: what is left to send is one packet.

Several hosts are told so at the same instant. One whose deployer is gone is told nothing: its
command ends, and nothing was done.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from paramiko import SSHException

from cyan.errors import HostError
from cyan.world.host import Output

if TYPE_CHECKING:
    from cyan.journal.lock import Lock
    from cyan.world.host import Host

CALLED_OFF = 174  # exit code of a command that was never told
WITHIN = 15.0  # seconds for the host to be ready, and for what the command says
POLL = 0.005  # seconds
WAITS = (
    "{{ {first}; }} && echo ready || exit 1; "
    'read -r word && [ "$word" = go ] || exit {code}; {command}'
)


class Armed:
    """A command that is about to run on a host, under its lock. Raises HostError where it is not.

    What is to be done on every host before any of them is told, `first`, is done by then.

    Its answer may take `WITHIN`; it is closed by who made it.
    """

    def __init__(self, host: Host, lock: Lock, command: str, first: str = ":") -> None:
        self._host = host
        self._command = command
        waits = WAITS.format(first=first, code=CALLED_OFF, command=command)
        self._channel = host.channel(lock.guarded(waits))
        self._channel.settimeout(WITHIN)
        self._answers = self._channel.makefile("r")
        try:
            self._wait_until_ready()
        except HostError:
            self.close()  # else it would wait on, and keep whatever undoes this from the host
            raise

    def _wait_until_ready(self) -> None:
        if self._line() == "ready":
            return
        said = str(self._channel.makefile_stderr("r").read()).strip()
        raise HostError(
            f"the host is not ready to be switched ({said or 'its lock is not ours any more'})",
            where=self._host.name,
            todo="nothing was done; see how things stand: inv status",
        )

    def go(self) -> None:
        """Have it run now. Raises HostError where the host cannot be told."""
        try:
            self._channel.sendall(b"go\n")
        except (SSHException, OSError, EOFError) as error:
            raise self._broken(error) from None

    def said(self) -> Output:
        """What it printed, once it has ended. Raises HostError where that is not known."""
        line, deadline = self._line(), time.monotonic() + WITHIN
        while not self._channel.exit_status_ready():
            if time.monotonic() > deadline:
                raise self._broken("it does not end")
            time.sleep(POLL)
        code = self._channel.recv_exit_status()
        if code != 0:
            said = self._channel.makefile_stderr("r").read()
            raise self._host.failed(self._command, Output(line, str(said), code))
        return Output(line, "", code)

    def close(self) -> None:
        """Let go of it: told nothing by now, it ends without having done anything."""
        self._channel.close()

    def _line(self) -> str:
        try:
            return str(self._answers.readline()).strip()
        except (SSHException, OSError, EOFError) as error:
            raise self._broken(error) from None

    def _broken(self, error: object) -> HostError:
        return HostError(
            f"the host was lost while it was to run a command ({error or type(error).__name__})",
            where=self._host.name,
        )
