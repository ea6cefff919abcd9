"""What the proxy's log says of the new color against the old one just before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cyan.names import Color, Kind
from cyan.rollout import plan as planning
from cyan.rollout import planned
from cyan.rollout.baking import BAD, Comparison, Sample, errs, sample, served, slow, watch
from cyan.rollout.health import Look, State
from cyan.rollout.planned import Request
from cyan.sections import BakeSettings
from tests.rollout import jobs
from tests.rollout.worlds import V2_ON_GREEN, settings

if TYPE_CHECKING:
    from pathlib import Path

SWITCH = 1000.0
SETTINGS = BakeSettings()
WELL = Sample(600, 0, 0.01)


def line(ended: float, duration: float = 0.01, status: int = 200, **headers: str) -> str:
    given = {name.replace("_", "-"): [value] for name, value in headers.items()}
    told = {"ts": ended, "duration": duration, "status": status, "resp_headers": given}
    return json.dumps(told)


def second(start: float, n: int = 100, bad: int = 0, duration: float = 0.01) -> list[str]:
    """The log of `n` requests that began in a second, `bad` of them answered with 502."""
    begun = [start + number / n for number in range(n)]
    return [
        line(at + duration, duration, 502 if number < bad else 200)
        for number, at in enumerate(begun)
    ]


def compared() -> Comparison:
    """A comparison that knows two good seconds before the switch."""
    comparison = Comparison(SETTINGS, Color.BLUE, SWITCH)
    assert comparison.look([*second(SWITCH - 2), *second(SWITCH - 1)]) == ""
    return comparison


def test_an_answer_belongs_to_the_color_that_gave_it_and_of_none_to_when_it_was_asked_for() -> None:
    comparison = Comparison(SETTINGS, Color.BLUE, SWITCH)
    across = [line(SWITCH + 9, duration=9.5, status=502) for _ in range(40)]
    of_old = [line(SWITCH + 2, status=500, X_Color="green") for _ in range(40)]
    assert comparison.look([*across, *of_old, line(SWITCH + 1)]) == ""
    assert str(comparison).startswith("0.0% of 1 answers")
    just_asked_for = line(SWITCH + 1, duration=1.001, status=500, X_Color="blue")
    assert comparison.look([just_asked_for]) == ""
    assert str(comparison).startswith("50.0% of 2 answers")


@pytest.mark.parametrize(
    ("user_id", "color"),
    [("green 6f1a 1.25", "green"), ("blue  -", "blue"), ("-", ""), ("ann", ""), ("", "")],
)
def test_the_hosts_proxy_names_the_color_where_the_application_does_not(
    user_id: str, color: str
) -> None:
    told = json.loads(line(SWITCH)) | {"user_id": user_id}
    answer = served(json.dumps(told))
    assert answer is not None
    assert answer.color == color


def test_what_is_older_than_the_time_looked_at_does_not_count_nor_do_torn_lines() -> None:
    comparison = Comparison(SETTINGS, Color.BLUE, SWITCH)
    old = [line(SWITCH - 9, status=502) for _ in range(100)]
    assert comparison.look([*old, '{"ts": 12', "", *second(SWITCH - 1)]) == ""
    assert "before the switch 0.0% of 100 answers" in comparison.look(second(SWITCH, bad=5))
    assert served(line(SWITCH - 1, status=101)) is None


def test_the_503s_of_a_maintenance_are_not_held_against_the_new_color() -> None:
    lines = [line(SWITCH + n / 10, status=503, Retry_After="60") for n in range(1, 40)]
    assert compared().look(lines) == ""
    own = [line(SWITCH + n, status=503, Retry_After="9", X_Color="blue") for n in range(1, 40)]
    assert "it errs" in compared().look(own)


def test_the_sample_counts_5xx_and_has_the_duration_that_95_percent_keep() -> None:
    lines = [line(SWITCH + n, n / 1000, 502 if n > 98 else 200) for n in range(1, 101)]
    assert sample([each for each in map(served, lines) if each]) == Sample(100, 2, 0.095)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (WELL, Sample(400, 20, 0.01), "it errs: 5.0% of 400 answers 5xx"),
        (WELL, Sample(400, 0, 0.9), "it is slow"),
        (Sample(0, 0, 0.0), Sample(400, 20, 0.01), "it errs"),
    ],
)
def test_errors_and_slowness_past_the_thresholds_are_told_with_figures(
    before: Sample, after: Sample, said: str
) -> None:
    assert said in errs(before, after, SETTINGS) + slow(before, after, SETTINGS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (WELL, Sample(400, 4, 0.01)),  # as many as are allowed
        (WELL, Sample(19, 19, 9.0)),  # too few to say
        (WELL, Sample(60, 2, 0.01)),  # may be chance
        (Sample(600, 30, 0.01), Sample(400, 22, 0.01)),  # the old color erred as often
        (WELL, Sample(400, 0, 0.3)),  # slower, and yet quick
        (Sample(0, 0, 0.0), Sample(400, 0, 3.0)),  # slower than what?
    ],
)
def test_what_may_be_chance_or_was_so_before_is_no_fault(before: Sample, after: Sample) -> None:
    assert errs(before, after, SETTINGS) + slow(before, after, SETTINGS) == ""


def test_a_stall_that_is_over_is_no_fault_and_slowness_that_stays_is() -> None:
    comparison = compared()
    assert comparison.look(second(SWITCH, duration=0.9)) == ""  # cold
    assert comparison.look(second(SWITCH + 1, duration=0.9)) == ""
    assert comparison.look(second(SWITCH + 2)) == ""
    for number in range(BAD - 1):
        assert comparison.look(second(SWITCH + 3 + number, duration=0.9)) == ""
    assert "95 % within 900 ms" in comparison.look(second(SWITCH + 9, duration=0.9))


def test_errors_that_come_late_are_not_thinned_by_the_good_time_before() -> None:
    comparison = compared()
    for number in range(60):
        assert comparison.look(second(SWITCH + number)) == ""
    late = [comparison.look(second(SWITCH + 60 + number, bad=5)) for number in range(BAD)]
    assert late[:-1] == ["", ""]
    assert "it errs: 5.0% of 100 answers" in late[-1]


def test_of_a_site_with_few_users_twenty_answers_are_a_look() -> None:
    comparison = compared()
    for number in range(4 * BAD - 1):  # six a second
        assert comparison.look(second(SWITCH + number, n=6, duration=0.9)) == ""
    said = comparison.look(second(SWITCH + 4 * BAD - 1, n=6, duration=0.9))
    assert "it is slow: 0.0% of 24 answers" in said


def test_a_hiccup_is_seen_once_although_nobody_comes_after_it() -> None:
    comparison = compared()
    assert comparison.look([*second(SWITCH, n=23), *second(SWITCH, n=2, duration=0.9)]) == ""
    assert comparison.bad == 1
    for _ in range(2 * BAD):
        assert comparison.look([]) == ""
    assert comparison.bad == 1


def test_errors_of_the_first_few_answers_count_once_there_are_enough() -> None:
    comparison = compared()
    assert comparison.look(second(SWITCH, n=15, bad=15)) == ""
    assert "it errs" in comparison.look(second(SWITCH + 1, n=25))


def test_what_an_earlier_release_on_the_same_color_did_is_neither_release_s() -> None:
    comparison = Comparison(SETTINGS, Color.BLUE, SWITCH)
    earlier = [line(SWITCH - 1, status=500, X_Color="blue") for _ in range(30)]
    assert comparison.look([*earlier, *second(SWITCH - 1)]) == ""
    assert "no request to judge" in str(comparison)
    assert "before the switch 0.0% of 100 answers" in comparison.look(second(SWITCH, bad=9))


def test_a_bake_that_cannot_read_the_proxys_log_says_what_it_did_not_judge(tmp_path: Path) -> None:
    plan = planning.deploy(Request("deploy", "v2", "ann"), V2_ON_GREEN, settings(), "")
    job = jobs.job(tmp_path, V2_ON_GREEN, plan, bake=BakeSettings(seconds=0.01))
    (tmp_path / "app/logs/access.json").mkdir(parents=True)  # which root cannot read either
    step = planned.Step(Kind.BAKE, Color.GREEN, "")
    done = watch(job, step, lambda: Look(State.PASSING))
    assert done.says == "it stayed healthy for 0.0 s"
    assert "whether users get errors or wait was not judged" in done.warnings[0]
    assert "log cannot be read" in done.warnings[0]
