"""The documentation: made pages are as the code is, links lead somewhere, the site builds."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.tools import PROJECT, tool

if TYPE_CHECKING:
    from pathlib import Path

DOCS = PROJECT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def generator() -> Any:
    """docs/generate.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = generator()


@pytest.mark.parametrize("name", [*MADE.PAGES])
def test_a_page_that_is_made_from_the_code_is_as_the_code_is(name: str) -> None:
    assert (DOCS / name).read_text() == MADE.PAGES[name](), "run: .venv/bin/python docs/generate.py"


def test_every_task_flag_and_setting_is_there() -> None:
    commands, settings = MADE.commands(), MADE.settings()
    assert "## verify-zero-downtime" in commands
    assert "`--without LIST`" in commands
    assert "## bake" in settings
    assert re.search(r"\| `seconds` \| `2(\.0)?` \| the new live color is watched", settings)


def test_a_message_stands_with_what_to_do() -> None:
    told = MADE.messages()
    assert "… is none of cyan.hosts | one of: … |" in told
    assert "the deploy lock was lost: …" in told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files_that_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#]+)", text):
        if not link.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / link).exists(), link


def test_the_site_lists_every_page_once_and_builds_without_a_warning(tmp_path: Path) -> None:
    told = yaml.safe_load((PROJECT / "mkdocs.yml").read_text())
    listed = re.findall(r"[\w/]+\.md", str(told["nav"]))
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES)
    done = tool("mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/index.html").exists()
