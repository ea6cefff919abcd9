"""Every command, one short task each: read the settings, call one function, print.

What is slow to import is imported where it is used, so that `inv --list` stays quick.
"""

from __future__ import annotations

import sys

from invoke import Collection

from cyan.cli import quietly
from cyan.tasks.adoption import init
from cyan.tasks.comparison import bench
from cyan.tasks.evidence import chaos, hammer, nightly, report, verify_zero_downtime
from cyan.tasks.inside import console, execute, logs
from cyan.tasks.lab import lab_down, lab_status, lab_up
from cyan.tasks.load import load_learn
from cyan.tasks.migration import (
    migrate_backfill,
    migrate_check,
    migrate_contract,
    migrate_expand,
    migrate_status,
)
from cyan.tasks.operation import (
    cleanup,
    doctor,
    history,
    maintenance,
    provision,
    proxy_reload,
    proxy_upgrade,
    reset,
    status,
    unlock,
)
from cyan.tasks.rotation import deploy, rollback

__all__ = ["namespace"]

sys.excepthook = quietly

lab = Collection("lab", lab_up, lab_down, lab_status)
migrate = Collection(
    "migrate", migrate_check, migrate_status, migrate_expand, migrate_backfill, migrate_contract
)
proxy = Collection("proxy", proxy_reload, proxy_upgrade)
load = Collection("load", load_learn)

namespace = Collection(
    init,
    deploy,
    rollback,
    provision,
    status,
    doctor,
    cleanup,
    reset,
    unlock,
    maintenance,
    proxy,
    logs,
    execute,
    console,
    history,
    hammer,
    load,
    verify_zero_downtime,
    chaos,
    nightly,
    bench,
    report,
    lab,
    migrate,
)
