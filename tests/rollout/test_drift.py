"""What `inv status` says of a world that is not as it should be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyan.journal import entries as journal
from cyan.journal.entries import Entry, Event
from cyan.journal.lock import Owner
from cyan.names import Color
from cyan.proxies import markers
from cyan.rollout.drift import drift
from cyan.sections import WarmSettings
from tests.rollout.worlds import EMPTY, NOW, V1_ON_BLUE, V2_ON_GREEN, container, settings

SETTINGS = settings()


def test_what_a_marker_of_ours_says_is_no_drift_and_what_is_none_is_named() -> None:
    ours = {markers.kept(Color.BLUE), markers.pin("r2"), markers.pinned(Color.GREEN)}
    world = replace(V1_ON_BLUE, markers=V1_ON_BLUE.markers | ours)
    assert drift(world, SETTINGS) == ()
    world = replace(V1_ON_BLUE, markers=V1_ON_BLUE.markers | {"notes"})
    assert drift(world, SETTINGS) == ("traffic/notes is no marker; remove it",)


def test_a_clean_world_has_no_drift() -> None:
    assert drift(V1_ON_BLUE, SETTINGS) == ()
    assert drift(V2_ON_GREEN, SETTINGS) == ()
    assert drift(EMPTY, SETTINGS) == ()


def test_two_markers_are_named() -> None:
    both = replace(V1_ON_BLUE, markers=frozenset({"blue", "green"}))
    assert any("both markers exist" in line for line in drift(both, SETTINGS))


def test_a_live_service_that_died_is_named() -> None:
    hurt = tuple(
        replace(item, state="exited") if item.id == "blue-rag" else item
        for item in V1_ON_BLUE.containers
    )
    found = drift(replace(V1_ON_BLUE, containers=hurt), SETTINGS)
    assert any("live blue lacks a healthy rag" in line for line in found)


def test_a_live_service_of_which_one_replica_died_is_named() -> None:
    dead = container("rag", Color.BLUE, id="blue-rag-2", state="exited", release="r1")
    for containers in ((dead, *V1_ON_BLUE.containers), (*V1_ON_BLUE.containers, dead)):
        found = drift(replace(V1_ON_BLUE, containers=containers), SETTINGS)
        assert any("live blue lacks a healthy rag" in line for line in found)


def test_what_a_failed_deploy_left_in_the_standby_is_named() -> None:
    left = container("platform", Color.GREEN, state="exited")
    found = drift(replace(V1_ON_BLUE, containers=(*V1_ON_BLUE.containers, left)), SETTINGS)
    assert any("standby green holds stopped containers (platform)" in line for line in found)


def test_a_run_that_never_ended_is_told_until_another_one_begins() -> None:
    begun = (
        Entry(NOW, "r9", "deploy", Event.BEGIN, "", "green", "v9", "r9", {"fresh": True}),
        Entry(NOW, "r9", "deploy", Event.STEP, "healthy", "green", "v9", "r9"),
    )
    hurt = replace(V1_ON_BLUE, journal=(*V1_ON_BLUE.journal, *begun))
    assert any(
        "deploy of v9 (green) was killed in healthy" in line for line in drift(hurt, SETTINGS)
    )
    at_work = replace(hurt, owner=Owner("ann", "laptop", NOW, "deploy v9"))
    assert not any("was killed" in line for line in drift(at_work, SETTINGS))


def test_a_journal_with_a_torn_line_is_read_around_it() -> None:
    whole = journal.dump(Entry(NOW, "r1", "deploy", Event.END, detail={"ok": True}))
    read = journal.parse(f'{{"at": 1, "ru\n{whole}\n{whole[:20]}')
    assert [entry.event for entry in read] == [Event.END]


def test_a_color_that_was_to_be_warm_for_less_is_named_with_what_ends_it() -> None:
    warm = WarmSettings.model_validate({"for": "5m"})
    assert any(
        "which was over 300 s ago: inv cleanup --expired" in line
        for line in drift(V2_ON_GREEN, settings(warm=warm))
    )


@pytest.mark.parametrize("how_long", ["0", "11m"])
def test_a_color_that_may_still_be_warm_is_no_drift(how_long: str) -> None:
    warm = WarmSettings.model_validate({"for": how_long})
    assert drift(V2_ON_GREEN, settings(warm=warm)) == ()


def test_a_standby_that_was_removed_is_warm_no_more() -> None:
    warm = WarmSettings.model_validate({"for": "1s"})
    assert drift(V1_ON_BLUE, settings(warm=warm)) == ()
