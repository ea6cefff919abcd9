"""Every example of a setting, in README, docs and invoke.yaml, is one that the loader takes."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cyan.configured import load
from cyan.proof.loadfile import LoadFile

PROJECT = Path(__file__).parent.parent
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
INVOKE = (PROJECT / "invoke.yaml").read_text()
OTHERS = {"services", "volumes", "networks", "x-service"}
"""The first keys of a Compose file: Compose's own business."""


def section() -> dict[str, Any]:
    """The demo's settings, to be changed."""
    found: dict[str, Any] = yaml.safe_load(INVOKE)["cyan"]
    return found


def beneath(change: dict[str, Any]) -> dict[str, Any]:
    """What an example changes: the demo's settings, or those of an application on a swarm."""
    if "colors" not in change:
        return section()
    route = {"service": "web", "port": 80}
    adopted = {"project": "shop", "services": {"web": "web"}, "routes": [route]}
    kept = {name: section()[name] for name in ("app", "hosts", "directory")}
    return {**kept, "engine": "swarm", "adopted": adopted}


def merged(into: Any, change: Any) -> Any:
    """`change` laid over the settings, key by key."""
    if isinstance(into, dict) and isinstance(change, dict):
        keys = into.keys() | change.keys()
        return {
            key: merged(into.get(key), change[key]) if key in change else into[key] for key in keys
        }
    return copy.deepcopy(change)


def fences(path: Path) -> list[str]:
    """The YAML examples of a page that are settings."""
    others = OTHERS | {"requests"}
    return [text for text in yaml_of(path) if not others & set(yaml.safe_load(text) or {})]


def yaml_of(path: Path) -> list[str]:
    """All YAML examples of a page."""
    return re.findall(r"```ya?ml\n(.*?)```", path.read_text(), flags=re.DOTALL)


def commented() -> list[tuple[str, str]]:
    """The settings that invoke.yaml shows as a comment: the key above, and its lines.

    A line of its own that is commented out, with what is deeper; and after a setting, `such as`.
    """
    found: list[tuple[str, str]] = []
    path: list[str] = []
    lines = INVOKE.splitlines()
    for number, line in enumerate(lines):
        active = re.match(r"( *)([a-z_]+):", line)
        if active:
            depth = len(active[1]) // 2
            path = [*path[:depth], active[2]]
        such = re.search(r"# such as (\{.*\}|[^ ,;]+)", line)
        if active and such:
            found.append((".".join(path), such[1]))
        off = re.match(r"( *)# ([a-z_]+):(.*)", line)
        if off:
            body = [line[: len(off[1])] + line[len(off[1]) + 2 :]]
            for more in lines[number + 1 :]:
                deeper = re.match(rf"{off[1]}#  +(\S.*)", more)
                if not deeper:
                    break
                body.append(more[: len(off[1])] + more[len(off[1]) + 2 :])
            above = path[: len(off[1]) // 2]
            found.append((".".join(above), "\n".join(part[len(off[1]) :] for part in body)))
    return found


def test_a_load_that_a_page_shows_is_one() -> None:
    texts = [yaml.safe_load(text) for path in PAGES for text in yaml_of(path)]
    loads = [told for told in texts if told and "requests" in told]
    assert loads
    for told in loads:
        LoadFile.model_validate(told)


def test_there_are_examples_to_try() -> None:
    keys = {key for key, _ in commented()}
    assert {"cyan.hooks", "cyan.health", "cyan.images", "cyan.secrets", "cyan.warm.for"} <= keys


@pytest.mark.parametrize(("key", "text"), commented())
def test_what_invoke_yaml_shows_in_a_comment_can_be_written(key: str, text: str) -> None:
    value = yaml.safe_load(text)
    if key == "cyan.hooks":
        value = [value]
    if key.startswith("cyan.hosts"):
        key, value = "cyan.hosts", [section()["hosts"][0] | value]
    if "adopted" in value:  # its services are not the demo's
        load({name: section()[name] for name in ("app", "hosts", "directory")} | value, {}, PROJECT)
        return
    for name in reversed(key.split(".")):
        value = {name: value}
    load(merged({"cyan": beneath(value["cyan"])}, value)["cyan"], {}, PROJECT)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_a_page_shows_can_be_written(page: Path) -> None:
    for text in fences(page):
        change = yaml.safe_load(text)
        change = change if "cyan" in change else {"cyan": change}
        load(merged({"cyan": beneath(change["cyan"])}, change)["cyan"], {}, PROJECT)
    for text in re.findall(r"\{(?:before|after): [^}]*\}", page.read_text()):
        load(section() | {"hooks": [yaml.safe_load(text)]}, {}, PROJECT)
