"""What `inv doctor` says beside the checks of every deploy."""

from __future__ import annotations

import pytest

from cyan.names import Server
from cyan.rollout import doctor
from tests.rollout.worlds import settings


@pytest.mark.parametrize(
    ("version", "server", "warns"),
    [
        ("v2.6.2", "caddy", True),
        ("2.6.4", "caddy", True),
        ("v2.11.7 h1:abc", "caddy", False),
        ("", "caddy", False),
        ("1.26.3", "nginx", False),
    ],
)
def test_a_proxy_that_cuts_answers_off_by_itself_is_told(
    version: str, server: str, warns: bool
) -> None:
    wanted = settings().model_copy(update={"server": Server(server)})
    found = list(doctor._cut_short(wanted, version))
    assert bool(found) is warns
