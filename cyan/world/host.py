"""One host over SSH: commands, and HTTP to ports that only the host itself can reach."""

from __future__ import annotations

import logging
import shlex
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from fabric import Connection
from invoke.exceptions import ThreadException
from paramiko import (
    AuthenticationException,
    BadHostKeyException,
    ChannelException,
    RejectPolicy,
    SSHException,
)

from cyan.errors import HostError
from cyan.world.podman import speaking_to
from cyan.world.sessions import PROHIBITED, ProhibitedError, Sessions, prohibited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from paramiko import Channel, Transport
    from paramiko.file import BufferedFile

    from cyan.sections import HostSettings

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # our errors say it in words

CONNECT_TIMEOUT = 10  # seconds
SHOWN = 160  # characters of a command in a message
KEEPALIVE = 15  # seconds between SSH keep-alives, so that something is sent to a dead peer
PIECE = 1 << 18  # bytes of a command's output that are read at once, at most
SILENCE = 45  # seconds that what was sent may go unacknowledged before the connection is given up


@dataclass(frozen=True)
class Output:
    """What a command on the host printed, and its exit code."""

    stdout: str
    stderr: str
    code: int


@dataclass(frozen=True)
class Clock:
    """How far the host's wall clock is ahead of ours, and the bound of that figure, in seconds."""

    offset: float
    uncertainty: float


def quoted(words: Iterable[str]) -> str:
    """The words as one shell command, each quoted."""
    return shlex.join(words)


def _short(command: str) -> str:
    """A command as messages show it: one line, not the files that it writes."""
    line = " ".join(command.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]} ..."


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


class Runner(Protocol):
    """Who runs a command on the host: the host itself, or a lock by which only its owner may."""

    def run(self, command: str, *, check: bool = True) -> Output:
        """As `Host.run`."""

    def feed(self, command: str, write: Callable[[Sink], object], *, check: bool = True) -> Output:
        """As `Host.feed`."""


def _reading(echo: Channel, answers: BufferedFile[str]) -> Clock:
    """One question to the host's clock. Raises ValueError for an answer that is no time."""
    sent = time.time()
    echo.sendall(b"\n")
    theirs = float(answers.readline())
    half = (time.time() - sent) / 2
    return Clock(theirs - (sent + half), half)


class Sink:
    """The standard input of a command on the host, as a file to write to."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def write(self, data: bytes) -> int:
        """Send all of `data`; how many bytes that were. Raises OSError where nobody reads it."""
        self._channel.sendall(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""


class _Connection(Connection):  # type: ignore[misc] # Fabric has no types
    """Fabric's connection, whose sessions another counts."""

    opens: Callable[[], Channel] | None = None

    def create_session(self) -> Channel:
        """A new session; Fabric's `run` asks for one."""
        assert self.opens is not None  # noqa: S101 - for the type checker: Host gives it
        return self.opens()


class Host:
    """A host that commands run on. Opens its SSH connection when it is first needed.

    The host's key is checked strictly: an unknown or changed key is a HostError, never accepted.
    """

    def __init__(self, settings: HostSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self._opening = threading.RLock()  # several threads may be the first to need it
        connect: dict[str, object] = {}
        if settings.identity:
            connect = {"key_filename": str(settings.identity), "look_for_keys": False}
        self.sessions = Sessions(self.name)
        self._connection = _Connection(
            settings.address,
            user=settings.user,
            port=settings.port,
            connect_timeout=CONNECT_TIMEOUT,
            connect_kwargs=connect,
            forward_agent=False,
        )
        self._connection.opens = self.session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the SSH connection; another call opens a new one."""
        self._connection.close()

    @property
    def transport(self) -> Transport:
        """The open SSH transport. Raises HostError where there is no way to the host."""
        with self._opening:
            if not self._connection.is_connected:
                self._open()
        transport: Transport = self._connection.transport
        return transport

    @property
    def our_address(self) -> str:
        """This machine's address as the host's connection has it. Raises HostError."""
        sock = self.transport.sock
        if not isinstance(sock, socket.socket):
            raise HostError("the host is behind a gateway and cannot call back", where=self.name)
        return str(sock.getsockname()[0])

    def run(self, command: str, *, check: bool = True) -> Output:
        """Run a shell command. Raises HostError if it cannot run or, with `check`, if it fails."""
        _ = self.transport
        try:
            result = self._connection.run(
                command,
                hide=True,
                warn=True,
                in_stream=False,
            )
        except (SSHException, ThreadException, OSError, EOFError) as error:
            raise self._broken(command, error) from None
        output = Output(result.stdout, result.stderr, result.return_code)
        if check and output.code != 0:
            raise self.failed(command, output)
        return output

    def attached(self, command: str) -> int:
        """Run a shell command on this terminal, with its keys and its size; its exit code.

        Raises HostError if it cannot run.
        """
        _ = self.transport
        try:
            done = self._connection.run(command, pty=True, warn=True, hide=False)
        except (SSHException, ThreadException, OSError, EOFError) as error:
            raise self._broken(command, error) from None
        return int(done.return_code)

    def failed(self, command: str, output: Output) -> HostError:
        """The error of a command that exited with another code than 0."""
        return HostError(
            f"a command on the host failed with exit code {output.code}: "
            f"{(output.stderr or output.stdout).strip()[-2000:]}",
            where=f"{self.name}: {_short(command)}",
        )

    def session(self) -> Channel:
        """A session that runs nothing yet, once there is room for one more.

        Raises HostError where sshd refuses it, SSHException or OSError where the connection broke.
        """
        return speaking_to(self.settings.engine, self.sessions.open(self.transport))

    def channel(self, command: str) -> Channel:
        """A running command whose standard input and output are the channel's. Raises HostError."""
        try:
            session = self.session()
            session.exec_command(command)
        except (SSHException, OSError, EOFError) as error:
            raise self._broken(command, error) from None
        return session

    def pieces(self, command: str) -> Iterator[bytes]:
        """What a shell command prints, as it comes. Raises HostError if it fails."""
        try:
            with self.channel(command) as channel:
                while piece := channel.recv(PIECE):
                    yield piece
                code = channel.recv_exit_status()
        except (SSHException, OSError, EOFError) as error:
            raise self._broken(command, error) from None
        if code != 0:
            raise self.failed(command, Output("", "", code))

    def feed(self, command: str, write: Callable[[Sink], object], *, check: bool = True) -> Output:
        """Run a shell command, and let `write` write its standard input.

        What is fed stands in no argument list and in no message. Raises HostError as `run` does.
        """
        try:
            with self.channel(command) as channel:
                with suppress(OSError):  # it ended before it had read all; its exit code says why
                    write(Sink(channel))
                    channel.shutdown_write()
                stdout, stderr = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
                code = channel.recv_exit_status()
        except (SSHException, OSError, EOFError) as error:
            raise self._broken(command, error) from None
        if code == -1:  # paramiko's word for a channel that ended without an exit code
            raise self._broken(command, "it ended without an exit code")
        output = Output(_text(stdout), _text(stderr), code)
        if check and output.code != 0:
            raise self.failed(command, output)
        return output

    def tunnel(self, port: int) -> Channel:
        """A TCP connection to 127.0.0.1:`port` of the host.

        Raises OSError where nobody listens there, HostError where sshd forbids it.
        """
        try:
            return self.transport.open_channel(
                "direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0), timeout=CONNECT_TIMEOUT
            )
        except SSHException as error:
            if isinstance(error, ChannelException) and error.code == PROHIBITED:
                raise prohibited(port, self.name) from None
            raise ConnectionRefusedError(f"127.0.0.1:{port} on {self.name}: {error}") from None

    def forbids(self, port: int) -> bool:
        """Whether sshd forbids a connection to that port of the host. Raises HostError."""
        try:
            self.tunnel(port).close()
        except OSError:
            return False
        except ProhibitedError:
            return True
        return False

    def clock(self, *, readings: int = 5) -> Clock:
        """Compare the clocks as NTP does: the reading with the shortest round trip counts.

        RFC 5905, section 8: offset = ((T2 - T1) + (T3 - T4)) / 2, where the host, which answers
        at once, has T2 = T3; its error is at most half of the round trip T4 - T1, and of a row of
        readings the one with the shortest is taken (section 10). Raises HostError.
        """
        try:
            with (
                self.channel("while read -r _; do date +%s.%N; done") as echo,
                echo.makefile("r") as answers,
            ):
                found = [_reading(echo, answers) for _ in range(readings)]
        except (SSHException, OSError, EOFError, ValueError) as error:
            raise HostError(
                f"the host's clock cannot be read ({error or type(error).__name__})",
                where=self.name,
            ) from None
        return min(found, key=lambda clock: clock.uncertainty)

    def _open(self) -> None:
        for hop in self._hops():
            self._be_strict(hop)
        try:
            self._connection.open()
        except BadHostKeyException as error:
            raise self._unreachable(
                f"the host's key is not the one that is known ({error})",
                "find out why before anything else: this is what an impostor looks like",
            ) from None
        except AuthenticationException as error:
            raise self._unreachable(
                f"the host refused the log-in ({error})", "check user, identity and authorized_keys"
            ) from None
        except SSHException as error:
            unknown = next(hop for hop in self._hops() if not hop.is_connected)
            todo = (
                f"pin its key first: ssh-keyscan -p {unknown.port} {unknown.host}"
                if "not found in known_hosts" in str(error)
                else "check the host's sshd"
            )
            raise self._unreachable(f"no SSH connection ({error})", todo) from None
        except (OSError, socket.gaierror) as error:
            raise self._unreachable(
                f"the host cannot be reached ({error})",
                "is it up, and the address right? the lab is started with: inv lab.up",
            ) from None
        transport: Transport = self._connection.transport
        transport.set_keepalive(KEEPALIVE)
        # small packets back and forth: waiting to fill one costs 40 ms each time
        if isinstance(transport.sock, socket.socket):  # and not a channel of a gateway
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the kernel's own patience
                silent = int(SILENCE * 1000)
                transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silent)

    def _hops(self) -> tuple[Connection, ...]:
        """The connections on the way, the nearest first; the last one is the host's own.

        Fabric makes the others of ProxyJump. A ProxyCommand is another program's, with its own
        check.
        """
        hops, hop = [], self._connection
        while isinstance(hop, Connection):
            hops.append(hop)
            hop = hop.gateway
        return tuple(reversed(hops))

    def _be_strict(self, hop: Connection) -> None:
        """An unknown or changed key is an error: Fabric would accept any that is unknown."""
        client = hop.client
        client.set_missing_host_key_policy(RejectPolicy())
        with suppress(OSError):
            client.load_system_host_keys()
        if self.settings.known_hosts and self.settings.known_hosts.exists():
            client.load_host_keys(str(self.settings.known_hosts))

    def _broken(self, command: str, error: object) -> HostError:
        return HostError(
            f"the SSH connection broke while a command ran ({error or type(error).__name__})",
            where=f"{self.name}: {_short(command)}",
            todo="see what was under way: inv status",
        )

    def _unreachable(self, what: str, todo: str) -> HostError:
        return HostError(what, where=self.name, todo=todo)
