"""load.yaml: what the users of a site ask for, so that a verification asks the same.

`inv load.learn` writes it from a log; it is meant to be read and edited. The swarm reads it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from cyan.errors import UsageError
from cyan.values import Headers, Model, RequestPath

SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1."""

Status = Annotated[int, Field(ge=100, le=599)]


class Shape(Model):
    """One sort of request: a path, of which parts in braces take one of their `values` each time.

    `weight` is its share beside the others', `expects` the statuses that are right. In a `body`
    {request_id} stands for the request's own id; with `writes` the ledger holds that id. `name` is
    what the report calls it.
    """

    path: RequestPath
    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    values: Mapping[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    expects: Annotated[tuple[Status, ...], Field(min_length=1)] = (200,)
    headers: Headers = Field(default_factory=dict)
    body: str = ""
    writes: bool = False
    name: str = Field(default="", pattern=r"^[\x20-\x7e]*$", max_length=200)

    @model_validator(mode="after")
    def _every_part_has_values(self) -> Self:
        parts = {name for _, name, _, _ in Formatter().parse(self.path) if name is not None}
        if parts != set(self.values):
            odd = ", ".join(sorted(parts ^ set(self.values))) or "a part without a name"
            raise ValueError(f"path and values do not name the same parts: {odd}")
        return self

    @property
    def title(self) -> str:
        """What the report calls it."""
        return self.name or f"{self.method} {self.path}"


class LoadFile(Model):
    """All of load.yaml. `rates` are the requests a second that were seen in each hour of the day.

    `journeys` is a Python file with functions that are decorated with `loadtests.own.journey`: what
    needs a log-in, or one answer for the next request.
    """

    requests: tuple[Shape, ...] = ()
    rates: Mapping[Annotated[int, Field(ge=0, le=23)], float] = Field(default_factory=dict)
    journeys: Path | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.requests and not self.journeys:
            raise ValueError("neither requests nor journeys: there is nothing to ask for")
        titles = [shape.title for shape in self.requests]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"{', '.join(twice)}: two requests of one name; give one a name")
        return self


def read(path: Path) -> LoadFile:
    """The load of a file; its `journeys` are found beside it. Raises UsageError."""
    try:
        made = LoadFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}".lstrip(": ")
            for each in error.errors()
        ]
        raise UsageError(
            f"{path} is no load", where="\n         ".join(faults), todo="docs/load.md shows one"
        ) from None
    if made.journeys is None:
        return made
    return made.model_copy(update={"journeys": path.parent / made.journeys})
