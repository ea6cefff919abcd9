"""The proxy's access log while a run reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.hosts import site
from cyan.proxies import access_log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyan.rollout.job import Job

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
