"""What a setting may be: names, ports, paths and headers, each checked where it enters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from cyan.names import DOMAIN_PATTERN, VERSION_PATTERN, names_a_path


def _one_line(path: Path) -> Path:
    if not str(path).isprintable():
        msg = "a path holds printable characters only: no newline, no tab"
        raise ValueError(msg)
    return path


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        msg = "an absolute path on the other machines"
        raise ValueError(msg)
    return path


def _requested(path: str) -> str:
    if not names_a_path(path):
        msg = "begin with one '/', without spaces (%20), line breaks, '#', '/./' and '/../'"
        raise ValueError(msg)
    return path


def _requested_if_any(path: str) -> str:
    return _requested(path) if path else path


def _not_latest(version: str) -> str:
    if version == "latest":
        raise ValueError("not latest: nobody can know what is running")
    return version


def _domain(name: str) -> str:
    if name and not DOMAIN_PATTERN.fullmatch(name):
        raise ValueError("a name such as shop.example.org; in Punycode where it is not ASCII")
    return name


Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=63)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Local = Annotated[Path, AfterValidator(_one_line)]
AbsolutePath = Annotated[Local, AfterValidator(_absolute)]
RequestPath = Annotated[str, AfterValidator(_requested)]
RequestPathIfAny = Annotated[str, AfterValidator(_requested_if_any)]
DomainIfAny = Annotated[str, Field(max_length=253), AfterValidator(_domain)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]*$")]
Headers = Mapping[HeaderName, HeaderValue]
"""What a request is sent with: https://www.rfc-editor.org/rfc/rfc9110#section-5."""

Version = Annotated[
    str, StringConstraints(pattern=f"^{VERSION_PATTERN.pattern}$"), AfterValidator(_not_latest)
]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Model(BaseModel):
    """Frozen, and a key that nobody knows is an error: a misspelt setting must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
