"""What the verification does to the system: acts as data, and the two scenarios that ship."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from enum import StrEnum

from cyan.errors import UsageError
from cyan.names import REHEARSED


class Traffic(StrEnum):
    """What an act must do to the live color."""

    SWITCH = "switch"
    UNTOUCHED = "untouched"
    RESTORED = "restored"  # the live color makes way for a while, and answers again as it was
    BACK = "back"  # the traffic may go to the other color, and comes back; containers untouched
    EITHER = "either"  # switched or untouched: a deployer that is killed may be at either


@dataclass(frozen=True)
class Act:
    """One thing done to the system, as an operator would do it.

    `arguments` follow `cyan` on the command line (or `program`, for what is not cyan's doing),
    `version` is what must answer afterwards where the act switches, `prepare` is done before the
    act's window opens (it must succeed), and `fails` says that the command must exit as a failure.
    `allowed_drops` requests may fail at the client in its window; `loses_lines`: it kills a
    witness, whose last lines are gone with it, so that they may be unexplained, too.
    `ending` is how many seconds it may take to end once it is asked to. `heal` is a command line
    for what one that did not succeed may have left; it is run before anything else is done.
    """

    name: str
    arguments: tuple[str, ...]
    traffic: Traffic
    version: str = ""
    fails: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    prepare: tuple[tuple[str, ...], ...] = ()
    program: tuple[str, ...] = ()
    allowed_drops: int = 0
    loses_lines: bool = False
    timeout: float = 180
    ending: float = 15
    heal: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What an operator would type."""
        return " ".join((*(self.program or ("cyan",)), *self.arguments))


def deploy(version: str, *, name: str = "") -> Act:
    """Deploy a release that must become live."""
    return Act(
        name or f"deploy {version}", ("deploy", "--version", version), Traffic.SWITCH, version
    )


def rollback(version: str, *, name: str, prepare: tuple[tuple[str, ...], ...] = ()) -> Act:
    """Roll back, after which `version` must answer."""
    return Act(name, ("rollback",), Traffic.SWITCH, version, prepare=prepare)


def broken(version: str, fault: str, *, name: str, rehearsed: bool = False) -> Act:
    """Deploy a release with `fault`: the command must fail and the live color stay untouched.

    The fault is the demo application's own, or one that cyan rehearses with any.
    """
    how = ("--rehearse", fault) if rehearsed else ("--env", f"FAULT={fault}")
    arguments = ("deploy", "--version", version, *how)
    return Act(
        name,
        arguments,
        Traffic.UNTOUCHED,
        fails=True,
        environment=(("HEALTH_CHECK_TIMEOUT", "8"),),
    )


HOLDING = ("--strategy", "hold")
HELD = (("INVOKE_CYAN_HOLD_TIMEOUT", "5"),)
"""Shorter than an operator's: what waits must fit into the swarm and the proxy."""


def held(acts: tuple[Act, ...]) -> tuple[Act, ...]:
    """The same acts with one color at a time, while requests wait."""
    return tuple(
        replace(
            act,
            arguments=(*act.arguments, *HOLDING),
            environment=(*act.environment, *HELD),
            traffic=Traffic.RESTORED if act.traffic is Traffic.UNTOUCHED else act.traffic,
        )
        for act in acts
    )


DEMO = ("v1", "v2", "v3")
"""The demo's versions. Its releases can be told to misbehave; others are made to by cyan."""


def full(versions: tuple[str, ...] = DEMO) -> tuple[Act, ...]:
    """The eight acts of the main job."""
    one, two, three = (*versions, *versions)[:3]
    last = next(each for each in versions if each != three)
    sick, bad = ("never-healthy", "bad-smoke") if versions == DEMO else REHEARSED
    rehearsed = versions != DEMO
    return (
        deploy(one),
        deploy(two),
        deploy(three),
        rollback(two, name="rollback while warm"),
        rollback(three, name="rollback after cleanup", prepare=(("cleanup",),)),
        broken(last, sick, name="never healthy", rehearsed=rehearsed),
        broken(last, bad, name="fails smoke", rehearsed=rehearsed),
        deploy(last, name="deploy after failures"),
    )


def quick(versions: tuple[str, ...] = DEMO) -> tuple[Act, ...]:
    """Half of the acts: a switch each way, and one that must fail."""
    one, two, three = (*versions, *versions)[:3]
    return (
        deploy(one),
        deploy(two),
        rollback(one, name="rollback while warm"),
        broken(three, "never-healthy", name="never healthy", rehearsed=versions != DEMO),
    )


def control(seconds: int) -> Act:
    """Nothing: what the load looks like when nobody touches the system."""
    return Act("control", (str(seconds),), Traffic.UNTOUCHED, program=("sleep",))


def calibration(planted: str, kinds: int, drawn: int = 0) -> tuple[Act, ...]:
    """Two releases that obey the relay, a control, and the planting of `kinds`, noted in a file.

    Or, where so many are `drawn`, two deploys and a rollback while it plants them.
    """
    obey = ("--env", "FAULT=plants")
    program = (sys.executable, "-m", "cyan.proof.calibration")
    first = Act("deploy v1", ("deploy", "--version", "v1", *obey), Traffic.SWITCH, "v1")
    second = Act("deploy v2", ("deploy", "--version", "v2", *obey), Traffic.SWITCH, "v2")
    waits = Act("planting", (planted, str(drawn or kinds)), Traffic.UNTOUCHED, program=program)
    if not drawn:
        return (first, second, control(20), waits)
    begins = Act("planting begins", (planted, "0"), Traffic.UNTOUCHED, program=program)
    again = replace(first, name="deploy v1 again"), replace(second, name="deploy v2 again")
    back = Act("rollback", ("rollback",), Traffic.SWITCH, "v1")
    return (first, second, control(20), begins, *again, back, replace(waits, name="what is left"))


def migrations(folder: str) -> tuple[Act, ...]:
    """The phases of a migration, whose files are in `folder`, around the deploy that needs it."""
    own = (("INVOKE_CYAN_MIGRATE_DIRECTORY", folder),)
    contract = ("migrate.contract", "--version", "v2", "--yes")
    cleanup = (("cleanup",),)
    return (
        deploy("v1"),
        Act("expand", ("migrate.expand",), Traffic.UNTOUCHED, environment=own),
        replace(deploy("v2"), environment=own),
        Act("backfill", ("migrate.backfill",), Traffic.UNTOUCHED, environment=own),
        Act("contract too early", contract, Traffic.UNTOUCHED, fails=True, environment=own),
        Act("contract", contract, Traffic.UNTOUCHED, environment=own, prepare=cleanup),
    )


def reload(versions: tuple[str, ...] = DEMO) -> tuple[Act, ...]:
    """Changes of the proxy's configuration, and of the proxy itself: none may drop any.

    One by lame duck, where the host gives no right to another way, may drop a few: Caddy 2.6 ends
    every WebSocket with the configuration that it was opened under; these have their own line. Of
    other requests one was lost in three such reloads; DESIGN.md measured 3 in five.
    """
    upgrade = Act("proxy.upgrade", ("proxy.upgrade",), Traffic.UNTOUCHED)
    again = Act("proxy.reload", ("proxy.reload", "--again"), Traffic.UNTOUCHED)
    ducked = Act(
        "proxy.reload by lame duck",
        ("proxy.reload", "--again", "--in-place"),
        Traffic.UNTOUCHED,
        allowed_drops=5,
    )
    return (
        deploy(versions[0]),
        *(replace(again, name=f"proxy.reload, {number}") for number in (1, 2, 3)),
        ducked,
        *(replace(upgrade, name=f"proxy.upgrade, {number}") for number in (1, 2, 3)),
        deploy(versions[1], name="deploy after them"),
    )


SCENARIOS = {"full": full, "quick": quick, "reload": reload}


def scenario(name: str, versions: tuple[str, ...] = DEMO) -> tuple[Act, ...]:
    """The acts of the scenario called `name`, with two versions or more; UsageError for none."""
    if name not in SCENARIOS:
        raise UsageError(f"no scenario {name!r}", todo=f"use one of {', '.join(SCENARIOS)}")
    return SCENARIOS[name](versions)
