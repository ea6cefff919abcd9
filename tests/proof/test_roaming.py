"""Users who change hosts: whether one was answered by a color that had been left."""

from __future__ import annotations

import http.server
import json
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cyan.proof import roaming
from cyan.proof.load import Load
from tests.proxies.test_front import adopted

if TYPE_CHECKING:
    from collections.abc import Iterator

BLUE, GREEN = "blue", "green"


@pytest.mark.parametrize(
    ("seen", "switches", "back"),
    [
        ([], 0, 0),
        ([BLUE, BLUE, GREEN, GREEN], 1, 0),
        ([BLUE, GREEN, BLUE, GREEN], 1, 1),
        ([BLUE, GREEN, BLUE, GREEN, BLUE, GREEN], 1, 2),
        ([BLUE, GREEN, BLUE], 1, 1),  # and never came again
        ([BLUE, GREEN, BLUE], 2, 0),  # a rollback
        ([BLUE, "", BLUE, GREEN, "", GREEN], 1, 0),
        ([GREEN, BLUE], 0, 1),
    ],
)
def test_it_is_counted_how_often_somebody_was_answered_by_a_color_that_had_been_left(
    seen: list[str], switches: int, back: int
) -> None:
    assert roaming.returns(seen, switches) == back


class Host:
    """A proxy, with a log: it gives a cookie, and answers by the color that is live there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.color, self.pins, self.broken = folder, BLUE, True, False
        self.cookies: list[str] = []

    @contextmanager
    def serving(self) -> Iterator[Load]:
        """Its site, while the block runs."""
        mine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                kept = self.headers.get("Cookie") or ""
                mine.cookies.append(kept)
                color = GREEN if "pin=green" in kept else mine.color
                name = self.headers["X-Request-ID"]
                line = {
                    "request": {"headers": {"X-Request-Id": [name]}},
                    "user_id": f"{color} {name} 1",
                }
                with (mine.folder / "proxy.jsonl").open("a") as log:
                    log.write(json.dumps(line) + "\n")
                self.send_response(502 if mine.broken else 200)
                if color == GREEN and mine.pins:
                    self.send_header("Set-Cookie", "pin=green; Path=/; HttpOnly")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield Load(f"http://127.0.0.1:{server.server_address[1]}", Path())
            server.shutdown()


@pytest.mark.parametrize(("pins", "back"), [(True, False), (False, True)])
def test_who_keeps_the_cookie_does_not_go_back_and_where_none_is_given_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pins: bool, back: bool
) -> None:
    monkeypatch.setattr(roaming, "PACE", 0.005)
    with ExitStack() as stack:
        hosts = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "proxy.jsonl").touch()
            hosts.append(Host(tmp_path / name))
            hosts[-1].pins = pins
        loads = [stack.enter_context(each.serving()) for each in hosts]
        roamers = roaming.Roamers(adopted(tmp_path), loads)
        with roamers:
            for each in hosts:
                time.sleep(0.3)
                each.color = GREEN  # the second one a moment later than the first
            time.sleep(0.3)
    found = roamers.judged([each.folder for each in hosts], 1)
    assert found.requests > 50
    assert (found.failures, found.unknown) == ((), 0)
    assert bool(found.back) is back
    assert ("never backwards" in found.sentence) is not back


def test_who_is_not_answered_is_told_and_so_is_an_answer_that_no_log_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roaming, "PACE", 0.005)
    host = Host(tmp_path)
    host.broken = True
    (tmp_path / "proxy.jsonl").touch()
    with host.serving() as load, (roamers := roaming.Roamers(adopted(tmp_path), [load])):
        time.sleep(0.2)
        host.broken = False
        time.sleep(0.2)
    found = roamers.judged([tmp_path], 0)
    assert "status 502" in found.failures[0]
    assert len(found.failures) < found.requests
    log = (tmp_path / "proxy.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "proxy.jsonl").write_text("".join(log[:-3]))
    assert roamers.judged([tmp_path], 0).unknown
