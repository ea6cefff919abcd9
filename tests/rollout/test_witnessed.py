"""What users saw of a deploy, from lines of the proxy's log and a probe: whose each failure is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cyan.rollout import proving, witnessed
from cyan.rollout.probe import Probe
from cyan.rollout.witnessed import Logs, Seen, Span, seen

if TYPE_CHECKING:
    from pathlib import Path

BEGUN, ENDED = 1000.0, 1010.0
CADDY = {"Server": ["Caddy"]}
BLUE = {"Content-Type": ["text/plain"], "X-Color": ["blue"]}


def line(at: float, status: int = 200, took: float = 0.01, **more: Any) -> str:
    """A line of Caddy's access log of a request that began at `at`."""
    headers = more.pop("headers", BLUE if status < 500 else CADDY)
    told = {
        "ts": at + took, "duration": took, "status": status, "size": 9 if status < 500 else 0,
        "request": {"headers": {"X-Request-Id": [more.pop("id", "0")]}}, "resp_headers": headers,
    }  # fmt: skip
    return json.dumps({**told, **more})


def told(*lines: str, probe: Probe | None = None, aborted: tuple[float, ...] = ()) -> Seen:
    asked = probe or Probe([(BEGUN + i, "") for i in range(5)])
    return seen(Logs(lines, aborted), asked, BEGUN, ENDED)


QUIET = tuple(line(990 + i / 10) for i in range(200))


def test_a_deploy_that_nobody_noticed_passes_and_says_what_that_is_worth() -> None:
    found = told(*QUIET)
    assert (found.verdict, found.failed, found.during.n, found.before.n) == ("pass", 0, 100, 100)
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / 105))
    assert found.sentence == (
        "100 requests of users while it was deployed, none failed by it; at most 2.81% (95 %); "
        "longest gap 100 ms (100 ms before); p99 10 ms (10 ms); probe 5 of 5"
    )


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_the_proxy_answered_by_itself_is_the_deploy_s(status: int) -> None:
    found = told(*QUIET, line(1003, status))
    assert (found.verdict, found.failed, found.during.by_proxy) == ("fail", 1, 1)
    assert "1 failed by it (1 errors of the proxy)" in found.sentence


@pytest.mark.parametrize(
    "more",
    [
        {"headers": BLUE},
        {"headers": {"Content-Type": ["text/html"]}, "size": 300},
        {"headers": {"Content-Type": ["text/html"]}, "user_id": "blue 0 3"},
    ],
)
def test_what_an_application_answered_is_its_own(more: dict[str, Any]) -> None:
    found = told(*QUIET, line(1003, 503, **more))
    assert (found.failed, found.during.by_application) == (0, 1)


def test_a_color_that_could_not_be_asked_is_the_proxy_s_error() -> None:
    """Caddy has chosen the color when the connection to it fails, and logs it."""
    assert told(*QUIET, line(1003, 502, user_id="blue 0 ")).failed == 1


def test_errors_that_were_there_before_are_not_the_deploy_s() -> None:
    before = [line(992 + i, 502) for i in range(3)]
    assert told(*QUIET, *before, line(1003, 502), line(1004, 502)).failed == 0
    during = [line(1002 + i, 502) for i in range(5)]
    assert told(*QUIET, *before, *during).failed == 2


def test_answers_that_were_cut_short_are_the_deploy_s() -> None:
    found = told(*QUIET, aborted=(1005.0,))
    assert (found.verdict, found.during.cut) == ("fail", 1)
    assert told(*QUIET, aborted=(980.0,)).failed == 0


def test_what_the_probe_was_refused_is_the_deploy_s() -> None:
    probe = Probe([(1001.0, ""), (1001.1, "[Errno 111] Connection refused")])
    found = told(probe=probe)
    assert (found.verdict, found.refused) == ("fail", ("[Errno 111] Connection refused",))
    assert "probe 1 of 2" in found.sentence


def test_where_nobody_asked_nothing_is_known() -> None:
    found = told(probe=Probe(why_not="nothing was live"))
    assert found.verdict == "unknown"
    assert found.sentence == "what users saw is not known: nothing was live"
    assert told().sentence == "nobody asked while it was deployed; probe 5 of 5"


@pytest.mark.parametrize(
    "odd",
    [
        line(1003, 101),
        line(1003, 503, headers={"Retry-After": ["60"]}),
        line(1003, 502, id="cyan-1"),
        "torn",
        "[]",
        "{}",
    ],
)
def test_what_is_no_answer_to_a_user_is_left_out(odd: str) -> None:
    assert told(*QUIET, odd) == told(*QUIET)


def test_a_time_in_which_nobody_was_answered_is_measured() -> None:
    kept = [each for each in QUIET if not 1003 < json.loads(each)["ts"] < 1006]
    found = told(*kept)
    assert 2.9 < found.during.gap < 3.2
    assert found.before.gap == pytest.approx(0.1)


def test_where_users_came_only_during_the_deploy_it_is_judged_from_then_on() -> None:
    """A take-over: before, the ports were another's, and the proxy has no line of it."""
    lines = [line(1004 + i / 10) for i in range(60)]
    found = seen(Logs(lines, since=ENDED), Probe([(BEGUN, "")]), BEGUN, ENDED)
    assert found.during.start == 1004
    assert found.during.gap == pytest.approx(0.1)
    assert "before" not in found.sentence
    assert seen(Logs(lines), Probe([(BEGUN, "")]), BEGUN, ENDED).during.gap > 3.9


def test_when_an_answer_was_given_up_is_read_from_what_the_proxy_printed() -> None:
    log = '{"level":"error","ts":7.5,"msg":"aborting with incomplete response"}\n{"msg": "x"}\nno\n'
    assert witnessed.aborted(log.splitlines()) == [7.5]


def test_the_pages_escape_what_they_show_and_add_up(tmp_path: Path) -> None:
    bad = Seen(Span(1, 2, n=7, by_proxy=2), Span(0, 1), 3, ("<b>refused</b>",))
    about = {"run": "r1", "what": "deploy", "version": "<v1>", "host": "a&b"}
    for number, each in enumerate((bad, Seen(Span(1, 2, n=5), Span(0, 1), 3))):
        folder = tmp_path / f"r{number}-deploy"
        folder.mkdir()
        made = witnessed.as_json(each, about)
        (folder / "proof.json").write_text(json.dumps(made))
        page = proving.page(made)
        assert "<v1>" not in page
        assert "&lt;v1&gt; on a&amp;b" in page
        assert ("&lt;b&gt;refused" in page) == bool(each.refused)
    (tmp_path / "r9-deploy").mkdir()
    (tmp_path / "r9-deploy" / "proof.json").write_text("{")
    proofs = proving.read(tmp_path)
    assert proving.together(proofs) == (
        "2 deploys and rollbacks; 12 requests of users while they happened; 3 failed by them."
    )
    assert proving.history(proofs).count("<tr><td>") == 2


def test_a_time_in_which_users_were_made_to_wait_is_called_so() -> None:
    told = Seen(Span(1, 9, n=5, gap=4.0), Span(0, 1), 3)
    assert "longest gap 4,000 ms" in told.sentence
    assert "longest wait 4,000 ms" in replace(told, held=True).sentence


def test_the_page_of_a_fleet_says_how_far_apart_its_hosts_were_switched() -> None:
    about = {"run": "r1", "what": "deploy", "version": "v1", "host": "a"}
    made = witnessed.as_json(Seen(Span(1, 2, n=5), Span(0, 1), 3), about)
    fleet = {"renamed_at": {"a": 1.0, "b": 1.0025}, "spread": 0.0025, "behind": ["c"]}
    told = proving.page(made | {"fleet": fleet})
    assert "2 hosts were switched within 2.5 ms; c did not follow." in told
    assert "hosts were switched" not in proving.page(made | {"fleet": None})
