"""Workers on other machines: how their clocks drift while they load is known."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cyan.proof import remote_workers as module
from cyan.proof.remote_workers import RemoteWorkers
from cyan.sections import HostSettings
from cyan.world.host import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


class Machine:
    """A machine whose clock gains half a second while the load runs."""

    our_address = "127.0.0.1"
    name = "drifting"

    def __init__(self, _settings: HostSettings) -> None:
        self.offsets = iter((10.0, 10.5))

    def clock(self) -> Clock:
        return Clock(next(self.offsets), 0.002)

    @contextmanager
    def channel(self, _command: str) -> Iterator[Machine]:
        yield self

    @contextmanager
    def makefile(self, _mode: str) -> Iterator[io.BytesIO]:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("./intents-0.tsv"))
        yield io.BytesIO(packed.getvalue())

    def run(self, _command: str) -> None: ...
    def close(self) -> None: ...


def test_the_drift_of_a_machines_clock_widens_its_uncertainty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Host", Machine)
    together = RemoteWorkers((HostSettings(address="127.0.0.1"),), "/project", "locustfile.py")
    together.start(5557)
    together.collect(tmp_path)
    kept = json.loads((tmp_path / "clock-0.json").read_text())
    assert kept == {"offset_ns": 10_250_000_000, "uncertainty_ns": 252_000_000}
