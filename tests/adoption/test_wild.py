"""Files that others wrote: nothing crashes, and most of it is taken for what it is."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest

from cyan.adoption.proposal import Proposal, propose
from cyan.names import Role
from tests.adoption import wild

pytestmark = pytest.mark.skipif(
    not (wild.WILD / "SOURCES.tsv").exists() or not shutil.which("docker"),
    reason="CYAN_WILD names no folder of Compose files, or Compose is not installed",
)

LABELS = Path(__file__).with_name("labels.tsv")
"""What a person took each service for: repository, files, NAME=KIND ..."""
KNOWN = 0.95
FEW = 0.85


@pytest.fixture(scope="module")
def proposals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Proposal]:
    room = tmp_path_factory.mktemp("wild")
    found = {}
    for entry in wild.entries():
        folder, config = wild.resolved(entry, room)
        if config is not None:
            found[entry.name] = propose(config, PurePosixPath(folder), {})
    return found


def labels() -> dict[str, dict[str, Role]]:
    rows = (line.split("\t") for line in LABELS.read_text().splitlines())
    return {
        f"{repository} {files}": {
            name: Role(role) for name, role in (each.rsplit("=", 1) for each in said.split())
        }
        for repository, files, said in rows
    }


def test_services_are_taken_for_what_a_person_takes_them_for(
    proposals: dict[str, Proposal],
) -> None:
    wrong, every = [], 0
    for entry, expected in labels().items():
        taken = {each.name: each for each in proposals[entry].services}
        every += len(expected)
        wrong += [
            (entry, name, role, taken[name].role)
            for name, role in expected.items()
            if taken[name].role is not role
        ]
    assert len(wrong) <= (1 - KNOWN) * every, wrong


def test_no_scheduler_and_nothing_that_keeps_data_is_taken_for_another_without_a_question(
    proposals: dict[str, Proposal],
) -> None:
    silent = [
        (entry, name)
        for entry, expected in labels().items()
        for name, role in expected.items()
        if role in {Role.SCHEDULER, Role.SHARED}
        for each in proposals[entry].services
        if each.name == name and each.role not in {role, Role.TOOL}
        if not any(name in question.asks for question in proposals[entry].questions)
    ]
    assert silent == []


def test_most_that_answer_over_http_need_one_decision_or_none(
    proposals: dict[str, Proposal],
) -> None:
    served = [
        each
        for each in proposals.values()
        if any(service.role is Role.WEB for service in each.services)
        and not any("no HTTP" in refusal.why for refusal in each.refusals)
    ]
    few = [each for each in served if not each.refusals and len(each.questions) <= 1]
    assert len(served) > 100
    assert len(few) >= FEW * len(served)


def test_what_is_refused_names_service_key_reason_and_what_to_do(
    proposals: dict[str, Proposal],
) -> None:
    for each in proposals.values():
        for refusal in each.refusals:
            if any(service.role is Role.WEB for service in each.services):
                assert refusal.service
                assert refusal.key
                assert refusal.todo
            assert refusal.why
