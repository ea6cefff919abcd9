"""Faults on the way between clients, proxy and application."""

from __future__ import annotations

import http.client
import json
import threading
from typing import TYPE_CHECKING, ClassVar

from cyan.chaos.fault import Expectation, Fault, Moment, NotInjectedError, switches

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyan.chaos.deployer import Deployer
    from cyan.chaos.scene import Scene
    from cyan.chaos.site import Site

LASTS = 2.0  # seconds of resets
SLOWLY = ("--env", "FAULT=healthy-after=6")
SENDERS = READERS = 3
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
        clients = _Clients(scene.site.settings.site.port)
        with scene.deployer(self.words(version)) as deployer:
            deployer.comes_to(self.moment)
            scene.inject(self, deployer)
            clients.begin()
            deployer.ends()
        clients.end()
        scene.unserved = tuple(clients.unserved)


class _Clients:
    """Slow clients, each in a thread; `unserved` says what went wrong."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._threads = [
            threading.Thread(target=self._guarded, args=(what,), daemon=True)
            for what in [self._send] * SENDERS + [self._read] * READERS
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

    def _guarded(self, what: Callable[[http.client.HTTPConnection], None]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        try:
            what(connection)
        except (OSError, http.client.HTTPException) as error:
            self.unserved.append(f"{what.__name__.strip('_')}: {error!r}")
        finally:
            connection.close()

    def _send(self, connection: http.client.HTTPConnection) -> None:
        body = json.dumps({"item": "slowly", "quantity": 1}).encode()
        connection.putrequest("POST", "/orders")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        pause = threading.Event()
        for place in range(len(body)):
            connection.send(body[place : place + 1])
            pause.wait(0.1)  # slowness is the point
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.CREATED:
            raise http.client.HTTPException(f"status {answer.status}")

    def _read(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", f"/download?bytes={DOWNLOAD}")
        answer, got = connection.getresponse(), 0
        pause = threading.Event()
        while piece := answer.read(DOWNLOAD // 40):
            got += len(piece)
            pause.wait(0.1)
        if got != DOWNLOAD:
            raise http.client.HTTPException(f"{got} of {DOWNLOAD} bytes")
