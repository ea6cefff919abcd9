"""In which version of its API an engine is spoken to, and by which of its connections."""

from __future__ import annotations

from queue import LifoQueue
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from docker.constants import DEFAULT_DOCKER_API_VERSION

from cyan.engines.client import _Pool, spoken

OURS = DEFAULT_DOCKER_API_VERSION


@pytest.mark.parametrize(
    ("newest", "oldest", "wanted"),
    [
        ("1.41", "1.12", "1.41"),  # engine 20.10, and Podman
        ("1.43", "1.12", "1.43"),  # 24
        (OURS, "1.24", OURS),
        ("1.52", "1.44", OURS),  # 29, which refuses 1.41
        ("1.60", "1.50", "1.50"),  # one to come, which will refuse what we know
        ("1.43", "", "1.43"),
    ],
)
def test_an_engine_is_spoken_to_in_the_newest_version_that_both_know(
    newest: str, oldest: str, wanted: str
) -> None:
    assert spoken(newest, oldest) == wanted


def connection(*, closed: bool = False, eof_received: bool = False) -> Mock:
    """One of the pool's, whose channel is as it is said to be."""
    return Mock(sock=SimpleNamespace(closed=closed, eof_received=eof_received))


def test_a_connection_that_the_engine_has_closed_meanwhile_is_not_used_again() -> None:
    pool = _Pool(ssh_client=Mock(), maxsize=3)
    good, ended, gone = connection(), connection(eof_received=True), connection(closed=True)
    pool.pool = LifoQueue(3)
    for each in (good, ended, gone):
        pool.pool.put(each)
    assert pool._get_conn() is good
    ended.close.assert_called_once()
    gone.close.assert_called_once()
    good.close.assert_not_called()
