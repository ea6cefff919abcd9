"""Faults on the way between clients, proxy and application."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from cyan.chaos.fault import Expectation, Fault, switches
from cyan.chaos.moment import Moment, NotInjectedError
from cyan.proof.relay.process import RelayOptions, relayed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cyan.chaos.deploying import Deployer
    from cyan.chaos.fault import Values
    from cyan.chaos.hands import Site
    from cyan.chaos.scene import Scene

LASTS = 2.0  # seconds of resets
SLOWLY = ("--env", "FAULT=healthy-after=6")
RTT, JITTER = 0.04, 0.015  # seconds
USERS = 8  # clients far away
DOWNLOAD = 20_000_000  # bytes: more than what the sockets in between hold
DEADLINE = 60.0


class Resets(Fault):
    """Every connection from the proxy to the live color is reset, for some seconds."""

    name = "connections-reset"
    group = "network"
    moment: ClassVar[Moment] = ("healthy", "step")

    @property
    def expects(self) -> Expectation:
        """Users are dropped for as long as it lasts; the deploy goes on."""
        return switches(outage=LASTS + 2)

    def words(self, version: str) -> tuple[str, ...]:
        """Slowly enough to be hit."""
        return (*super().words(version), *SLOWLY)

    def play(self, scene: Scene, version: str) -> None:
        """Heal while the deploy is still under way."""
        with scene.deployer(self.words(version)) as deployer:
            deployer.comes_to(self.moment)
            scene.inject(self, deployer)
            threading.Event().wait(LASTS)  # how long the fault is to last
            scene.heal(self)
            deployer.ends()

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """Answer what the proxy sends to the live color with a reset."""
        color = site.live()
        live = site.container(site.settings.public.service, color)
        form = f'{{{{(index .NetworkSettings.Networks "{site.settings.app}-{color}").IPAddress}}}}'
        address = site.docker("inspect", "-f", form, live.id)
        rule = ("OUTPUT", "-d", address, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
        proxy = site.container(site.settings.proxy)
        site.inside(proxy, "iptables", "-I", *rule)
        if not self.healed(site):
            raise NotInjectedError("the proxy's network takes no rule")

    def heal(self, site: Site) -> None:
        """Take every rule away: the proxy's own network has none but ours."""
        site.inside(site.container(site.settings.proxy), "iptables", "-F", "OUTPUT")

    def healed(self, site: Site) -> str:
        """Whether there is no rule."""
        rules = site.inside(site.container(site.settings.proxy), "iptables", "-S", "OUTPUT")
        return "connections are still reset" if "REJECT" in rules else ""


class SlowClients(Fault):
    """Clients that send slowly and clients that read slowly are served across the switch."""

    name = "slow-clients"
    group = "network"
    seconds = 25
    moment: ClassVar[Moment] = ("smoke", "step")

    @property
    def expects(self) -> Expectation:
        """The drain waits for them: each gets its complete answer."""
        return switches()

    def play(self, scene: Scene, version: str) -> None:
        """Let them begin just before the switch, and see that each was served."""
        clients = Clients(scene.site.settings.site.port, [send_slowly] * 3 + [read_slowly] * 3)
        with scene.deployer(self.words(version)) as deployer:
            deployer.comes_to(self.moment)
            scene.inject(self, deployer)
            clients.begin()
            deployer.ends()
        clients.end()
        scene.unserved = tuple(clients.unserved)


class RoundTrip(Fault):
    """Clients with a long and uneven way to the site are served across the switch."""

    name = "round-trip"
    group = "network"

    def __init__(self, values: Values | None = None) -> None:
        super().__init__(values)
        self._took: list[float] = []

    @property
    def expects(self) -> Expectation:
        """Each request gets its complete answer."""
        return switches()

    def play(self, scene: Scene, version: str) -> None:
        """Lead them over a relay; they are at work before the deploy begins and after it ends."""
        stop = threading.Event()
        url = f"http://127.0.0.1:{scene.site.settings.site.port}"
        with relayed(url, RelayOptions(RTT, jitter=JITTER)) as way:
            work = partial(use, stop, self._took)
            clients = Clients(urlsplit(way).port or 80, [work] * USERS)
            clients.begin()
            try:
                scene.inject(self)
                with scene.deployer(self.words(version)) as deployer:
                    deployer.ends()
            finally:
                stop.set()
                clients.end()
        scene.unserved = tuple(clients.unserved)

    def inject(self, site: Site, deployer: Deployer | None) -> None:  # noqa: ARG002
        """See that their requests take so long, and not all the same."""
        site.until(lambda: len(self._took) > 10 * USERS, "the clients are at work")
        took = sorted(self._took)
        if took[0] < RTT - JITTER or took[-1] - took[0] < JITTER / 2:
            raise NotInjectedError(f"requests take {took[0]:.3f} to {took[-1]:.3f} s")


class Clients:
    """Clients of a fault's own, each in a thread; `unserved` says what went wrong."""

    def __init__(self, port: int, works: Sequence[Callable[[HTTPConnection], None]]) -> None:
        self._port = port
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in works
        ]
        self.unserved: list[str] = []

    def begin(self) -> None:
        """Start them."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Wait until each has its answer or has given up."""
        for thread in self._threads:
            thread.join()  # each of its calls has a deadline

    def _guarded(self, work: Callable[[HTTPConnection], None]) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        try:
            work(connection)
        except (OSError, HTTPException) as error:
            self.unserved.append(f"{getattr(work, '__name__', 'use')}: {error!r}")
        finally:
            connection.close()


ORDER = json.dumps({"item": "slowly", "quantity": 1}).encode()


def send_slowly(connection: HTTPConnection) -> None:
    """Post an order byte by byte."""
    connection.putrequest("POST", "/orders")
    connection.putheader("Content-Length", str(len(ORDER)))
    connection.endheaders()
    pause = threading.Event()
    for place in range(len(ORDER)):
        connection.send(ORDER[place : place + 1])
        pause.wait(0.1)  # slowness is the point
    _answered(connection, HTTPStatus.CREATED)


def read_slowly(connection: HTTPConnection) -> None:
    """Read a download piece by piece."""
    connection.request("GET", f"/download?bytes={DOWNLOAD}")
    answer, got = connection.getresponse(), 0
    pause = threading.Event()
    while piece := answer.read(DOWNLOAD // 40):
        got += len(piece)
        pause.wait(0.1)
    if got != DOWNLOAD:
        raise HTTPException(f"{got} of {DOWNLOAD} bytes")


def use(stop: threading.Event, took: list[float], connection: HTTPConnection) -> None:
    """Request after request on one connection until told to stop; the seconds that each took."""
    while not stop.is_set():
        for method, path, body, wanted in VISIT:
            begun = time.monotonic()
            connection.request(method, path, body)
            _answered(connection, wanted)
            took.append(time.monotonic() - begun)


VISIT = (
    ("GET", "/items", None, HTTPStatus.OK),
    ("GET", "/ask?q=far", None, HTTPStatus.OK),
    ("POST", "/orders", ORDER, HTTPStatus.CREATED),
)


def _answered(connection: HTTPConnection, wanted: HTTPStatus) -> None:
    """Read an answer to its end. Raises HTTPException where it is not whole, or not as wanted."""
    answer = connection.getresponse()
    answer.read()
    if answer.status != wanted:
        raise HTTPException(f"status {answer.status}")
