from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.site.modules import site_module

if TYPE_CHECKING:
    from pathlib import Path

common = site_module("common")
Messages = list[dict[str, Any]]

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]}


def answered(path: str, *messages: dict[str, Any], headers: tuple[Any, ...] = ()) -> Messages:
    """What a client of an application that sends `messages` receives through the middleware."""

    async def app(_scope: object, _receive: object, send: Any) -> None:
        for message in messages:
            await send(message)

    sent: Messages = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": list(headers)}
    asyncio.run(common.Identify(app)(scope, None, send))
    return sent


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the witness writes in this test."""
    path = tmp_path / "app.jsonl"
    witness = common.Witness()
    witness._path = path
    monkeypatch.setattr(common, "witness", witness)
    return path


def told(path: Path) -> list[tuple[str, str, int]]:
    common.witness.flush()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["id"], row["event"], row["status"]) for row in rows]


def test_the_digest_is_that_of_rfc_9530() -> None:
    # the example of RFC 9530, appendix B.1
    text = b'{"hello": "world"}\n'
    assert common.digest(text) == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_an_answer_carries_the_length_and_digest_of_its_whole_body(lines: Path) -> None:
    start, end = answered("/items", START, body(b"one ", more=True), body(b"two"))
    headers = dict(start["headers"])
    assert headers[b"content-length"] == b"7"
    expected = base64.b64encode(hashlib.sha256(b"one two").digest())
    assert headers[b"content-digest"] == b"sha-256=:" + expected + b":"
    assert end["body"] == b"one two"
    assert [event for _, event, _ in told(lines)] == ["start", "end"]


def test_the_request_id_of_the_client_comes_back(lines: Path) -> None:
    given = (b"x-request-id", b"00000000deadbeef")
    start, _ = answered("/items", START, body(b""), headers=(given,))
    assert given in start["headers"]
    assert told(lines) == [("00000000deadbeef", "start", 0), ("00000000deadbeef", "end", 200)]


def test_a_request_without_an_id_gets_one(lines: Path) -> None:
    start, _ = answered("/items", START, body(b""))
    made = dict(start["headers"])[b"x-request-id"].decode()
    assert len(made) == 16
    assert told(lines)[0][0] == made


def test_a_stream_is_passed_on_part_by_part(lines: Path) -> None:
    begin = {**START, "headers": []}
    sent = answered("/events", begin, body(b"a", more=True), body(b"b", more=True), body(b""))
    assert [message.get("body") for message in sent] == [None, b"a", b"b", b""]
    assert b"content-length" not in dict(sent[0]["headers"])
    assert told(lines)[-1][1] == "end"


def test_an_answer_that_never_completes_leaves_no_end(lines: Path) -> None:
    answered("/items", START, body(b"half", more=True))
    assert "end" not in [event for _, event, _ in told(lines)]


def test_bad_smoke_breaks_the_items_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, lines: Path
) -> None:
    monkeypatch.setattr(common, "FAULT", common.parse_fault("bad-smoke"))
    assert answered("/items", START, body(b""))[0]["status"] == 500
    assert answered("/", START, body(b""))[0]["status"] == 200
    assert answered("/ready", START, body(b""))[0]["status"] == 200
    assert told(lines)[1][2] == 500


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [("", "", 0), ("never-healthy", "never-healthy", 0), ("slow=0.5", "slow", 0.5)],
)
def test_a_fault_is_a_kind_and_sometimes_a_figure(text: str, kind: str, value: float) -> None:
    assert common.parse_fault(text) == common.Fault(kind, value)


@pytest.mark.parametrize("text", ["sloow=1", "slow=much"])
def test_a_fault_that_nobody_knows_ends_the_process_at_its_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"none of|convert"):
        common.parse_fault(text)


def test_a_release_that_is_healthy_after_some_seconds_is_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(common, "FAULT", common.Fault("healthy-after", 1e9))
    assert not common.healthy()
    monkeypatch.setattr(common, "FAULT", common.Fault("healthy-after", 0.0))
    assert common.healthy()


def test_a_flapping_release_is_healthy_for_one_answer_and_then_not_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(common.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(common, "FAULT", common.parse_fault("flapping"))
    answers = []
    for now[0] in (100.0, 100.1, 101.9, 102.0, 102.1, 105.0):
        answers.append(common.healthy())
    assert answers == [True, False, False, True, False, True]


def test_only_a_release_that_was_told_to_plants_faults(
    lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice, unseen = (b"x-plant", b"twice"), (b"x-plant", b"unseen")
    answered("/items", START, body(b""), headers=(twice,))
    assert [event for _, event, _ in told(lines)] == ["start", "end"]
    monkeypatch.setattr(common, "FAULT", common.parse_fault("plants"))
    answered("/items", START, body(b""), headers=(twice,))
    answered("/items", START, body(b""), headers=(unseen,))
    answered("/items", START, body(b""))
    events = [event for _, event, _ in told(lines)]
    assert events == ["start", "end", "start", "start", "end", "start", "end"]
