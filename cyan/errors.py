"""What an operator is told of a failure: what, where, what still serves, what to do."""

from __future__ import annotations


class CyanError(Exception):
    """Base of every error that an operator may see; `cyan.cli` prints it without a traceback.

    `what` is one sentence on what happened, `where` names host, color or file, `serving` says what
    still answers the users, `todo` is the next command or change, `evidence` is text that shows
    the failure, such as the last lines of a container's log.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        serving: str = "",
        todo: str = "",
        evidence: str = "",
    ) -> None:
        super().__init__(what)
        self.evidence = evidence
        self.what = what
        self.where = where
        self.serving = serving
        self.todo = todo

    def __str__(self) -> str:
        labelled = (("where", self.where), ("serving", self.serving), ("next", self.todo))
        return "\n".join([self.what, *(f"  {name}: {text}" for name, text in labelled if text)])


class UsageError(CyanError):
    """The input is wrong; nothing was touched."""

    exit_code = 2


class HostError(CyanError):
    """The host could not be reached, or a command on it failed."""


class DeployError(CyanError):
    """A deploy or rollback did not happen; `serving` says what is live."""


class LockedError(CyanError):
    """Somebody else is changing the application on this host."""


class ProofError(CyanError):
    """The verification itself could not be carried out; its verdict is unknown."""

    exit_code = 3
