"""The sessions of one SSH connection, which are commands that run at once, and what sshd refuses.

sshd counts them: https://man.openbsd.org/sshd_config#MaxSessions. Connections to the host's own
ports that go through it are channels, too, but no sessions.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from weakref import WeakSet

from paramiko import SSHException

from cyan.errors import HostError

if TYPE_CHECKING:
    from paramiko import Channel, Transport

AT_ONCE = 8  # of one connection; unless it is told otherwise, sshd has no more than ten
OPENING = 10  # seconds for the answer to one
FREEING = 2.0  # seconds that sshd may count one on that we closed: until its process has ended
PATIENCE = 120.0  # seconds that one may wait for another to end
POLL = 0.01  # seconds
AGAIN = 0.3  # seconds until it is tried again how many sshd gives
PROHIBITED = 1  # of RFC 4254, section 5.1: "administratively prohibited"

RELOAD = "in the host's /etc/ssh/sshd_config, then: systemctl reload ssh"


class Sessions:
    """Opens the sessions of one connection, never more than `at_once` that are not closed."""

    def __init__(self, where: str, at_once: int = AT_ONCE) -> None:
        self._where = where
        self._at_once = at_once
        self._lock = threading.Lock()
        self._opening = 0
        self._open: WeakSet[Channel] = WeakSet()
        self.most = 0  # that were ever open at once

    def open(self, transport: Transport) -> Channel:
        """One more, as soon as there is room for it.

        Raises HostError where sshd refuses it, SSHException or OSError where the connection broke.
        """
        self._reserve(time.monotonic() + PATIENCE)
        deadline = time.monotonic() + FREEING
        try:
            while True:
                try:
                    return self._kept(transport.open_session(timeout=OPENING))
                except SSHException as error:  # no ChannelException where several are refused
                    if not transport.is_active():
                        raise
                    if time.monotonic() > deadline:
                        raise self._refused(error) from None
                time.sleep(POLL)
        finally:
            self._free(1)

    def allowed(self, transport: Transport) -> int:
        """How many sshd lets be open at once, as far as they are ever needed; tried for real."""
        with self._lock:
            free = self._at_once - self._count()
            self._opening += free
        deadline, most = time.monotonic() + FREEING, 0
        try:
            while refused := _refusing(transport, free):
                with self._lock:
                    others = self._count() - free  # that were open all the while
                most = max(most, others + free - refused)
                if time.monotonic() > deadline:
                    return most
                time.sleep(AGAIN)  # one that we closed may be counted still
        finally:
            self._free(free)
        return self._at_once

    def _count(self) -> int:
        return self._opening + sum(not each.closed for each in self._open)

    def _reserve(self, deadline: float) -> None:
        while True:
            with self._lock:
                if self._count() < self._at_once:
                    self._opening += 1
                    self.most = max(self.most, self._count())
                    return
            if time.monotonic() > deadline:
                raise HostError(
                    f"{self._at_once} commands run on one connection, and none of them ends",
                    where=self._where,
                    todo="see what was under way: inv status",
                )
            time.sleep(POLL)

    def _free(self, count: int) -> None:
        with self._lock:
            self._opening -= count

    def _kept(self, session: Channel) -> Channel:
        with self._lock:
            self._open.add(session)
        return session

    def _refused(self, error: SSHException) -> HostError:
        with self._lock:
            others = sum(not each.closed for each in self._open)
        return HostError(
            f"sshd on the host gives no more than {others} sessions at once to one connection; "
            f"{self._at_once} are needed ({error})",
            where=self._where,
            todo=f"MaxSessions 10 {RELOAD}",
        )


class ProhibitedError(HostError):
    """The host's sshd forbids a connection to one of its own ports."""


def prohibited(port: int, where: str) -> ProhibitedError:
    """The error of a host whose sshd forbids a connection to one of its own ports."""
    return ProhibitedError(
        f"sshd on the host forbids to connect to its 127.0.0.1:{port} through SSH",
        where=where,
        todo=f"AllowTcpForwarding local {RELOAD}; nor may a PermitOpen there leave the port out, "
        "or 'restrict' stand before the key in authorized_keys",
    )


def _refusing(transport: Transport, count: int) -> int:
    """How many of so many sessions sshd does not give at once."""
    with ThreadPoolExecutor(max(1, count)) as pool:
        tried = list(pool.map(lambda _: _tried(transport), range(count)))
    for each in tried:
        if each is not None:
            each.close()
    return tried.count(None)


def _tried(transport: Transport) -> Channel | None:
    try:
        return transport.open_session(timeout=OPENING)
    except SSHException:
        return None
