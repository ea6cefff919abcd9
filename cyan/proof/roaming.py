"""Users who come to another host of a fleet with each request, as through a balancer.

A rename is never at one instant everywhere, and a host may be left behind: then one of them may be
answered by the new version, and by the old one again. How often that was is told, and judged where
`site.sticky` promises that it is never.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from dataclasses import dataclass
from http.cookies import SimpleCookie
from itertools import pairwise
from typing import TYPE_CHECKING

from cyan.proxies.log_line import color_of, id_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from cyan.proof.load import Load
    from cyan.settings import Settings

SESSIONS = 4
PACE = 0.1  # seconds between the requests of one
WITHIN = 10.0  # seconds for an answer
ENDING = 12.0  # seconds that the last one may take
SERVER_ERROR = 500
NAME = "roam-"
"""How the ids of their requests begin."""


@dataclass(frozen=True)
class Roamed:
    """What became of them: requests, failures in words, and how often an old color came back.

    `unknown` is the number of requests whose answer no proxy's log has.
    """

    sessions: int
    requests: int
    failures: tuple[str, ...] = ()
    unknown: int = 0
    back: int = 0

    @property
    def sentence(self) -> str:
        """In words; "" where nobody asked."""
        if not self.requests:
            return ""
        again = f"{self.back:,} times by the old version again" if self.back else "never backwards"
        failed = f"; {len(self.failures):,} failed: {self.failures[0]}" if self.failures else ""
        doubt = f"; no proxy's log has {self.unknown:,} of them" if self.unknown else ""
        return (
            f"{self.sessions} users came to another host with each of their {self.requests:,} "
            f"requests, and were answered {again}{failed}{doubt}."
        )


class Roamers:
    """Who asks while a `with` block runs; `loads` say where each host's site is."""

    def __init__(self, settings: Settings, loads: Sequence[Load]) -> None:
        self._settings, self._loads = settings, loads
        self._asked: list[list[str]] = [[] for _ in range(SESSIONS)]  # ids, in order
        self._failures: dict[str, str] = {}
        self._stop, self._run = threading.Event(), uuid.uuid4().hex[:8]
        self._threads = [
            threading.Thread(target=self._roam, args=(number,), daemon=True)
            for number in range(SESSIONS)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_raised: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(ENDING)

    def judged(self, folders: Iterable[Path], switches: int) -> Roamed:
        """What became of them, by the proxies' logs in the folders of the hosts' runs."""
        by: dict[str, str] = {}
        for folder in folders:
            by |= colors(folder / "proxy.jsonl")
        ids = [each for session in self._asked for each in session]
        unknown = sum(not by.get(each) and each not in self._failures for each in ids)
        back = sum(returns([by.get(each, "") for each in one], switches) for one in self._asked)
        return Roamed(len(self._asked), len(ids), tuple(self._failures.values()), unknown, back)

    def _roam(self, session: int) -> None:
        import httpx  # noqa: PLC0415 - slow to import

        cookies: dict[str, str] = {}
        clients = [
            httpx.Client(base_url=_address(each), verify=_trusting(each), timeout=WITHIN)
            for each in self._loads
        ]
        number = session  # not all of them at the same host
        while not self._stop.wait(PACE):
            number += 1
            client, asked = clients[number % len(clients)], f"{NAME}{self._run}-{session}-{number}"
            self._asked[session].append(asked)
            try:
                answer = client.get(
                    self._settings.public.ready,
                    headers=_headers(self._settings, cookies, asked),
                    extensions={"sni_hostname": self._settings.site.name},
                )
            except httpx.HTTPError as error:
                self._failures[asked] = f"{time.time():.3f} {asked}: {error!r}"
                continue
            if answer.status_code >= SERVER_ERROR:
                self._failures[asked] = f"{time.time():.3f} {asked}: status {answer.status_code}"
            cookies |= _given(answer.headers.get_list("set-cookie"))
        for client in clients:
            client.close()


def colors(log: Path) -> dict[str, str]:
    """Which color answered each of their requests, by its id, as a proxy's log has it."""
    found: dict[str, str] = {}
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if NAME in line:
                color, name = _told(line)
                found[name] = color
    return found


def _told(line: str) -> tuple[str, str]:
    try:
        told = json.loads(line)
    except ValueError:  # torn: where that matters its own host's verdict says so
        return "", ""
    return color_of(told), id_of(told)


def returns(seen: Sequence[str], switches: int) -> int:
    """How often somebody was answered by a color that had been left, after so many `switches`.

    "" is an answer of which nobody knows who gave it. To go back and come again are two changes
    more than there were switches; whoever went back at the end has one.
    """
    known = [color for color in seen if color]
    changes = sum(one != other for one, other in pairwise(known))
    return max(0, changes - switches + 1) // 2


def _address(load: Load) -> str:
    scheme, _, rest = load.url.partition("://")
    return f"{scheme}://{load.connect or rest.partition('/')[0]}"


def _trusting(load: Load) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cadata=load.authority) if load.authority else True


def _headers(settings: Settings, cookies: Mapping[str, str], name: str) -> dict[str, str]:
    sent = {"Host": settings.site.authority, **settings.public.send, "X-Request-ID": name}
    kept = "; ".join(f"{key}={value}" for key, value in cookies.items())
    return {**sent, "Cookie": kept} if kept else sent


def _given(lines: Iterable[str]) -> dict[str, str]:
    """The cookies that an answer gave. They are kept whatever their host: one name has them all."""
    return {key: each.value for line in lines for key, each in SimpleCookie(line).items()}
