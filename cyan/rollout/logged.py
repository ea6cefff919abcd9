"""The proxy's access log while a run reads it: who answered which request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyan.hosts import site
from cyan.names import Color
from cyan.proxies import access_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cyan.rollout.job import Job

UNANSWERED = " -"
"""How `user_id` ends in nginx's log where no color answered: it took no time."""

TAIL = 16 * 2**20  # bytes of the proxy's log that the first look goes back


class Log:
    """The proxy's log for as long as it can be read; `doubt` says why it could not be.

    The first look goes back at most `most` bytes, and to `since`, in wall seconds of the host.
    """

    def __init__(self, job: Job, most: int = TAIL, since: float = 0.0) -> None:
        container = site.proxy_of(job.host, job.settings, job.world)
        directory = str(job.settings.directory)
        inside = access_log.log_of(job.settings)
        self._log = access_log.AccessLog(job.host, directory, most, container, inside, since=since)
        self.doubt = ""

    def more(self) -> Iterable[str]:
        """As `access_log.AccessLog.more`; nothing once it could not be read."""
        try:
            return () if self.doubt else self._log.more()
        except access_log.UnreadableError as error:
            self.doubt = error.what
            return ()


def headers_of(told: Mapping[str, Any]) -> dict[str, str]:
    """The headers of an answer that a line tells of; nginx's tells also of those that are ""."""
    found = told.get("resp_headers") or {}
    return {name: values[0] for name, values in found.items() if values and values[0]}


def identified(told: Mapping[str, Any]) -> tuple[str, str]:
    """The color that the host's proxy knows to have answered, and the request's id; "" for none.

    `told` is a line of its log; they are the first words of its `user_id`: cyan.proxies.front.
    """
    color, _, rest = str(told.get("user_id") or "").partition(" ")
    return (color if color in tuple(Color) else ""), rest.partition(" ")[0]
