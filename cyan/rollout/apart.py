"""What hosts of a swarm may do without the others, whose containers they share: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.errors import DeployError, UsageError
from cyan.journal.entries import Event
from cyan.names import Kind
from cyan.rollout.fleet import COMMIT, flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyan.journal.entries import Entry
    from cyan.sections import HostSettings
    from cyan.settings import Settings


def refuse(settings: Settings, machines: Sequence[HostSettings], journal: Sequence[Entry]) -> None:
    """Raise where hosts cannot act without the others of their swarm, whose containers they share.

    Without the first nothing begins or ends. Another may be left out while it is known to lead to
    the live color, which stays: by `journal`, the first one's, the last switch took it along. The
    next one replaces the color that it leads to. Raises UsageError, DeployError.
    """
    out = _out(settings, machines)
    if not out:
        return
    lead = flag(settings.hosts[0], settings.hosts)
    if lead in out:
        raise UsageError(
            f"{lead} begins and ends what runs on this swarm, and was left out",
            where=", ".join(flag(each, settings.hosts) for each in machines),
            todo="leave --host, or its --without, out",
        )
    last = _last(journal)
    if last is not None and (unknown := [name for name in out if name not in last]):
        names = ", ".join(unknown)
        raise DeployError(
            f"{names} was not taken along by the last switch either: what it leads its users to is "
            "what this would replace",
            where=names,
            todo=f"once it answers: leave --without out; for good: take {names} from cyan.hosts",
        )


def keeping(settings: Settings, machines: Sequence[HostSettings]) -> Settings:
    """The same, but that the old color stays whole where a host that leads to it is left out."""
    if not _out(settings, machines):
        return settings
    warm = settings.warm.model_copy(update={"services": "all"})
    return settings.model_copy(update={"warm": warm})


def _out(settings: Settings, machines: Sequence[HostSettings]) -> list[str]:
    """The hosts of a swarm that are left out, by what --host calls them."""
    hosts = settings.hosts if settings.shares_colors else ()
    return [flag(each, hosts) for each in hosts if each not in machines]


def _last(journal: Sequence[Entry]) -> frozenset[str] | None:
    """The hosts that the last switch is known to have taken along; None where there was none.

    What several do is written down before any is switched; of one alone it may not have been yet.
    """
    for begun in reversed(journal):
        if begun.event is not Event.BEGIN or "fleet" not in begun.detail:
            continue
        hosts = frozenset(begun.detail["fleet"])
        run = [each for each in journal if each.run == begun.run]
        if any(each.event is Event.END and each.detail.get("ok") for each in run):
            return hosts
        if {each.step for each in run} & {COMMIT if hosts else Kind.SWITCH}:
            return frozenset()
    return None
