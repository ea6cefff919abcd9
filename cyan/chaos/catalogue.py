"""Every fault there is, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.chaos.faults import control, deployer, engine, machine, network, release, shared
from cyan.errors import UsageError

if TYPE_CHECKING:
    from cyan.chaos.fault import Fault, Values

FAULTS: tuple[type[Fault], ...] = (
    deployer.Killed,
    deployer.RollbackKilled,
    deployer.Cut,
    deployer.TwoDeploys,
    deployer.RollbackDuringDeploy,
    deployer.DiskFull,
    release.NeverHealthy,
    release.SlowToBeHealthy,
    release.Flapping,
    release.FailsSmoke,
    release.ExitsAtOnce,
    release.OutOfMemory,
    release.WrongVersion,
    release.IgnoresSigterm,
    release.DiesAfterTheSwitch,
    release.ErrsAfterTheSwitch,
    engine.StandbyKilled,
    engine.OldKilledWhileItDrains,
    engine.LiveReplicaKilled,
    engine.StandbyPaused,
    machine.CpuStarved,
    machine.EngineRestarted,
    machine.ClockStepped,
    shared.ProxyRestarted,
    shared.DatabaseRestarted,
    shared.DatabaseSlow,
    shared.ConnectionsExhausted,
    shared.AdminGone,
    network.Resets,
    network.SlowClients,
    network.RoundTrip,
)
CONTROLS: tuple[type[Fault], ...] = (
    deployer.Nothing,
    control.StopThenStart,
    control.ReloadPerDeploy,
)
BY_NAME = {each.name: each for each in (*FAULTS, *CONTROLS)}


def fault(name: str, values: Values | None = None) -> Fault:
    """The fault called `name`, with drawn values. Raises UsageError where there is none."""
    if name not in BY_NAME:
        raise UsageError(f"there is no fault {name!r}", todo="see what there is: inv chaos --list")
    return BY_NAME[name](values)
