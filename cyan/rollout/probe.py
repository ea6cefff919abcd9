"""Asking the site while it is deployed, as users do: no log can tell who was refused."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cyan.hosts import site

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from cyan.hosts.session import Session
    from cyan.world.tunnel import Tls

WITHIN = 10.0  # seconds for an answer
ENDING = 12.0  # seconds that the last one may take
SERVER_ERROR = 500


@dataclass
class Probe:
    """What was asked, in order: instants (our wall clock), and what was wrong ("" for nothing).

    `why_not` says why nobody asked, `lost` that the connection to the host ended meanwhile.
    """

    asked: list[tuple[float, str]] = field(default_factory=list)
    why_not: str = ""
    lost: bool = False

    @property
    def failures(self) -> list[tuple[float, str]]:
        """Those that were not answered well."""
        return [each for each in self.asked if each[1]]


@contextmanager
def probing(mine: Session, rate: float) -> Iterator[Probe]:
    """Ask the site's ready path `rate` times a second while the block runs, each once.

    Every second request on a connection that is kept, the others each on a new one; all on new
    ones where the ports are to be taken over: kept ones end with who has them. Nobody asks
    where the site does not answer well to begin with: a failure would say nothing of a deploy.
    """
    probe, stop = Probe(), threading.Event()
    if not rate:
        probe.why_not = "cyan.prove.rate is 0"
    elif not mine.world.live and not mine.world.own:
        probe.why_not = "nothing was live"
    else:
        tls = site.trusted(mine.host, mine.settings, mine.world)
        asking = _Asking(mine, tls)
        if wrong := asking.once(keep=False):
            probe.why_not = f"the site did not answer well before: {wrong}"
            asking.close()
        else:
            args = (asking, probe, stop, rate, not mine.world.own)
            thread = threading.Thread(target=_ask, args=args, daemon=True)
            thread.start()
            try:
                yield probe
            finally:
                stop.set()
                thread.join(ENDING)
            return
    yield probe


def _ask(asking: _Asking, probe: Probe, stop: threading.Event, rate: float, keeps: bool) -> None:  # noqa: FBT001
    number, begun = 0, time.monotonic()
    while not stop.is_set():
        at, wrong = time.time(), asking.once(keep=keeps and number % 2 == 0)
        if wrong and not asking.connected:
            probe.lost = True  # it was the deployer's own connection that ended: no user's
            break
        probe.asked.append((at, wrong))
        number = max(number + 1, int((time.monotonic() - begun) * rate))
        stop.wait(max(0.0, begun + number / rate - time.monotonic()))
    asking.close()


class _Asking:
    """Two ways to ask: on a connection that is kept, and on a new one."""

    def __init__(self, mine: Session, tls: Tls | None) -> None:
        self._mine = mine
        self._tls = tls
        self._kept: httpx.Client | None = None
        self._transport = mine.host.transport

    def once(self, *, keep: bool) -> str:
        """Ask once; what was wrong, "" where it was answered well."""
        try:
            if not keep:
                with self._client() as new:
                    return self._answered(new)
            self._kept = self._kept or self._client()
            return self._answered(self._kept)
        except Exception as error:  # noqa: BLE001 - httpx's, httpcore's, paramiko's or TLS's own
            self.close()
            return str(error) or type(error).__name__

    @property
    def connected(self) -> bool:
        """Whether the connection to the host is still the one through which this began to ask.

        Of another that was made since nobody knows what became of a request meanwhile.
        """
        return bool(self._transport.is_active())

    def close(self) -> None:
        """End the connection that was kept."""
        with suppress(Exception):
            if self._kept:
                self._kept.close()
        self._kept = None

    def _client(self) -> httpx.Client:
        made = site.site(self._mine.host, self._mine.settings, self._tls)
        made.timeout = WITHIN
        return made

    def _answered(self, client: httpx.Client) -> str:
        settings = self._mine.settings
        headers = site.headers(settings, settings.public.send)
        headers["X-Request-ID"] = f"{site.OURS}{uuid.uuid4().hex}"
        status = client.get(settings.public.ready, headers=headers).status_code
        return f"answered {status}" if status >= SERVER_ERROR else ""
