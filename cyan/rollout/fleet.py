"""Several hosts that are deployed in turn: how each stands, and what is told where one fails.

The decisions are pure. Until the hosts switch together, a failure leaves some of them switched and
others not: nothing here goes on, or back, without saying which.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyan.errors import CyanError, DeployError, HostError, UsageError
from cyan.hosts.look import previous
from cyan.rollout import unfinished
from cyan.rollout.status import observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cyan.hosts.look import Observation
    from cyan.rollout.plan import Request
    from cyan.sections import HostSettings
    from cyan.settings import Settings

LINE = "\n           "  # as far in as an error's text begins


@dataclass(frozen=True)
class Standing:
    """How a host stands: `flag` names it to --host.

    `live` is the version that is live and `back` the one that a rollback goes to, "" where there is
    none; `serving` says the first in words, `left` is what was left unfinished. `silent` says why
    nothing of this is known, "" where it is.
    """

    flag: str
    live: str = ""
    back: str = ""
    serving: str = ""
    left: str = ""
    silent: str = ""

    def __str__(self) -> str:
        if self.silent:
            return f"{self.flag}: unknown, {self.silent}"
        back = f"; before it {self.back}" if self.back else ""
        left = f"; {self.left} is unfinished" if self.left else ""
        return f"{self.flag}: {self.serving}{back}{left}"


def flag(machine: HostSettings, machines: Iterable[HostSettings]) -> str:
    """What --host calls a machine: its address, or its name where another has that address."""
    same = sum(each.address == machine.address for each in machines)
    return machine.address if same == 1 else machine.name


def standing(name: str, world: Observation) -> Standing:
    """How a host stands by a look at it."""
    release = world.release(world.live) or (world.switches[-1].release if world.switches else "")
    back = previous(world.switches, release) if world.live else None
    left = unfinished.find(world.journal) if world.owner is None else None
    return Standing(
        name,
        world.version(world.live),
        back.version if back else "",
        world.serving,
        left.title if left else "",
    )


def survey(settings: Settings, machines: Sequence[HostSettings]) -> tuple[Standing, ...]:
    """Look at several hosts at the same time, also past one that does not answer."""
    if len(machines) == 1:
        return ()

    def one(machine: HostSettings) -> Standing:
        name = flag(machine, machines)
        try:
            return standing(name, observe(settings, machine))
        except HostError as error:
            return Standing(name, silent=error.what)

    with ThreadPoolExecutor(len(machines)) as pool:
        return tuple(pool.map(one, machines))


def differ(standings: Sequence[Standing]) -> bool:
    """Whether one rollback would not take them all from one version to one other."""
    silent = any(each.silent for each in standings)
    return silent or len({(each.live, each.back) for each in standings}) > 1


def ready(settings: Settings, machines: Sequence[HostSettings], request: Request) -> None:
    """Refuse what several hosts could not do as one. Raises DeployError; nothing was touched."""
    refuse(request, survey(settings, machines))


def refuse(request: Request, standings: Sequence[Standing]) -> None:
    """Raise DeployError where a host does not answer, and for a rollback where they differ."""
    silent = [each.flag for each in standings if each.silent]
    if not silent and not (request.what == "rollback" and differ(standings)):
        return
    why = f"{', '.join(silent)} cannot be looked at" if silent else "the hosts differ"
    raise DeployError(
        f"{why}, so {request.title} was begun on none of them",
        serving=LINE.join(map(str, standings)),
        todo=LINE.join(
            [
                "one host at a time:",
                *(_next(request, each) for each in standings if not each.silent),
            ]
        ),
    )


def failed(
    request: Request, standings: Sequence[Standing], at: int, error: BaseException
) -> DeployError:
    """The error of a run that failed on the host `at`: how each stands, and what is next there."""
    done, tried, later = standings[:at], standings[at], standings[at + 1 :]
    told = error if isinstance(error, CyanError) else CyanError("it was interrupted")
    serving = (
        *(f"{each} (done)" for each in done),
        f"{tried} (failed)",
        *(f"{each} (not tried)" for each in later),
    )
    todo = (
        *([told.todo] if told.todo else []),
        *(f"to take {each.flag} back: inv rollback --host {each.flag}" for each in done),
        *(_next(request, each) for each in standings[at:]),
    )
    return DeployError(
        told.what,
        where=told.where or tried.flag,
        serving=LINE.join(serving),
        todo=LINE.join(todo),
        evidence=told.evidence,
    )


def failure(
    settings: Settings,
    machines: Sequence[HostSettings],
    request: Request,
    at: int,
    error: BaseException,
) -> BaseException:
    """What to raise for an error on the host `at`: of several hosts it tells how each stands."""
    if len(machines) == 1 or (at == 0 and isinstance(error, UsageError)):
        return error
    return failed(request, survey(settings, machines), at, error)


def difference(standings: Sequence[Standing]) -> str:
    """That hosts differ, and how; "" where they do not."""
    if not standings or not differ(standings):
        return ""
    return LINE.join(("the hosts differ:", *map(str, standings)))


def _next(request: Request, host: Standing) -> str:
    if host.left:
        return f"inv deploy --resume --host {host.flag}, or --abort"
    version = f" --version {request.version}" if request.version else ""
    return f"inv {request.what}{version} --host {host.flag}"
