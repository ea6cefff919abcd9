"""The pages in a real browser: drawn, clicked, dark, narrow, on paper, and without a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cyan.proof import trend
from cyan.proof.page import PLOTLY
from cyan.proof.report import write_report
from tests.proof import synthetic
from tests.proof.browser import CHROMIUM, Browser, browser

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),  # there its absence is a failure
    reason="no Chromium on this machine",
)

PICTURE = os.environ.get("CYAN_PICTURE", "")
"""Where the picture of the README goes, of the report that CYAN_REPORT names."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    for name in ("20261120-010000-verify", "20261121-010000-verify"):
        synthetic.write(synthetic.run(), folder / name)
        write_report(folder / name)
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def report(reports: Path) -> Path:
    return reports / "20261121-010000-verify" / "report.html"


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_a_report_draws_all_its_figures(
    page: Browser, outcome: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(outcome)
    page.open(folder / "report.html")
    assert page.value("document.querySelectorAll('.main-svg').length") >= 5


def test_what_is_drawn_can_be_read_as_a_table(page: Browser, reports: Path) -> None:
    page.open(report(reports))
    charts = "document.querySelectorAll('.js-plotly-plot')"
    named = (
        f"[...{charts}].filter(c => c.role === 'img' && c.ariaLabel.includes(': a chart')).length"
    )
    count = page.value(f"{charts}.length")
    assert count >= 5
    assert page.value(named) == count
    tables = "document.querySelectorAll('details.data')"
    assert page.value(f"{tables}.length") == count
    assert page.value("document.querySelectorAll('details.data table').length") == 0
    page.value(f"[...{tables}].forEach(d => d.open = true)")
    filled = f"[...{tables}].every(d => d.querySelectorAll('tbody tr').length > 0)"
    page.until(filled)
    first = "document.querySelector('#timeline-figure + details tbody tr').innerText"
    assert page.value(first).split()[0] in {"blue", "green"}


RANGE = "document.getElementById('timeline-figure').layout.xaxis.range.join()"


def test_a_click_zooms_the_time_line_and_another_shows_all_again(
    page: Browser, reports: Path
) -> None:
    page.open(report(reports))
    whole = page.value(RANGE)
    page.click("nav[data-for='timeline-figure'] button:nth-child(2)")
    page.until(f"{RANGE} !== '{whole}'")
    page.click("nav[data-for='timeline-figure'] button:nth-child(1)")
    page.until(f"{RANGE} === '{whole}'")


def test_a_click_shows_another_switch_request_by_request(page: Browser, reports: Path) -> None:
    page.open(report(reports))
    points = "document.getElementById('closeup-figure').data.map(d => d.x.length).join()"
    first = page.value(f"{points} + document.getElementById('closeup-figure').data[0].x[0]")
    page.click("nav[data-for='closeup-figure'] button:nth-child(2)")
    page.until(f"{points} + document.getElementById('closeup-figure').data[0].x[0] !== '{first}'")
    pressed = "document.querySelector('nav[data-for=closeup-figure] [aria-pressed=true]')"
    assert page.value(f"[...{pressed}.parentNode.children].indexOf({pressed})") == 1


@pytest.mark.parametrize("name", ["report", "index"])
def test_nothing_is_wider_than_a_phone(page: Browser, reports: Path, name: str) -> None:
    trend.write(reports)
    page.open(report(reports) if name == "report" else reports / "index.html", width=390)
    assert page.value("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_theme(page: Browser, reports: Path, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.ask("Emulation.setEmulatedMedia", features=features)
    page.open(report(reports))
    shade = page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    page.ask("Emulation.setEmulatedMedia", features=[])
    assert (int(shade) < 128) is (scheme == "dark")


def test_a_printed_report_shows_its_figures(page: Browser, reports: Path) -> None:
    page.open(report(reports))
    page.ask("Emulation.setEmulatedMedia", media="print")
    hidden = page.value(
        "[...document.querySelectorAll('.figure')].filter(e => !e.offsetHeight).length"
    )
    page.ask("Emulation.setEmulatedMedia", media="")
    assert hidden == 0


def test_a_page_is_small_enough_to_be_sent_to_somebody(reports: Path) -> None:
    assert PLOTLY.exists(), "setup has not fetched it"
    assert report(reports).stat().st_size < 1_500_000


def test_the_pages_ask_the_network_for_nothing(page: Browser, reports: Path) -> None:
    trend.write(reports)
    for path in (report(reports), reports / "index.html"):
        page.open(path)
        names = page.value("performance.getEntriesByType('resource').map(e => e.name)")
        assert [name for name in names if not name.startswith(("data:", "blob:"))] == []


def test_the_picture_of_a_report_is_taken(page: Browser, reports: Path, tmp_path: Path) -> None:
    page.open(Path(os.environ.get("CYAN_REPORT", report(reports))).resolve(), 1180, 1400)
    target = Path(PICTURE) if PICTURE else tmp_path / "report.png"
    target.write_bytes(page.screenshot())
    assert target.read_bytes().startswith(b"\x89PNG")
    assert target.stat().st_size > 50_000  # a blank page has a tenth of that
