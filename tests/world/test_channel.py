"""A channel to a host whose connection breaks while it is opened."""

from __future__ import annotations

from unittest.mock import Mock, PropertyMock

import pytest
from paramiko import SSHException

from cyan.errors import HostError
from cyan.sections import HostSettings
from cyan.world.host import Host


@pytest.mark.parametrize("error", [SSHException("closed"), OSError("reset"), EOFError()])
@pytest.mark.parametrize("step", ["open_session", "open_session.return_value.exec_command"])
def test_a_connection_that_breaks_is_the_hosts_fault_and_not_ours(
    monkeypatch: pytest.MonkeyPatch, error: Exception, step: str
) -> None:
    transport = Mock(**{f"{step}.side_effect": error, "is_active.return_value": False})
    monkeypatch.setattr(Host, "transport", PropertyMock(return_value=transport))
    with pytest.raises(HostError, match="the SSH connection broke"):
        Host(HostSettings(address="127.0.0.1", user="deploy")).channel("true")
