"""What is found by its spelling is what a parser finds, or is left to the parser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from cyan.proof import jsonlines
from cyan.proof.jsonlines import MARGIN, Block, blocks
from cyan.proof.log_formats import application_lines, proxy_lines
from cyan.proof.witnesses import read_witnesses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ID, OTHER = "0ff6660000000001", "0ff6660000000002"
"""Of the client's form."""

TEXTS = some.one_of(
    some.text(max_size=12),
    some.sampled_from(
        ('"X-Request-Id":["', f'"X-Request-Id":["{OTHER}"]', '","status":500,"resp_headers":{',
         '"request":{', '"headers":{', "{", "}", "{{{", "\\", '"', '"service":"platform"',
         f'{{"id":"{OTHER}","event":"end"', '"status":0}', '"]}}', '\\"]}}')
    ),
)  # fmt: skip


def block(*lines: str) -> Block:
    """Lines as a file holds them, in one block."""
    raw = np.frombuffer("".join(f"{line}\n" for line in lines).encode(), np.uint8)
    padded = np.concatenate((raw, np.zeros(MARGIN, np.uint8)))
    return Block(padded, np.flatnonzero(raw < ord(" ")))


def dumped(line: dict[str, Any]) -> str:
    """A line as Caddy, and the demo, writes it."""
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False)


def access(request_id: str = ID, status: int = 200, **more: Any) -> dict[str, Any]:
    """A line of Caddy's access log."""
    headers = {"User-Agent": ["cyan"], "X-Request-Id": [request_id]}
    request = {"proto": "HTTP/1.1", "uri": "/items", "headers": headers}
    answer = {"X-Request-Id": [request_id], "X-Color": ["blue"]}
    line = {"level": "info", "ts": 1.5, "request": request, "size": 7, "status": status}
    return {**line, "resp_headers": answer, **more}


def event(request_id: str = ID, name: str = "start", **more: Any) -> dict[str, Any]:
    """A line of the demo's log."""
    line = {"id": request_id, "event": name, "at_ns": 1, "color": "blue", "service": "platform"}
    return {**line, "path": "/items", "status": 0, **more}


def proxied(*lines: str) -> list[tuple[int, int]]:
    """Ids and statuses of lines of the proxy, in rising order."""
    read = proxy_lines(block(*lines))
    return sorted(zip(read.ids.tolist(), read.told.tolist(), strict=True))


def applied(*lines: str) -> list[tuple[int, bool]]:
    """Ids of lines of the application, and whether each is an end, in rising order."""
    read = application_lines(block(*lines), "platform")
    return sorted(zip(read.ids.tolist(), read.told.tolist(), strict=True))


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to the parser."""

    def parsed(_: Block, lines: Any, schema: pa.Schema) -> pa.Table:
        assert not lines.any()
        return schema.empty_table()

    monkeypatch.setattr(Block, "parsed", parsed)


CADDY = (
    '{"level":"info","ts":1795520118.7034972,"logger":"http.log.access.log0","msg":"handled '
    'request","request":{"remote_ip":"172.20.0.1","remote_port":"60012","proto":"HTTP/1.1",'
    '"method":"POST","host":"127.0.0.1:18100","uri":"/orders","headers":{"User-Agent":['
    '"python/gevent-http-client-2.6.1"],"Content-Type":["application/json"],"X-Request-Id":['
    f'"{ID}"],"Content-Length":["34"]}}}},"user_id":"","duration":0.004965049,"size":46,'
    '"status":201,"resp_headers":{"X-Version":["v1"],"X-Request-Id":["0ff6660000000009"],'
    '"Content-Length":["46"],"Server":["Caddy"],"X-Color":["blue"]}}'
)
DEMO = (
    f'{{"id":"{ID}","event":"end","at_ns":1795520116940012869,"color":"blue","version":"v1",'
    '"service":"platform","path":"/ready","status":200}'
)
"""Lines of a run in the lab, but for their ids, and some headers that were left out."""


@pytest.mark.usefixtures("unparsed")
def test_lines_of_a_real_run_need_no_parser() -> None:
    assert proxied(CADDY) == [(int(ID, 16), 201)]
    assert applied(DEMO) == [(int(ID, 16), True)]


@pytest.mark.usefixtures("unparsed")
def test_lines_as_their_programs_write_them_need_no_parser() -> None:
    tls = access(OTHER, 404)
    tls["request"]["tls"] = {"resumed": False, "proto": "h2"}
    assert proxied(dumped(access()), dumped(tls)) == [(int(ID, 16), 200), (int(OTHER, 16), 404)]
    assert applied(dumped(event()), dumped(event(name="end"))) == [
        (int(ID, 16), False),
        (int(ID, 16), True),
    ]
    assert applied(dumped(event(service="rag"))) == []


def test_the_answers_header_is_not_taken_for_the_requests() -> None:
    stranger = access()
    del stranger["request"]["headers"]["X-Request-Id"]
    read = proxy_lines(block(dumped(stranger), dumped(access(OTHER))))
    assert (read.ids.tolist(), read.strangers) == ([int(OTHER, 16)], 1)


def test_a_line_that_was_torn_is_never_mixed_with_the_next() -> None:
    for read, torn, line in (
        (proxied, dumped(access(OTHER, 500)), dumped(access())),
        (applied, dumped(event(OTHER, "end")), dumped(event())),
    ):
        for length in range(1, len(torn)):
            with pytest.raises(pa.ArrowInvalid):
                read(torn[:length] + line)


@pytest.mark.parametrize("line", [dumped(access()), dumped(event())])
def test_a_line_that_lacks_its_end_or_has_something_before_it_is_refused(line: str) -> None:
    read = proxied if "resp_headers" in line else applied
    for length in range(1, len(line)):
        with pytest.raises(pa.ArrowInvalid):
            read(line[:length])
    with pytest.raises(pa.ArrowInvalid):
        read(f"x{line}")


def outcome(read: Callable[..., list[Any]], line: str) -> list[Any] | None:
    """What was read; None where the line was refused."""
    try:
        return read(line)
    except pa.ArrowInvalid:
        return None


def agree(read: Callable[..., list[Any]], line: str) -> list[Any] | None:
    """What was read of `line`, which a parser reads alike: a space before it leaves it to that."""
    found = outcome(read, line)
    assert found == outcome(read, f" {line}")
    return found


@given(some.tuples(TEXTS, TEXTS, TEXTS), some.integers(0, 999))
def test_whatever_users_send_the_proxys_lines_say_what_they_mean(
    sent: tuple[str, str, str], status: int
) -> None:
    uri, agent, echo = sent
    line = access(status=status)
    line["request"]["uri"] = uri
    line["request"]["headers"] = {"User-Agent": [agent], **line["request"]["headers"]}
    line["resp_headers"]["X-Echo"] = [echo]
    assert agree(proxied, dumped(line)) == [(int(ID, 16), status)]


@given(TEXTS, TEXTS, some.booleans())
def test_and_so_do_the_applications(path: str, version: str, end: bool) -> None:
    line = event(name="end" if end else "start", path=path, version=version)
    assert agree(applied, dumped(line)) == [(int(ID, 16), end)]


NAMES = ("level", "headers", "X-Request-Id", "status", "size", "tls", "id", "event", "service")
VALUES: tuple[Any, ...] = (
    [ID], [OTHER, ID], [], "text", "end", "platform", OTHER, 500, 2.5, None, True, {}, {"x": {}},
    {"X-Request-Id": [OTHER]}, {"headers": {"X-Request-Id": [OTHER]}},
)  # fmt: skip
EDITS = some.lists(
    some.tuples(
        some.sampled_from(("", "request", "headers", "resp_headers")),
        some.sampled_from(NAMES),
        some.sampled_from(("drop", "move", *VALUES)),
    ),
    max_size=4,
)


def edited(line: dict[str, Any], edits: list[tuple[str, str, Any]]) -> dict[str, Any]:
    """`line` with fields set, dropped, or moved to the end of their object; headers are lists."""
    for where, name, value in edits:
        request = line.get("request", {})
        within = {"": line, "request": request, "headers": request.get("headers")}
        target = within.get(where, line.get(where))
        if isinstance(target, dict) and ("headers" not in where or isinstance(value, (list, str))):
            before = target.pop(name, None)
            if value != "drop":
                target[name] = before if value == "move" else value
    return line


@given(EDITS)
@example([("headers", "X-Request-Id", "drop"), ("request", "X-Request-Id", [OTHER])])
@example([("request", "headers", {"headers": {"X-Request-Id": [OTHER]}})])
@example([("headers", "X-Request-Id", "drop"), ("request", "tls", {"X-Request-Id": [OTHER]})])
def test_a_line_of_the_proxy_in_another_shape_is_read_as_a_parser_reads_it(edits: Any) -> None:
    agree(proxied, dumped(edited(access(), edits)))


@given(EDITS)
def test_and_so_is_one_of_the_application(edits: Any) -> None:
    agree(applied, dumped(edited(event(), [("", name, value) for _, name, value in edits])))


WRITTEN, EVENTED = dumped(access()), dumped(event())
OWN = f'"X-Request-Id":["{ID}"]'
HOLED = WRITTEN[: WRITTEN.index(OWN) + len(OWN)], WRITTEN[WRITTEN.index(',"size"') :]
"""What is left where the middle of two lines was never written to the disk."""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", []),
        (dumped(access(status=0)), [(int(ID, 16), 0)]),  # a WebSocket, given away
        (WRITTEN.replace(":200,", ":null,"), []),
        (WRITTEN.replace(":200,", ":2e2,"), None),
        (WRITTEN.replace(":200,", ":20\0,"), None),
        (WRITTEN.replace(":200,", ":007,"), None),
        (WRITTEN.replace('"blue"', '"a}}').removesuffix("]}}"), None),
        (WRITTEN.replace('"blue"', r'"a\"]}}').removesuffix("]}}"), None),
        (HOLED[0] + HOLED[1], None),
        (HOLED[0] + "\0" * 99 + HOLED[1], None),
        (WRITTEN.replace('"uri":"/items"', "\0" * 14), None),
        (WRITTEN + dumped(access(OTHER, 500)), [(int(ID, 16), 200), (int(OTHER, 16), 500)]),
        (WRITTEN.replace(f",{OWN}", "", 1).replace('"headers"', f'{OWN},"headers"'), []),
        (dumped(access("no-hexadecimals!")), []),
        (dumped(access(ID + "0")), []),
        (dumped(access(ID.upper())), [(int(ID, 16), 200)]),
        (WRITTEN.replace(OWN, f'"X-Request-Id":["{OTHER}","{ID}"]', 1),
         [(int(OTHER, 16), 200)]),
        (WRITTEN.replace('{"User', f'{{"X-Request-Id":["{OTHER}"],"User', 1), None),
        (WRITTEN.replace('"headers":', f'"tls":{{"X-Request-Id":["{OTHER}"]}},"headers":', 1),
         [(int(ID, 16), 200)]),
        (WRITTEN.replace('"request":', '"inquiry":'), []),
        (WRITTEN.replace('200,"resp_headers"', '2000,"resp_header"'), [(int(ID, 16), 2000)]),
        (WRITTEN.replace('"status":', '"_tatus":'), []),
        ('{"level":"info","msg":"something else"}', []),
    ],
)  # fmt: skip
def test_odd_lines_of_the_proxy(line: str, told: list[Any] | None) -> None:
    assert agree(proxied, line) == told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", []),
        (dumped(event(name="cut")), []),
        (dumped(event(service="rag")), []),
        (dumped(event("no-hexadecimals!")), []),
        (EVENTED.replace('"service":"platform",', ""), []),
        (EVENTED.replace('"path"', '"service":"rag","path"'), None),
        (EVENTED.replace('/items","status":0}', "/a}"), None),
        (EVENTED.replace('/items","status":0}', r"/\"status\":0}"), None),
        (EVENTED.replace("at_ns", "at\0ns"), None),
        (EVENTED.replace('"status":0}', '"status":2000'), None),
        (EVENTED.replace('{"id"', '{"no"'), []),
        (dumped(event(more={"service": "rag"})), [(int(ID, 16), False)]),
        (dumped(dict(reversed(event(name="end").items()))), [(int(ID, 16), True)]),
    ],
)
def test_odd_lines_of_the_application(line: str, told: list[Any] | None) -> None:
    assert agree(applied, line) == told


def test_odd_lines_are_read_beside_others() -> None:
    odd = dumped(access(ID, 0))
    assert proxied(WRITTEN, odd, "", WRITTEN) == [(int(ID, 16), 0), *[(int(ID, 16), 200)] * 2]
    strangers = proxy_lines(block(WRITTEN, dumped(access("curl")), odd)).strangers
    assert strangers == 1


def test_nothing_is_spelled_nowhere() -> None:
    assert block("{").spelled(np.array([0, -1]), b"{").tolist() == [True, False]


@pytest.mark.parametrize("size", [1, 5, 64, 4096])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_file_is_read_in_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str
) -> None:
    monkeypatch.setattr(jsonlines, "BLOCK", size)
    lines = [f"{number}" * (number % 7) for number in range(200)] + ["last"]
    path = tmp_path / "log"
    path.write_text("\n".join(lines) + end)
    read = [
        block.raw[start:stop].tobytes().decode()
        for block in blocks(path)
        for start, stop in zip(block.starts, block.ends, strict=True)
    ]
    assert read == lines


@pytest.mark.parametrize("size", [50, 333, 1000, 5000])
def test_no_line_is_lost_between_two_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(jsonlines, "BLOCK", size)
    path = tmp_path / "log"
    path.write_text("\n".join(dumped(access(f"{number:016x}", 200)) for number in range(300)))
    read = [proxy_lines(block) for block in blocks(path)]
    assert [number for lines in read for number in lines.ids.tolist()] == list(range(300))


def test_a_file_without_an_end_of_a_line_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "BLOCK", 1000)
    monkeypatch.setattr(jsonlines, "LONGEST", 3000)
    (tmp_path / "proxy.jsonl").write_bytes(bytes(10_000))
    with pytest.raises(ValueError, match="a line of more than 3,000 bytes"):
        list(blocks(tmp_path / "proxy.jsonl"))
    assert read_witnesses(tmp_path).faults == (
        "proxy.jsonl cannot be read: a line of more than 3,000 bytes",
    )


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    assert list(blocks(tmp_path / "log")) == []
