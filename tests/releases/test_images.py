"""Which images a release runs, and which of them go with it."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyan.application.compose_file import ComposeFile
from cyan.releases import images as release_images
from cyan.releases.images import Service, ServiceImage

FILE = ComposeFile(
    {
        "services": {
            "rag": {"image": "app:v1"},
            "platform": {"image": "app:v1", "build": {"context": "."}},
            "extra": {"build": {"context": "."}},
        }
    },
    "demo-blue",
    PurePosixPath("/srv"),
)
NAMES = st.sampled_from([f"r{number}" for number in range(8)])
PINS = st.builds(
    ServiceImage,
    service=st.sampled_from(["platform", "rag"]),
    reference=st.just("app:v1"),
    id=st.sampled_from([f"sha256:{number}" for number in range(6)]),
    brought=st.booleans(),
)


def image(image: str, *, brought: bool = True) -> ServiceImage:
    return ServiceImage("platform", "app:v1", image, ("app@sha256:9",), brought)


def test_services_are_read_with_the_name_that_compose_gives_an_image_without_one() -> None:
    assert release_images.services(FILE) == (
        Service("extra", "demo-blue-extra", built=True),
        Service("platform", "app:v1", built=True),
        Service("rag", "app:v1", built=False),
    )


def test_what_is_recorded_pins_each_service_and_is_read_back_alike() -> None:
    images = (image("sha256:1"), ServiceImage("rag", "r", "sha256:2"))
    text = release_images.dump(images)
    assert "\n" not in text
    assert json.loads(text)["services"]["platform"] == {"image": "sha256:1"}
    assert release_images.parse(text) == images


@pytest.mark.parametrize("text", ["", "{", "[]", '{"services": {}}', '{"x-cyan": {"a": {}}}'])
def test_a_torn_record_is_none_and_never_an_empty_one(text: str) -> None:
    assert release_images.parse(text) is None


def test_the_newest_releases_stay_beside_those_that_are_needed() -> None:
    assert release_images.stale(["r1", "r2", "r3", "r4"], {"r1"}, 2) == ("r2",)
    assert release_images.stale(["r1"], {"r1"}, 2) == ()


def test_an_image_goes_with_the_last_release_that_ran_it() -> None:
    records = {"r1": (image("a"),), "r2": (image("a"),), "r3": (image("b"),)}
    assert release_images.unneeded(records, {"r1"}, ()) == ()
    assert release_images.unneeded(records, {"r1", "r2"}, ()) == ("a",)


def test_an_image_that_a_container_was_made_from_stays() -> None:
    assert release_images.unneeded({"r1": (image("a"),)}, {"r1"}, {"a"}) == ()


def test_an_image_that_was_on_the_host_before_cyan_stays() -> None:
    assert release_images.unneeded({"r1": (image("a", brought=False),)}, {"r1"}, ()) == ()


@given(
    st.dictionaries(NAMES, st.lists(PINS, max_size=3).map(tuple)),
    st.sets(NAMES),
    st.integers(2, 4),
)
def test_no_image_of_a_needed_or_a_kept_release_ever_goes(
    records: dict[str, tuple[ServiceImage, ...]], needed: set[str], keep: int
) -> None:
    going = release_images.stale(records, needed, keep)
    assert not set(going) & needed
    gone = set(release_images.unneeded(records, going, ()))
    for release in set(records) - set(going):
        assert not gone & release_images.ids(records[release])
