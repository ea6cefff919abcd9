"""Visitors of a site that knows nothing of cyan: each request is sent once, each order kept."""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACE = 0.04  # seconds between two requests of one


@dataclass
class Visitors:
    """What they saw: `kept` says of a failure whether its connection was an old one."""

    port: int
    orders: bool
    address: str = "127.0.0.1"
    answers: int = 0
    acknowledged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    on_kept: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def visit(self, name: str, stop: threading.Event, *, keeps: bool) -> None:
        """One visitor, whose connections are kept or new for each request."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=30)
        number, used = 0, False
        while not stop.is_set():
            number += 1
            try:
                self._one(connection, f"{name}-{number}", post=self.orders and number % 3 == 0)
                used = True
            except (OSError, http.client.HTTPException) as error:
                told = f"{time.time():.3f} {name}-{number}: {error!r}"
                (self.on_kept if keeps and used else self.failures).append(told)
                connection.close()
                used = False
            if not keeps:
                connection.close()
            time.sleep(PACE)
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, order: str, *, post: bool) -> None:
        if post:
            connection.request("POST", "/orders", order)
        else:
            connection.request("GET", "/")
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise http.client.HTTPException(f"status {answer.status}: {text[:80]}")
        if not text.startswith("thank you" if post else "a shop"):
            raise http.client.HTTPException(f"it is cut short: {text!r}")
        self.answers += 1
        if post:
            self.acknowledged.append(order)
        else:
            self.versions.add(text.split()[-1])


@contextmanager
def visitors(
    port: int,
    *,
    orders: bool,
    number: int = 8,
    address: str = "127.0.0.1",
    keep: bool = True,
) -> Iterator[Visitors]:
    """Half of them keep their connections, or none."""
    made, stop = Visitors(port, orders, address), threading.Event()
    threads = [
        threading.Thread(
            target=made.visit,
            args=(f"{secrets.token_hex(3)}-{each}", stop),
            kwargs={"keeps": keep and each % 2 == 0},
        )
        for each in range(number)
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join()
