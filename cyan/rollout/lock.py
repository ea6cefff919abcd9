"""The lock of an application on a host, and the journal that only its holder writes.

One process on the host, at the other end of an SSH channel, holds a flock(2) and appends the lines
it is sent. The kernel frees the lock when that process ends, and it ends when the connection
does, or when no heartbeat came for a minute: a dead owner cannot keep it. What the dead owner had
written into the lock file stays, so the next one can say whose work it takes over.
"""

from __future__ import annotations

import json
import shlex
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from cyan import journal
from cyan.errors import HostError, LockedError
from cyan.interrupt import held_back

if TYPE_CHECKING:
    from types import TracebackType

    from cyan.world.host import Host

HEARTBEAT = 10  # seconds between two heartbeats
ANSWER = 30  # seconds for an answer of the holder
PATIENCE = 60  # seconds without one after which the holder on the host gives up

HOLDER = r"""
export LC_ALL=C
cd "$1" 2>/dev/null || { echo "absent"; exit 1; }
exec 9>>lock
if ! flock -n 9; then printf 'held %s\n' "$(tr -d '\n' <lock)"; exit 75; fi
printf 'mine %s\n' "$(tr -d '\n' <lock)"
printf '%s\n' "$2" | sed "s/\"pid\": 0/\"pid\": $$/" >lock
if [ -s journal.jsonl ] && [ -n "$(tail -c1 journal.jsonl)" ]; then echo >>journal.jsonl; fi
while IFS= read -r -t "$3" line; do
  case $line in
    beat) touch lock && echo ok ;;
    bye) : >lock && echo ok && exit 0 ;;
    *) line=${line/\"at\":0.0/\"at\":$EPOCHREALTIME}
       if printf '%s\n' "$line" >>journal.jsonl && sync -d journal.jsonl; then echo ok
       else echo "cannot write $1/journal.jsonl: is the disk full?"; fi ;;
  esac
done
"""


@dataclass(frozen=True)
class Owner:
    """Who holds the lock, from where, since when (wall seconds), doing what."""

    who: str
    machine: str
    since: float
    doing: str
    pid: int = 0  # of the holder on the host; the holder fills it in

    @property
    def described(self) -> str:
        """The owner as messages name them."""
        return f"{self.who}@{self.machine} doing '{self.doing}'"


def owner_of(text: str) -> Owner | None:
    """The owner that a lock file names; None where it is empty or torn."""
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        return None


class Lock:
    """Hold the application's lock for a `with` block. Raises LockedError where another holds it."""

    def __init__(self, host: Host, directory: str, owner: Owner) -> None:
        self._host = host
        self._directory = directory
        self._owner = owner
        self._turn = threading.Lock()
        self._done = threading.Event()
        self.taken_over: Owner | None = None

    def __enter__(self) -> Self:
        words = ["bash", "-c", HOLDER, "cyan-lock", self._directory]
        words += [json.dumps(asdict(self._owner)), str(PATIENCE)]
        self._channel = self._host.channel(shlex.join(words))
        self._channel.settimeout(ANSWER)
        self._answers = self._channel.makefile("r")
        verdict, _, content = str(self._answers.readline()).strip().partition(" ")
        if verdict != "mine":
            self._channel.close()
            raise self._refusal(verdict, owner_of(content))
        self.taken_over = owner_of(content)
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        try:
            self._say("bye")
        except HostError:  # the connection is gone, and the lock with it
            pass
        finally:
            self._channel.close()

    def record(self, entry: journal.Entry) -> None:
        """Append to the journal, on the disk before this returns. HostError where it cannot be.

        An entry whose `at` is 0 gets the host's time.
        """
        self._say(journal.dump(entry))

    def _say(self, line: str) -> None:
        with held_back(), self._turn:  # an answer left unread would be taken for the next one's
            try:
                self._channel.sendall(f"{line}\n".encode())
                answer = str(self._answers.readline()).strip()
            except OSError as error:
                answer = str(error)
        if answer != "ok":
            raise HostError(
                f"the deploy lock was lost: {answer or 'the connection to its holder ended'}",
                where=self._host.name,
                todo="nothing more was done; see where things stand: inv status",
            )

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT):
            try:
                self._say("beat")
            except HostError:
                return

    def _refusal(self, verdict: str, owner: Owner | None) -> Exception:
        if verdict == "held":
            by = owner.described if owner else "someone who has just begun"
            return LockedError(
                f"the application is locked by {by}",
                where=self._host.name,
                todo="wait for it to end; nothing was touched",
            )
        return HostError(
            f"the host has no application directory {self._directory}",
            where=self._host.name,
            todo="prepare the host: inv lab.up for the lab, else fab -H USER@HOST provision",
        )
