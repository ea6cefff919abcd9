"""What a smoke check wants of an answer."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cyan.rollout.smoking import Answer, fault
from cyan.settings import SmokeCheck

JSON = '{"order": {"items": [{"name": "tea", "n": 2}]}, "paid": true}'
ANSWER = Answer(200, JSON, {"content-type": "application/json"})


def check(**changes: object) -> SmokeCheck:
    return SmokeCheck.model_validate({"path": "/x", **changes})


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"contains": "tea"},
        {"headers": {"Content-Type": "application/json"}},
        {"fields": {"order.items.0.name": "tea", "order.items.0.n": 2, "paid": True}},
    ],
)
def test_an_answer_that_is_as_wanted_has_no_fault(wanted: dict[str, object]) -> None:
    assert fault(check(**wanted), ANSWER) == ""


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"status": 201}, "answered 200, wanted 201"),
        ({"contains": "coffee"}, "does not contain 'coffee'"),
        ({"headers": {"X-Color": "blue"}}, "header X-Color is None, wanted 'blue'"),
        ({"fields": {"order.items.0.n": 3}}, "field order.items.0.n is 2, wanted 3"),
        ({"fields": {"order.items.1.n": 3}}, "has no field order.items.1.n"),
    ],
)
def test_a_fault_is_told_with_what_was_found_and_what_was_wanted(
    wanted: dict[str, object], said: str
) -> None:
    assert said in fault(check(**wanted), ANSWER)


def test_an_answer_that_is_no_json_has_no_fields() -> None:
    assert "is not JSON" in fault(check(fields={"a": 1}), Answer(200, "<html>"))


def test_no_answer_is_a_fault_in_its_own_words() -> None:
    assert fault(check(), Answer(error="no answer within 10 s")) == "no answer within 10 s"


@pytest.mark.parametrize(
    "wrong", [{"path": ""}, {"command": ["true"]}, {"path": "", "command": ["true"]}]
)
def test_a_check_is_a_path_or_a_command_in_a_service(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="a service and a command"):
        check(**wrong)
