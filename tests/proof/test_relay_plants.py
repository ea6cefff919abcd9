"""The relay that plants, with real sockets: a plant hits one request only, or none and says why."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cyan.proof.relay.plants import CLOSE, PLANTS, SPACING, Draw, Plant, Planter
from loadtests.client import Answer, Call, Session, digest
from tests.proof.relays import relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RTT = 0.001
BODY = b'{"items": ["lamp", "lens"]}'


class Site(BaseHTTPRequestHandler):
    """Answers like the demo; `received` holds the X-Plant, Cookie and id of each request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    received: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        plant, cookie = self.headers.get("X-Plant", ""), self.headers.get("Cookie", "")
        self.received.append((self.headers["X-Request-ID"], plant, cookie))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        color = self.headers.get("X-Want", "blue")
        self.send_response(200)
        for name, value in {
            "X-Color": color,
            "X-Version": {"blue": "v1", "green": "v2"}[color],
            "X-Request-ID": self.headers["X-Request-ID"],
            "Content-Digest": digest(BODY),
            "Content-Length": str(len(BODY)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(BODY)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def site() -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    received: list[tuple[str, str, str]] = []
    handler = type("Handler", (Site,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, received
        server.shutdown()


def test_each_request_gets_one_plant_at_most_and_each_plant_one_request() -> None:
    planter = Planter(PLANTS, spacing=3)
    ways = [(plant.method, plant.path, plant.connection or "reused") for plant in PLANTS]
    chosen = [planter.choose(*way) for _ in range(6) for way in ways]
    assert sorted(plant.name for plant in chosen if plant) == sorted(plant.name for plant in PLANTS)
    places = [place for place, plant in enumerate(chosen) if plant]
    assert min(later - earlier for earlier, later in pairwise(places)) >= 3


def test_a_plant_waits_for_the_request_that_it_is_meant_for() -> None:
    planter = Planter((Plant("x", "reset", "reset", "POST", "/orders", "reused"),), spacing=2)
    ways = [
        ("POST", "/orders", "reused"),
        ("GET", "/orders", "reused"),
        ("POST", "/orders", "new"),
        ("POST", "/orders", "reused"),
        ("POST", "/orders", "reused"),
    ]
    assert [bool(planter.choose(*way)) for way in ways] == [False, False, False, True, False]


OUTCOMES = {
    "reset": "reset",
    "reset-answer": "reset",
    "hold": "timeout",
    "status": "status",
    "truncated": "truncated",
    "corrupted": "truncated",
}
"""What the witness says of each way; of the others it hears a good answer."""


@dataclass
class Planted:
    """A conversation in which everything was planted once, as far as it fits."""

    answers: dict[str, Answer]
    ids: dict[str, str]
    why_not: dict[str, str]
    received: list[tuple[str, str, str]]
    took: list[float]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """With a site whose two colors both answer, and a round trip added."""
    return conversation(tmp_path_factory.mktemp("both"), ("blue", "green"), "--rtt", str(RTT))


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """With a site of which only one color answers."""
    return conversation(tmp_path_factory.mktemp("one"), ("blue",))


def conversation(folder: Path, colors: tuple[str, ...], *flags: str) -> Planted:
    """Requests for every plant in turn, through a relay that plants."""
    path = folder / "planted.jsonl"
    path.touch()
    answers: dict[str, Answer] = {}
    took: list[float] = []
    with site() as (port, received), relay(port, "--planted", str(path), *flags) as relayed:
        session = Session(f"http://127.0.0.1:{relayed}", 1)
        noted = 0
        for count in range(SPACING * (len(PLANTS) + 2)):
            todo = PLANTS[min(noted, len(PLANTS) - 1)]
            if todo.connection == "new":
                session.close()
            number, wanted = f"{count:016x}", call(todo, colors[count % len(colors)])
            begun = time.monotonic()
            answers[number] = session.call(wanted, number)
            took.append(time.monotonic() - begun)
            noted = path.read_text().count("\n")
        session.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    ids, why_not = ({line["plant"]: line[key] for line in lines} for key in ("id", "why_not"))
    return Planted(answers, ids, why_not, received, took)


def call(todo: Plant, color: str) -> Call:
    """A request that the plant would take."""
    headers = {"X-Want": color, "Cookie": "session=1"}
    body = b"{}" if todo.method == "POST" else b""
    patience = 0.3 if todo.how == "hold" else 5.0
    return Call("", todo.method, f"{todo.path}?x=1", 200, body, headers, patience)


def of_the_site(number: str) -> tuple[str, str]:
    """What the site itself says to a request."""
    return ("blue", "v1") if int(number, 16) % 2 == 0 else ("green", "v2")


def test_everything_is_planted_once_and_nothing_else_is_touched(planted: Planted) -> None:
    assert sorted(planted.ids) == sorted(plant.name for plant in PLANTS)
    hit = set(planted.ids.values())
    assert len(hit) == len(PLANTS)
    for number, answer in planted.answers.items():
        if number not in hit:
            assert (answer.failure, answer.body) == ("", BODY)
            assert (answer.color, answer.version) == of_the_site(number)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_plant_does_what_it_says_to_its_request(plant: Plant, planted: Planted) -> None:
    number = planted.ids[plant.name]
    hit, seen = planted.answers[number], [r for r in planted.received if r[0] == number]
    forwarded = {"reset": 0, "hold": 0, "status": 0, "unexplained": 0, "twice": 2}
    assert hit.failure == OUTCOMES.get(plant.how, "")
    assert len(seen) == forwarded.get(plant.how, 1)
    assert [r[1] for r in seen] == [plant.value] * len(seen)
    assert [r[2] for r in seen] == ["" if plant.how == "session" else "session=1"] * len(seen)
    if plant.connection:
        assert hit.connection == plant.connection
    color, version = of_the_site(number)
    if plant.how == "stale":
        assert hit.color != color
        assert hit.version != version
    if plant.how == "unexplained":
        assert (hit.color, hit.version) == of_the_site(f"{int(number, 16) - 1:016x}")
    if plant.how == "backwards":
        assert hit.color == color
        assert hit.version != version


def test_a_round_trip_is_added_to_what_is_planted_and_to_what_is_not(planted: Planted) -> None:
    assert min(planted.took) >= RTT


def test_what_needs_two_colors_is_not_planted_where_one_answers_and_noted_so(
    lonely: Planted,
) -> None:
    unplanted = [name for name, number in lonely.ids.items() if not number]
    assert unplanted == [plant.name for plant in PLANTS if plant.how in {"stale", "backwards"}]
    assert {lonely.why_not[name] for name in unplanted} == {"no color but blue has answered yet"}
    hit = set(lonely.ids.values())
    assert {answer.failure for number, answer in lonely.answers.items() if number not in hit} == {
        ""
    }
    assert {answer.version for answer in lonely.answers.values()} == {"v1", ""}


DRAW = Draw(60, 6000, seed=7)


def test_plants_that_are_drawn_are_of_any_kind_at_any_time_and_the_same_for_a_seed() -> None:
    due = [at for at, _ in DRAW.plants]
    names = [plant.name for _, plant in DRAW.plants]
    kinds = {name.partition(". ")[2] for name in names}
    assert len(names) == len(set(names)) == 60
    assert due == sorted(due)
    assert min(due) < 600
    assert max(due) > 5400
    assert len(kinds) > 15
    assert kinds <= {plant.name for plant in PLANTS}
    assert DRAW.plants == Draw(60, 6000, seed=7).plants
    assert DRAW.plants != Draw(60, 6000, seed=8).plants


def test_each_that_is_drawn_is_planted_once_and_none_before_its_time() -> None:
    planter, got = Planter(drawn=DRAW), dict[str, int]()
    ways = [(plant.method, plant.path, plant.connection or "reused") for plant in PLANTS]
    for number in range(1, 20_000):
        plant = planter.choose(*ways[number % len(ways)])
        if plant:
            assert plant.name not in got
            got[plant.name] = number
    due = {plant.name: at for at, plant in DRAW.plants}
    assert got.keys() == due.keys()
    assert all(got[name] >= due[name] for name in due)
    planted = sorted(got.values())
    assert min(b - a for a, b in pairwise(planted)) >= CLOSE
