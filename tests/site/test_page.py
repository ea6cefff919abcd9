from __future__ import annotations

from tests.site.modules import site_module

page = site_module("page").page


def test_the_page_says_color_and_version() -> None:
    text = page("green", "v2")
    assert "answered by <b>green</b>" in text
    assert "<h1>v2</h1>" in text


def test_the_versions_look_different_in_the_same_color() -> None:
    seen = {page("blue", version).replace(version, "") for version in ("v1", "v2", "v3", "v4")}
    assert len(seen) == 4


def test_the_page_asks_for_nothing_else() -> None:
    assert not any(word in page("blue", "v1") for word in ("src=", "href=", "url("))
