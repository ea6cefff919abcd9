"""What a swarm makes of an application, said before its first deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.application.color import Mould, color_file
from cyan.application.source import source_of
from cyan.application.stack_file import lost, only
from cyan.names import Color, EngineKind, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyan.settings import Settings


def notes(settings: Settings) -> Iterator[str]:
    """What the first deploy will refuse, or will be different; nothing where there is no swarm."""
    adopted = settings.adopted
    if settings.engine is not EngineKind.SWARM or adopted is None:
        return
    mould = Mould(settings.app, Color.BLUE, "", "", "", adopted, 1, linked=False)
    lasting = set(adopted.rotating) - set(adopted.named(Role.ONCE))
    text = color_file(source_of(settings, ""), mould)
    found = lost(only(text, {mould.named(name) for name in lasting}))
    if gone := [each for each in found if each not in adopted.without]:
        yield (
            f"Docker Swarm has nothing for {', '.join(gone)}: deploy refuses that, unless "
            "cyan.adopted.without in invoke.yaml names them"
        )
    if settings.images.source != "pull":
        yield (
            f"with cyan.images.from: {settings.images.source} images are on the manager only: "
            "push them to a registry, and use pull, where replicas are to run on other nodes"
        )
