"""The lock of an application on a host, and the journal that only its holder writes.

One process on the host, at the other end of an SSH channel, holds a flock(2) and appends the lines
it is sent. The kernel frees the lock when that process ends, and it ends when the connection
does, or when no heartbeat came for a minute: a dead owner cannot keep it. What the dead owner had
written into the lock file stays, so the next one can say whose work it takes over.

What changes the world runs through `Lock.run`, under a second flock(2), and only if the lock file
still names its owner. So a deployer that slept while another took its lock can do no harm when it
wakes, and a command that outlives its deployer ends before the next one looks. What may take long
is ended then: `cyan.journal.while_held`.
"""

from __future__ import annotations

import json
import secrets
import shlex
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Self

from cyan.errors import CyanError, HostError, LockedError, UsageError
from cyan.interrupt import held_back
from cyan.journal import entries as journal
from cyan.journal.permission import MAY_WORK, denied
from cyan.world.shell import shared_mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from cyan.world.host import Host, Output, Sink

HEARTBEAT = 10  # seconds between two heartbeats
ANSWER = 30  # seconds for an answer of the holder
PATIENCE = 60  # seconds without one after which the holder on the host gives up
RESERVE = 2**18  # bytes that are kept free for the journal on the host: 800 lines or so

LOST = 175  # exit code of a command whose lock was lost; none of the commands has it

POLL = 1.0  # seconds between two tries for a lock that is waited for

HOLDER = r"""
export LC_ALL=C
MAY_WORK
if [ -g . ]; then umask 002; fi # for those who share it: cyan.world.shell
refuse() { # how, and who holds it
  printf '%s %s %s\n' "$1" "$(($(date +%s) - $(stat -c %Y lock)))" "$(tr -d '\n' <lock)"; exit 75
}
mend() { # a line that a full disk or a crash has torn
  if [ -s journal.jsonl ] && [ -n "$(tail -c1 journal.jsonl)" ]; then echo >>journal.jsonl; fi
}
reserve() { # room that no other writer can take, so that on a full disk a rollback is journalled
  : >>journal.jsonl && fallocate -n -o "$(stat -c %s journal.jsonl)" -l "$1" journal.jsonl
}
put() { # the lock's one line, in the page that it has: on a full disk there is no other
  printf '%s\n' "$1" 1<>lock && truncate -s $((${#1} + 1)) lock
}
exec 9>>lock
flock -w 1 9 || refuse held # a moment, for who only looks
flock -w 20 busy true || refuse busy
was=$(tr -d '\n' <lock)
if ! put "${2/\"pid\": 0/\"pid\": $$}"; then echo "full"; exit 1; fi
reserve "$4" 2>/dev/null # not every file system can
printf 'mine %s\n' "$was" # only now: who holds it must be in there, for inv unlock
while IFS= read -r -t "$3" line; do
  case $line in
    beat) touch lock && echo ok ;;
    bye) put "" && echo ok && exit 0 ;;
    *) line=${line/\"at\":0.0/\"at\":$EPOCHREALTIME}
       if mend && printf '%s\n' "$line" >>journal.jsonl && sync -d journal.jsonl; then echo ok
       else echo unwritten; fi ;;
  esac
done
""".replace("MAY_WORK", MAY_WORK)


HOLDERS_PID = r"""sed -n 's/.*"pid": \([0-9]*\).*/\1/p'"""

TAKE_AWAY = r"""
cd "$1" && [ -e lock ] || exit 0
was=$(tr -d '\n' <lock) ended=
fence() { # from now on no command of the old owner's begins
  flock -w 1 lock sh -c ': >lock'; ended=yes
}
if ! flock -n -s lock true; then
  pid=$(printf %s "$was" | HOLDERS_PID)
  if tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q cyan-lock; then
    kill "$pid" 2>/dev/null || { echo "refused $pid"; exit 0; }
    fence
  fi
fi
commands() { # the process groups of what Lock.run began here: the children of its flock
  for each in /proc/[0-9]*; do
    if tr '\0' ' ' 2>/dev/null <"$each/cmdline" | grep -qF "flock -o $1/busy setsid "; then
      grep -lx "PPid:.${each#/proc/}" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3
    fi
  done
}
if ! flock -w 3 busy true; then
  for signal in TERM KILL; do
    for group in $(commands "$1"); do kill -s $signal -- "-$group" && fence; done
    flock -w 5 busy true && break
  done
fi
if [ "$ended" ]; then printf 'ended %s\n' "$was"; fi
""".replace("HOLDERS_PID", HOLDERS_PID)
"""Ends the process that holds the lock, and the command that it waits for, if they are ours.

Prints what the holder had written. A command gets three seconds to end by itself, and five after
SIGTERM.
"""


class LockLostError(HostError):
    """The lock is no longer ours, so nothing more may be done, not even undone."""


class JournalError(HostError):
    """The journal could not be written; the lock is ours all the same."""


@dataclass(frozen=True)
class Owner:
    """Who holds the lock, from where, since when (wall seconds), doing what."""

    who: str
    machine: str
    since: float
    doing: str
    pid: int = 0  # of the holder on the host; the holder fills it in
    token: str = field(default_factory=lambda: secrets.token_hex(8))  # tells two runs apart

    @property
    def described(self) -> str:
        """The owner as messages name them."""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"{self.who}@{self.machine} doing '{self.doing}' since {since}"


def owner_of(text: str) -> Owner | None:
    """The owner that a lock file names; None where it is empty or torn."""
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        return None


class Lock:
    """Hold the application's lock for a `with` block.

    Where another holds it, tries again for `wait` seconds, of which `tell` hears once. Raises
    LockedError where it is still held then.
    """

    def __init__(
        self,
        host: Host,
        directory: str,
        owner: Owner,
        *,
        wait: float = 0,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._host = host
        self._directory = directory
        self._owner = owner
        self._wait = wait
        self._tell = tell
        self._turn = threading.Lock()
        self._done = threading.Event()
        self.taken_over: Owner | None = None

    def __enter__(self) -> Self:
        deadline, told = time.monotonic() + self._wait, False
        while True:
            try:
                self.taken_over = self._take()
                break
            except LockedError as error:
                if time.monotonic() >= deadline:
                    raise
                if not told:
                    self._tell(f"waiting: {error.what}")
                    told = True
                time.sleep(POLL)
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()
        return self

    def _take(self) -> Owner | None:
        """Try once; whose dead hands it was taken from."""
        words = ["bash", "-c", HOLDER, "cyan-lock", self._directory]
        words += [json.dumps(asdict(self._owner)), str(PATIENCE), str(RESERVE)]
        self._channel = self._host.channel(shlex.join(words))
        self._channel.settimeout(ANSWER)
        self._answers = self._channel.makefile("r")
        try:
            verdict, _, content = str(self._answers.readline()).strip().partition(" ")
        except OSError as error:
            self._channel.close()
            raise HostError(
                f"the host did not say whether the lock is free ({error or 'no answer'})",
                where=self._host.name,
                todo="nothing was touched; try again",
            ) from None
        if verdict != "mine":
            self._channel.close()
            raise self._refusal(verdict, content)
        return owner_of(content)

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
        """Append to the journal, on the disk before this returns.

        An entry whose `at` is 0 gets the host's time. Raises JournalError where it cannot be
        written, LockLostError where the lock is no longer ours.
        """
        self._say(journal.dump(entry))

    def check(self) -> None:
        """Raise LockLostError unless it is still ours."""
        self._say("beat")

    def run(self, command: str, *, check: bool = True) -> Output:
        """Run a command on the host that changes it, if the lock is ours when it begins.

        Raises LockLostError where it is not, and what `Host.run` raises.
        """
        return self._ended(command, self._host.run(self.guarded(command), check=False), check=check)

    def feed(self, command: str, write: Callable[[Sink], object], *, check: bool = True) -> Output:
        """As `run`; `write` writes the command's standard input."""
        done = self._host.feed(self.guarded(command), write, check=False)
        return self._ended(command, done, check=check)

    def _ended(self, command: str, output: Output, *, check: bool) -> Output:
        if output.code == LOST:
            raise self._lost("another took it")
        if check and output.code != 0:
            raise self._host.failed(command, output)
        return output

    def guarded(self, command: str) -> str:
        """The same shell command, which exits with LOST in its place if the lock is not ours."""
        lock, busy = (shlex.quote(f"{self._directory}/{name}") for name in ("lock", "busy"))
        mine = f"grep -qF {self._owner.token} {lock} 2>/dev/null || exit {LOST}"
        inside = shlex.quote(f"{shared_mask(self._directory)}; {mine}; {command}")
        # -o: what the command leaves running does not hold it; setsid: it can be ended as a whole
        return f"flock -o {busy} setsid -w bash -c {inside}"

    @property
    def token(self) -> str:
        """What tells the lock's file that it is ours, and no other deployer's."""
        return self._owner.token

    @property
    def held(self) -> str:
        """The shell command that succeeds while our holder lives; for a guarded command's use."""
        lock = shlex.quote(f"{self._directory}/lock")
        return f'grep -qF {self._owner.token} "/proc/$({HOLDERS_PID} {lock})/cmdline"'

    @property
    def mark(self) -> str:
        """The path on the host, quoted, of a file that is there while what runs may go on."""
        return shlex.quote(f"{self._directory}/running.{self._owner.token}")

    def let_go(self) -> None:
        """Have what runs for this lock end now. Raises HostError."""
        self._host.run(f"rm -f {self.mark}")

    def _say(self, line: str) -> None:
        with held_back(), self._turn:  # an answer left unread would be taken for the next one's
            try:
                self._channel.sendall(f"{line}\n".encode())
                answer = str(self._answers.readline()).strip()
            except OSError as error:
                answer = str(error)
        if answer == "unwritten":
            raise JournalError(
                f"{self._directory}/journal.jsonl cannot be written",
                where=self._host.name,
                todo="is the disk full? df -h says; inv doctor checks it",
            )
        if answer != "ok":
            raise self._lost(answer or "its holder on the host ended")

    def _lost(self, why: str) -> LockLostError:
        return LockLostError(
            f"the deploy lock was lost: {why}",
            where=self._host.name,
            todo="nothing more was done; see where things stand: inv status",
        )

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT):
            try:
                self._say("beat")
            except HostError:
                return

    def _refusal(self, verdict: str, content: str) -> CyanError:
        age, _, text = content.partition(" ")
        owner = owner_of(text)
        if verdict == "busy":
            by = f"the deployer {owner.described}" if owner else "an earlier deployer"
            return LockedError(
                f"a command of {by}, which has ended, still runs",
                where=self._host.name,
                todo="nothing was touched; --lock-wait 10m waits for it to end, and "
                "inv unlock --force ends it",
            )
        if verdict == "held" and owner and owner.token == self._owner.token:
            return UsageError(
                "it is another of cyan.hosts as well, whose lock is ours already",
                where=self._host.name,
                todo="leave one of the two out of cyan.hosts; nothing was touched",
            )
        if verdict == "held":
            by = owner.described if owner else "someone who has just begun"
            return LockedError(
                f"the application is locked by {by}, last heard of {age} s ago",
                where=self._host.name,
                todo="nothing was touched; --lock-wait 10m waits for it to end, and "
                "inv unlock --force takes the lock from an owner who hangs",
            )
        if verdict == "full":
            return HostError(
                f"{self._directory}/lock cannot be written",
                where=self._host.name,
                todo="nothing was touched; is the disk full? df -h says",
            )
        if verdict == "denied":
            return denied(content, self._directory, self._host.name)
        return HostError(
            f"the host has no application directory {self._directory}",
            where=self._host.name,
            todo="prepare the host: inv lab.up for the lab, else fab -H USER@HOST provision",
        )


def take_away(host: Host, directory: str) -> str:
    """End the holder of the lock and the command under way, whoever's; who that was, or "".

    Its deployer finds out at its next step and does nothing more. Raises HostError.
    """
    words = ["bash", "-c", TAKE_AWAY, "cyan-unlock", directory]
    verdict, _, content = host.run(shlex.join(words)).stdout.partition(" ")
    if not verdict:
        return ""
    if verdict == "refused":
        raise HostError(
            "the lock is held by a process of another user's",
            where=host.name,
            todo=f"nothing was touched; as root, or that user, on the host: kill {content}",
        )
    owner = owner_of(content)
    return owner.described if owner else "a deployer that has ended"
