"""The proxy's access log while a run reads it: who answered which request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyan.names import Color
from cyan.proxies import caddy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.rollout.job import Job

TAIL = 16 * 2**20  # bytes of the proxy's log that the first look goes back


class Log:
    """The proxy's log for as long as it can be read; `doubt` says why it could not be.

    The first look goes back at most `most` bytes.
    """

    def __init__(self, job: Job, most: int = TAIL) -> None:
        proxy = job.world.service(job.settings.proxy)
        directory, container = str(job.settings.directory), proxy.id if proxy else ""
        inside = caddy.log_of(job.settings)
        self._log = caddy.AccessLog(job.host, directory, most, container, inside)
        self.doubt = ""

    def more(self) -> list[str]:
        """As `caddy.AccessLog.more`; nothing once it could not be read."""
        try:
            return [] if self.doubt else self._log.more()
        except caddy.UnreadableError as error:
            self.doubt = error.what
            return []


def identified(told: Mapping[str, Any]) -> tuple[str, str]:
    """The color that the host's proxy knows to have answered, and the request's id; "" for none.

    `told` is a line of its log; they are the first words of its `user_id`: cyan.proxies.front.
    """
    color, _, rest = str(told.get("user_id") or "").partition(" ")
    return (color if color in tuple(Color) else ""), rest.partition(" ")[0]
