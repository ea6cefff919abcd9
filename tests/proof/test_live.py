"""The page that shows a run while it happens: what it is told, who may look, what it draws."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from cyan.proof import live
from cyan.proof.display import Silent
from cyan.proof.history import Observation, Performed
from cyan.proof.load import Pace
from cyan.proof.requestlog import INTENT_COLUMNS, RESULT_COLUMNS
from cyan.proof.scenario import deploy
from tests.proof.browser import CHROMIUM, browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACT = deploy("v2")
SECOND = 1_000_000_000


def intent(number: int, due: float, journey: str = "items") -> str:
    given = {"id": number, "journey": journey, "due_ns": SECOND + int(due * SECOND)}
    return "\t".join(str(given.get(name, "0")) for name in INTENT_COLUMNS)


def result(number: int, end: float, color: str = "blue", failure: str = "") -> str:
    given = {"id": number, "end_ns": SECOND + int(end * SECOND), "color": color, "failure": failure}
    return "\t".join(str(given.get(name, "0")) for name in RESULT_COLUMNS)


def test_answers_are_counted_by_half_second_color_and_failure() -> None:
    rates = live.Rates()
    for number, journey in enumerate(("items", "items", "items", "download", "planted")):
        rates.sent(intent(number, 0.1 * number, journey))
    told = rates.ended(
        [result(0, 0.2), result(1, 0.4, "green"), result(2, 0.9, "", "status"), result(3, 0.7),
         result(4, 0.7), "torn"]
    )  # fmt: skip
    assert told == [
        {"at": 0.0, "p99": 200.0, "blue": 1, "green": 1},
        {"at": 0.5, "p99": None, "failed": 1, "blue": 1},
    ]
    assert rates.longest_ms == pytest.approx(300.0)
    assert rates.ended([result(0, 9.0)]) == []  # nobody's, or told already


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in ("client", "acts"):
        (tmp_path / name).mkdir()
    (tmp_path / "client/intents-0.tsv").write_text(f"{intent(0, 0)}\n{intent(1, 0)}\n")
    (tmp_path / "client/results-0.tsv").write_text(f"{result(0, 0.2)}\n{result(1, 0.3)[:9]}")
    return tmp_path


@pytest.fixture
def both(run: Path) -> Iterator[tuple[live.Watched, int]]:
    said: list[str] = []
    with live.watched(Silent(), (ACT,), (run,), said.append) as watched:
        yield watched, int(said[0].rstrip("/").rpartition(":")[2])


def answer(port: int, path: str, host: str = "127.0.0.1") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    return connection.getresponse()


def events(port: int, until: str) -> list[dict[str, Any]]:
    """What a page is told from the first on, until an event that has this key."""
    told: list[dict[str, Any]] = []
    for line in answer(port, "/events"):
        if line.startswith(b"data: "):
            told.append(json.loads(line[6:]))
            if until in told[-1]:
                break
    return told


def happens(watched: live.Watched, run: Path) -> None:
    watched.says("steady state")
    watched.tick(Pace(sent=2, in_flight=1))
    watched.begins(0)
    (run / "acts/1-deploy-v2.log").write_text(
        "deploy v2 on lab\n✓ switch       0.02 s  new requests go to v2\n✗ verify 1.50 s  it errs\n"
    )
    with (run / "client/results-0.tsv").open("a") as file:
        file.write(f"{result(1, 0.3)[9:]}\n")
    live_now = Observation("green", ())
    watched.ended(0, Performed(ACT, 0, 1, 1, live_now, live_now))


def test_a_page_is_told_all_from_the_first_on_also_one_that_comes_late(
    both: tuple[live.Watched, int], run: Path
) -> None:
    watched, port = both
    happens(watched, run)
    for _ in range(2):
        told = events(port, "ended")
        assert told[0] == {"says": "steady state"}
        bins = [each for event in told for each in event.get("bins", ())]
        assert [each["blue"] for each in bins] == [1, 2]  # the torn row once it was whole
        assert [(e["step"], e["well"], e["took"]) for e in told if "step" in e] == [
            ("switch", True, 0.02), ("verify", False, 1.5)
        ]  # fmt: skip
        assert told[-1]["live"] == "green"
        pace = next(event["pace"] for event in told if "pace" in event)
        assert (pace["sent"], pace["in_flight"]) == (2, 1)


def test_only_who_asks_for_this_machine_by_its_own_name_is_answered(
    both: tuple[live.Watched, int],
) -> None:
    _, port = both
    page = answer(port, "/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"while it happens" in page.read()
    assert answer(port, "/", "evil.example").status == 421
    assert answer(port, "/events", "evil.example").status == 421
    assert answer(port, "/else").status == 404


def test_whoever_looks_is_told_when_it_has_ended(run: Path) -> None:
    said: list[str] = []
    told: list[dict[str, Any]] = []
    with live.watched(Silent(), (ACT,), (run,), said.append):
        port = int(said[0].rstrip("/").rpartition(":")[2])
        looking = threading.Thread(target=lambda: told.extend(events(port, "done")))
        looking.start()
        time.sleep(0.2)
    looking.join(10)
    assert str(run / "report.html") in told[-1]["done"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_draws_what_happens(
    both: tuple[live.Watched, int], run: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    watched, port = both
    with browser(tmp_path_factory.mktemp("profile")) as page:
        page.ask("Page.navigate", url=f"http://127.0.0.1:{port}/")
        page.until("document.querySelector('h1')?.textContent === 'waiting for the run'")
        happens(watched, run)
        page.until("document.querySelectorAll('#live-figure .main-svg').length > 0")
        page.until("document.querySelector('#act-0')?.textContent.includes('exit 1 · live: green')")
        steps = "[...document.querySelectorAll('.steps li li')].map(each => each.className).join()"
        assert page.value(steps) == "well,ill"
        assert page.value("document.getElementById('sent').textContent") == "2"
        names = "document.getElementById('live-figure').data.map(each => each.name).join()"
        page.until(f"{names} === 'blue,failed,p99'")
        assert page.value("document.getElementById('live-figure').layout.shapes.length") == 2
        assert page.value("document.documentElement.scrollWidth <= innerWidth")
