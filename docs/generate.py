"""Writes the pages that follow from the code: commands, settings, messages, and a man page.

`.venv/bin/python docs/generate.py`; a test says when that was forgotten.
"""

from __future__ import annotations

import ast
import re
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cyan.settings import Settings
from cyan.tasks import namespace

DOCS = Path(__file__).parent
PROJECT = DOCS.parent
MADE = "<!-- made by docs/generate.py: change the code, and run it again -->"
ABOUT_SETTINGS = """\
Of `invoke.yaml`, below `cyan:`. A flag wins over the environment (`INVOKE_CYAN_BAKE_SECONDS=0` sets
`cyan.bake.seconds`), which wins over the file."""
ABOUT_MESSAGES = """\
What may be said, by the part of cyan that says it. `…` stands for what differs. Exit code 2: the
input is wrong, and nothing was touched; 1: it failed; 3: a verdict is unknown."""
CODES = """\
0 it went well; 1 it failed; 2 the input was wrong, and nothing was touched;
3 a verdict is unknown."""
KEY = re.compile(r"^( *)(?:# )?([a-z_]+):(?: [^#]*)?(?:# (.*))?$")


def tasks() -> list[tuple[str, Any]]:
    """Every task by its name."""
    return sorted((name, namespace[name]) for name in namespace.task_names)


def flags(task: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - Invoke's
    """A task's flags, as they are written, and what each means."""
    found = []
    for argument in task.get_arguments():
        name = argument.name.replace("_", "-")
        value = "" if argument.kind is bool else f" {argument.kind.__name__.upper()}"
        found.append((f"--{name}{value}", argument.help or ""))
    return found


def commands() -> str:
    """docs/commands.md."""
    parts = ["# Commands", MADE, "Each is `inv NAME` in a project's folder, or `cyan NAME`.", ""]
    for name, task in tasks():
        said = " ".join((task.__doc__ or "").split())
        parts += [f"## {name}", "", said, ""]
        if rows := flags(task):
            parts += ["| flag | means |", "| --- | --- |"]
            parts += [f"| `{flag}` | {_cell(text)} |" for flag, text in rows]
            parts.append("")
    return "\n".join(parts)


def man() -> str:
    """docs/cyan.1."""
    lines = [
        '.TH CYAN 1 "" "cyan" "User Commands"',
        ".SH NAME",
        "cyan \\- rotate a Docker Compose application without dropping a request, and prove it",
        ".SH SYNOPSIS",
        ".B cyan",
        "\\fITASK\\fR [\\fIFLAGS\\fR]",
        ".SH DESCRIPTION",
        "Run in the folder that holds invoke.yaml. inv does the same there.",
        ".SH TASKS",
    ]
    for name, task in tasks():
        lines += [".TP", f".B {name}", _troff(" ".join((task.__doc__ or "").split()))]
        for flag, text in flags(task):
            lines += [".RS", ".TP", f"\\fB{_troff(flag)}\\fR", _troff(text), ".RE"]
    lines += [
        ".SH EXIT STATUS",
        CODES,
    ]
    return "\n".join(lines) + "\n"


def _troff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def settings() -> str:
    """docs/settings.md."""
    said = _comments()
    parts = [
        "# Settings",
        MADE,
        ABOUT_SETTINGS,
        "",
        *_model("", Settings, said),
    ]
    return "\n".join(parts) + "\n"


def _model(prefix: str, model: type[BaseModel], said: dict[str, str]) -> list[str]:
    title = prefix or "cyan"
    about = (model.__doc__ or "").strip().split("\n\n")
    parts = [f"## {title}", "", *(" ".join(each.split()) + "\n" for each in about)]
    rows, deeper = [], []
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        key = field.alias or name
        inner = _inner(field.annotation)
        if inner:
            deeper.append((path, inner))
        default = _default(field)
        rows.append(f"| `{key}` | {default} | {_cell(said.get(path, ''))} |")
    parts += ["| key | unless given | means |", "| --- | --- | --- |", *rows, ""]
    for path, inner in deeper:
        parts += _model(path, inner, said)
    return parts


def _inner(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    """The section that a setting is, or is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation):
        found = (_inner(each) for each in typing.get_args(annotation))
        return next((each for each in found if each), None)
    return None


def _default(field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo
    if field.is_required():
        return "needed"
    value = field.default
    if value is PydanticUndefined or isinstance(value, BaseModel) or callable(value):
        return "see below" if _inner(field.annotation) else ""
    if value in ("", None, ()):
        return "none"
    shown = value.as_posix() if isinstance(value, Path) else str(value)
    return f"`{shown.replace(str(PROJECT) + '/', '')}`"


def _comments() -> dict[str, str]:
    """What invoke.yaml says of each key, by its path."""
    found: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (PROJECT / "invoke.yaml").read_text().splitlines():
        match = KEY.match(line.replace("- ", "  ", 1))
        if not match:
            continue
        depth, key, comment = len(match[1]), match[2], match[3]
        while stack and stack[-1][0] >= depth:
            stack.pop()
        stack.append((depth, key))
        path = ".".join(name for _, name in stack[1:])
        if comment:
            found.setdefault(path, comment)
    return found


def messages() -> str:
    """docs/messages.md: what an operator may be told, and what to do, as the code has it."""
    parts = [
        "# Messages",
        MADE,
        ABOUT_MESSAGES,
        "",
    ]
    for path in sorted((PROJECT / "cyan").rglob("*.py")):
        rows = list(_told(ast.parse(path.read_text())))
        if rows:
            name = path.relative_to(PROJECT).with_suffix("").as_posix().replace("/", ".")
            parts += [f"## {name}", "", "| it says | do |", "| --- | --- |"]
            parts += [f"| {_cell(what)} | {_cell(todo)} |" for what, todo in rows]
            parts.append("")
    return "\n".join(parts)


def _told(tree: ast.AST) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if not node.func.id.endswith("Error") or not node.args:
            continue
        what = _text(node.args[0])
        todo = next((_text(each.value) for each in node.keywords if each.arg == "todo"), "")
        if what.replace("…", "").strip(" :;,"):
            found[what, todo] = None
    return list(found)


def _text(node: ast.expr) -> str:
    """A text as it is written, with … for what is put into it."""
    if isinstance(node, ast.Constant):
        return " ".join(str(node.value).split())
    if isinstance(node, ast.JoinedStr):
        parts = (str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values)
        return " ".join("".join(parts).split())
    if isinstance(node, ast.BinOp):
        return f"{_text(node.left)}{_text(node.right)}"
    return "…"


PAGES = {
    "commands.md": commands,
    "settings.md": settings,
    "messages.md": messages,
    "cyan.1": man,
}


def main() -> None:
    """Write them all."""
    for name, made in PAGES.items():
        (DOCS / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
