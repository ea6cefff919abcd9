"""The env files that Docker Compose reads: https://docs.docker.com/compose/how-tos/environment-variables/."""

from __future__ import annotations

import re

from cyan.errors import UsageError

VARIABLE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

PLAIN = re.compile(r"[^'\n]*(?<!\\)(\\\\)*")
"""What single quotes hold: the parser takes a backslash before the closing one for an escape."""

ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n"}
"""What double quotes need of what single ones cannot hold, and how they write it."""

ESCAPED = re.compile(r"\\(.)")


def env_file(values: dict[str, str]) -> str:
    """The text of an env file whose values Compose takes literally.

    Single quotes keep `$`, spaces and backslashes; a value that they cannot hold goes into double
    ones, escaped. Raises UsageError for a key that is no variable's name, and for a value that no
    environment can hold: with a NUL in it, or not of Unicode's characters.
    """
    lines = []
    for key, value in values.items():
        if not VARIABLE_PATTERN.fullmatch(key):
            raise UsageError(f"{key!r} is not the name of an environment variable")
        if "\0" in value or not _encodable(value):
            raise UsageError(
                f"the value of {key} holds a NUL or bytes that are not UTF-8",
                todo="no environment variable can hold that: put it into a file",
            )
        lines.append(f"{key}={_literal(value)}\n")
    return "".join(lines)


def parse_env_file(text: str) -> dict[str, str]:
    """The values of a text that `env_file` made."""
    pairs = (line.partition("=") for line in text.split("\n") if "=" in line)
    return {key: _meant(value) for key, _, value in pairs}


def _literal(value: str) -> str:
    if PLAIN.fullmatch(value):
        return f"'{value}'"
    return '"' + "".join(ESCAPES.get(letter, letter) for letter in value) + '"'


def _meant(written: str) -> str:
    if written.startswith('"'):
        return ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], written[1:-1])
    return written.removeprefix("'").removesuffix("'")


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
