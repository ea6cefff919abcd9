"""A release's secrets: where their values come from on this machine, and how they are kept unseen.

They stand in no argument list, journal, log or message: they are fed to the host through the SSH
channel, into a file that others may not read, and whatever is shown of a failure is redacted.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cyan.errors import UsageError
from cyan.world.envfile import VARIABLE_PATTERN, env_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cyan.settings import Settings

SHORTEST = 4
"""Characters of a value that is redacted: hiding every "1" or "on" would hide the text as well."""


@dataclass(frozen=True)
class Secrets:
    """Names and values for a release's containers; their values are in no repr."""

    values: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(name for name, _ in self.values)

    @property
    def text(self) -> str:
        """The env file's text."""
        return env_file(dict(self.values))

    def redacted(self, text: str) -> str:
        """`text` with every value in it replaced by its name, also in parts and quoted."""
        forms = {form: name for name, value in self.values for form in _forms(value)}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, f"[secret {forms[form]}]")
        return text


NO_SECRETS = Secrets()


@dataclass(frozen=True)
class Redaction:
    """Takes a release's secrets out of texts.

    Where `unknown` says why they cannot be read, nothing is shown that others wrote: any of it may
    be one of them.
    """

    secrets: Secrets = NO_SECRETS
    unknown: str = ""

    def __call__(self, text: str) -> str:
        """A text of others, such as a container's log."""
        if not self.unknown:
            return self.secrets.redacted(text)
        why = f"it may hold the release's secrets, which are unknown: {self.unknown}"
        return f"(withheld: {why})" if text.strip() else text

    def message(self, text: str) -> str:
        """A message of ours: what others wrote comes after its first colon."""
        if not self.unknown:
            return self.secrets.redacted(text)
        ours, colon, others = text.partition(": ")
        return f"{ours}{colon}{self(others)}"


def collect(settings: Settings, environment: Mapping[str, str] = os.environ) -> Secrets:
    """The secrets that the settings name; a later source wins: file, environment, command.

    The lab has its own besides, which any of these wins over.

    Raises UsageError, which names what is wrong and never shows a value.
    """
    values: dict[str, str] = {}
    given = settings.secrets
    for file in (settings.lab.secrets if settings.is_lab else None, given.file):
        values |= parse(_read(file), str(file)) if file else {}
    for name in given.environment:
        if name not in environment:
            raise UsageError(
                f"the environment variable {name} is not set", todo="cyan.secrets.environment"
            )
        values[name] = environment[name]
    if given.command:
        values |= parse(output_of(given.command, "cyan.secrets.command"), "its output")
    return Secrets(tuple(sorted(values.items())))


def output_of(command: str, setting: str) -> str:
    """What a command of the user's prints on this machine.

    Raises UsageError where it fails, without the command: a password may stand in it.
    """
    done = subprocess.run(  # noqa: S602 - it is the user's own, in the user's own settings
        command, shell=True, stdout=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        raise UsageError(
            f"the command of {setting} failed with exit code {done.returncode}",
            todo="run it by hand; what it printed is not shown here",
        )
    return _decoded(done.stdout, setting)


def parse(text: str, where: str) -> dict[str, str]:
    """The values of a dotenv text; `$` expands nothing. Raises UsageError, naming the line."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only where there are secrets

    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise _unreadable(f"line {binding.original.line} is not KEY=VALUE", where)
        if binding.key is None or binding.value is None:
            continue
        if not VARIABLE_PATTERN.fullmatch(binding.key):
            line = binding.original.line
            raise _unreadable(f"line {line} names no environment variable", where)
        if "\0" in binding.value:
            raise _unreadable(f"the value of {binding.key} holds a NUL", where)
        values[binding.key] = binding.value
    return values


def _forms(value: str) -> Iterator[str]:
    """How a value may stand in a text: as it is, in pieces, escaped as programs print it.

    The pieces are its lines, and what stands between its backslash sequences: some shells' echo
    makes line breaks of these.
    """
    for part in (value, *value.splitlines(), *re.split(r"\\.|[\r\n]", value)):
        for form in (part, part.strip(), json.dumps(part)[1:-1], repr(part)[1:-1]):
            if len(form) >= SHORTEST:
                yield form


def _read(path: Path) -> str:
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"the file of the secrets cannot be read: {error.strerror}", where=str(path)
        ) from None


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _unreadable("they are not UTF-8 text", where) from None


def _unreadable(what: str, where: str) -> UsageError:
    return UsageError(f"the secrets cannot be read: {what}", where=where)
