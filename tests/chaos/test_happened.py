"""Faults are seen to have happened by what only they do, and healed whatever the markers say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from cyan.chaos.catalogue import fault
from cyan.chaos.faults.engine import drained
from cyan.chaos.faults.machine import idle_share
from cyan.journal.entries import Entry, Event
from cyan.names import Color
from tests.rollout.worlds import color, container, world

if TYPE_CHECKING:
    from cyan.chaos.hands import Site
    from cyan.engines.containers import Container
    from cyan.hosts.look import Observation


@dataclass
class Stand:
    """In the place of a site: a world that is looked at, and what docker is told."""

    seen: Observation
    told: list[tuple[str, ...]] = field(default_factory=list)

    def look(self) -> Observation:
        return self.seen

    def live(self) -> Color:
        raise AssertionError("nobody may need to know what is live, to heal")

    def containers(self, which: Color | None) -> tuple[Container, ...]:
        return self.seen.of(which)

    def docker(self, *words: str, check: bool = True) -> str:  # noqa: ARG002
        self.told.append(words)
        return ""


@pytest.mark.parametrize("markers", [set(), {"blue", "green"}, {"blue"}])
@pytest.mark.parametrize(
    ("name", "state", "does"),
    [
        ("standby-paused", "paused", "unpause"),
        ("standby-killed", "exited", "start"),
        ("stop-then-start", "exited", "start"),
    ],
)
def test_what_was_killed_or_frozen_is_healed_whatever_the_markers_say(
    markers: set[str], name: str, state: str, does: str
) -> None:
    hurt = container("platform", Color.GREEN, id="hurt", state=state)
    stand = Stand(world(markers, *color(Color.BLUE, "v1", "r1"), hurt))
    site, made = cast("Site", stand), fault(name)
    assert made.healed(site)
    made.heal(site)
    assert stand.told == [(does, "hurt")]
    assert not made.healed(cast("Site", Stand(world(markers, *color(Color.BLUE, "v1", "r1")))))


def test_a_bad_release_that_is_still_there_is_found_whatever_the_markers_say() -> None:
    both = (*color(Color.BLUE, "v1", "r1"), *color(Color.GREEN, "v2", "r2"))
    made = fault("never-healthy")
    assert "demo-green-rag-1" in made.healed(cast("Site", Stand(world({"blue"}, *both))))
    assert "demo-green-rag-1" in made.healed(cast("Site", Stand(world(set(), *both))))
    assert made.healed(cast("Site", Stand(world({"blue"}, *both[:3])))) == ""


@pytest.mark.parametrize(
    ("name", "said", "happened"),
    [
        ("slow-to-be-healthy", "✓ healthy 7.41 s 2 of 2 passes", True),
        ("slow-to-be-healthy", "✓ healthy 11.02 s 2 of 2 passes", True),
        ("slow-to-be-healthy", "✓ healthy 1.41 s 2 of 2 passes", False),
        (
            "flapping",
            "v2 did not become healthy after 8.1 s: 503; it passed and failed again",
            True,
        ),
        ("flapping", "v2 did not become healthy after 8.1 s: its door answers 503", False),
        ("out-of-memory", "v2 failed after 1.0 s: platform was killed for memory", True),
        ("out-of-memory", "failed after 1.0 s: rag ended and was restarted by the engine", True),
        ("out-of-memory", "v2 failed after 1.0 s: platform exited with code 72", False),
    ],
)
def test_a_bad_release_must_be_told_by_what_is_bad_about_it(
    name: str, said: str, happened: bool
) -> None:
    (says,) = fault(name).expects.says
    assert bool(re.search(says, said)) is happened


def drain(at: float, event: Event) -> Entry:
    return Entry(at, "r2", "deploy", event, "drain")


@pytest.mark.parametrize(
    ("journal", "had_ended"),
    [
        ((), False),
        ((drain(1, Event.STEP),), False),
        ((drain(1, Event.STEP), drain(3, Event.DONE)), False),
        ((drain(1, Event.STEP), drain(2, Event.DONE)), True),
        ((drain(0, Event.STEP), drain(1, Event.DONE), drain(1.5, Event.STEP)), False),
    ],
)
def test_a_container_was_killed_in_its_drain_unless_that_had_ended(
    journal: tuple[Entry, ...], had_ended: bool
) -> None:
    assert drained(journal, 2.5) is had_ended


def test_the_processors_are_starved_where_none_of_their_time_is_left_over() -> None:
    before = "cpu  100 5 50 1000 20 0 5 2 9 9"
    assert idle_share(before, "cpu  250 5 90 1008 22 0 5 2 60 60") == pytest.approx(0.05)
    assert idle_share(before, "cpu  110 5 50 1090 20 0 5 2 9 9") == pytest.approx(0.9)
