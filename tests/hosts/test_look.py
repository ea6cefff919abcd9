"""What a look at a host tells where its engine does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from cyan.errors import HostError
from cyan.hosts.look import look
from tests.rollout.worlds import settings
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.engines.docker import Engine


class Mute:
    """An engine that does not say what there is."""

    def containers(self, *_: Any, **__: Any) -> tuple[()]:
        raise HostError("the swarm has no leader", todo="docker node ls")


@pytest.mark.parametrize(
    ("marker", "serving"),
    [("green", "green, as far as the host's marker says: what runs goes on"), ("", "")],
)
def test_where_the_engine_does_not_say_what_there_is_the_marker_says_what_serves(
    tmp_path: Path, marker: str, serving: str
) -> None:
    (tmp_path / "traffic").mkdir()
    if marker:
        (tmp_path / "traffic" / marker).touch()
    host, engine = Machine(tmp_path).host, cast("Engine", Mute())
    with pytest.raises(HostError, match="no leader") as told:
        look(host, engine, settings(directory=tmp_path))
    assert (told.value.serving, told.value.todo) == (serving, "docker node ls")
