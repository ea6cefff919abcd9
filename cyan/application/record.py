"""What must be known of an application beside its Compose file; every release keeps its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from cyan.adopted import AdoptedSettings
from cyan.names import Role
from cyan.sections import PublicSettings, SmokeCheck
from cyan.values import Name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cyan.settings import Settings

FILE = "application.json"
"""In the release's folder on the host."""


class Application(BaseModel):
    """The services that rotate, the one that users reach, the smoke checks.

    Workers take jobs, schedulers give them and must never run twice: neither runs in a standby.

    And what an application is that has Compose files of its own.

    A release is judged, started again and rolled back to by what it was deployed with, and not by
    the settings of a later one.
    """

    model_config = ConfigDict(frozen=True)

    services: tuple[Name, ...]
    workers: tuple[Name, ...] = ()
    schedulers: tuple[Name, ...] = ()
    public: PublicSettings
    smoke: tuple[SmokeCheck, ...] = ()
    adopted: AdoptedSettings | None = None
    only: tuple[Name, ...] = ()  # what of the live color it replaced; none: it was a whole color

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The application as the settings of now have it."""
        return cls(
            services=settings.stateless,
            workers=settings.workers,
            schedulers=settings.schedulers,
            public=settings.public,
            smoke=settings.smoke,
            adopted=settings.adopted,
        )

    @property
    def once(self) -> tuple[str, ...]:
        """The services that run once for each release, and end."""
        return self.adopted.named(Role.ONCE) if self.adopted else ()

    @property
    def lasting(self) -> tuple[str, ...]:
        """The others: those that are up for as long as the release is."""
        return tuple(name for name in self.services if name not in self.once)

    @property
    def late(self) -> tuple[str, ...]:
        """The services that take work by themselves: those of the live color only run."""
        return (*self.workers, *self.schedulers)

    def of_part(self, names: Collection[str]) -> Self:
        """The same, with no services but some, where some are given."""
        if not names:
            return self
        kept = {
            key: tuple(name for name in getattr(self, key) if name in names)
            for key in ("services", "workers", "schedulers")
        }
        return self.model_copy(update=kept)

    @property
    def early(self) -> tuple[str, ...]:
        """The services that a standby starts."""
        return tuple(name for name in self.services if name not in self.late)


def dump(application: Application) -> str:
    """The application as the text of its file: one line."""
    return application.model_dump_json()


def parse(text: str) -> Application | None:
    """The application of such a text; None where it is none, or torn."""
    try:
        return Application.model_validate_json(text)
    except ValidationError:
        return None


def parse_all(text: str) -> Mapping[str, Application]:
    """The applications of lines of a release's name, a tab, and the text of its file."""
    lines = (line.partition("\t") for line in text.splitlines())
    found = {name: parse(record) for name, _, record in lines}
    return {name: each for name, each in found.items() if each}
