"""Which images of a release can be had, and whether its Compose file holds, before a deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from cyan.engines import transfer
from cyan.names import Kind
from cyan.releases import precheck
from cyan.releases.contents import Contents
from cyan.releases.images import Service, ServiceImage
from cyan.releases.precheck import Availability, Search
from cyan.rollout import plan as planning
from cyan.rollout.facts import comes
from cyan.rollout.planned import Request
from cyan.sections import ImagesSettings, LoginSettings
from tests.rollout.worlds import V1_ON_BLUE, V2_ON_GREEN, settings
from tests.shell import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.engines.docker import Engine

NO_TAG = "manifest unknown: manifest unknown"
DENIED = 'Head "http://r:5000/v2/site/manifests/p9": no basic auth credentials'
ODD = "something odd"
LOGIN = LoginSettings(registry="r:5000", user="ann", password_environment="R2_PASSWORD")


class Fake:
    """An engine that holds some images, and whose registry has its own words for the others."""

    def __init__(self, said: str, *there: str) -> None:
        self.said, self.there = said, there
        self.asked: list[tuple[str, object]] = []

    def has_image(self, image: str) -> bool:
        return image in self.there

    def refused(self, reference: str, credentials: object) -> str:
        self.asked.append((reference, credentials))
        return self.said


def search(tmp_path: Path, engine: Fake, **given: object) -> Search:
    mine = settings(images=ImagesSettings.model_validate(given))
    return Search(Machine(tmp_path).host, cast("Engine", engine), mine)


def had(found: Search, *services: Service) -> list[Availability]:
    return [each.availability for each in found.each(services)]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("", Availability.COMES),
        (NO_TAG, Availability.NEVER),
        (DENIED, Availability.NEVER),
        (ODD, Availability.UNSURE),
    ],
)
def test_an_image_that_the_host_lacks_is_asked_for_in_its_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, wanted: Availability
) -> None:
    monkeypatch.setenv("R2_PASSWORD", "hunter22")
    transfer.password_of.cache_clear()
    engine = Fake(said, "r:5000/there:1")
    looked = search(tmp_path, engine, login=LOGIN)
    services = (
        Service("a", "r:5000/site:1", built=False),
        Service("b", "r:5000/there:1", built=False),
    )
    assert had(looked, *services) == [wanted, Availability.THERE]
    unsure = said == DENIED and looked._logs_in_itself(transfer.DENIED)
    elsewhere = had(looked, Service("c", "elsewhere/site:1", built=False))
    assert elsewhere == [Availability.UNSURE if unsure else wanted]
    known = {"username": "ann", "password": "hunter22", "serveraddress": "r:5000"}
    assert engine.asked[0] == ("r:5000/site:1", known)
    assert engine.asked[1] == ("elsewhere/site:1", {})


def test_tag_missing_and_access_denied_are_told_apart(tmp_path: Path) -> None:
    tags = (Service("a", "r:5000/site:1", built=False),)
    (missing,) = search(tmp_path, Fake(NO_TAG)).each(tags)
    (denied,) = search(tmp_path, Fake(DENIED)).each(tags)
    assert "no such tag" in missing.says
    assert "access is denied" in denied.says


def test_what_is_built_needs_a_build_section_and_its_context(tmp_path: Path) -> None:
    given = {"from": "build", "context": tmp_path}
    built, other = Service("a", "a:1", built=True), Service("b", "b:1", built=False)
    assert had(search(tmp_path, Fake(NO_TAG, "b:1"), **given), built, other) == [
        Availability.COMES,
        Availability.THERE,
    ]
    assert had(search(tmp_path, Fake(NO_TAG, "b:1"), **given), other) == [
        Availability.NEVER,
        Availability.THERE,
    ]
    given["context"] = tmp_path / "nowhere"
    assert had(search(tmp_path, Fake(NO_TAG), **given), built) == [Availability.NEVER]


def test_the_image_that_a_release_ran_is_had_by_its_id_or_its_digest_and_never_by_its_tag(
    tmp_path: Path,
) -> None:
    image = ServiceImage("a", "r:5000/a:1", "sha256:1")
    assert search(tmp_path, Fake("", "sha256:1")).again(image).availability is Availability.THERE
    assert search(tmp_path, Fake("", "r:5000/a:1")).again(image).availability is Availability.NEVER
    engine = Fake("")
    image = ServiceImage("a", "r:5000/a:1", "sha256:1", ("r:5000/a@sha256:2",))
    assert search(tmp_path, engine).again(image).availability is Availability.COMES
    assert engine.asked[0][0] == "r:5000/a@sha256:2"


@pytest.mark.parametrize(
    ("name", "registry"), [("a:1", "docker.io"), ("t/a:1", "index.docker.io/v1"), ("r:1/a", "r:1")]
)
def test_a_log_in_goes_to_its_own_registry_only(name: str, registry: str) -> None:
    login = LoginSettings(registry=registry, user="ann", password_environment="X")
    assert transfer.is_for(login, name)
    assert not transfer.is_for(
        LoginSettings.model_validate({**dict(login), "registry": "x.org"}), name
    )


@pytest.mark.parametrize("code", [0, 3])
def test_a_compose_file_is_tried_as_it_would_be_and_leaves_nothing(
    tmp_path: Path, code: int
) -> None:
    (tmp_path / "machine").mkdir()
    machine = Machine(tmp_path / "machine")
    mine = settings().model_copy(update={"directory": tmp_path / "it's $HOME"})
    plan = planning.deploy(Request("deploy", "v2", "ann"), V1_ON_BLUE, mine, "services: {a: {}}")
    step = next(each for each in plan.steps if each.kind is Kind.FETCH)
    secrets = f'"$DIRECTORY/releases/{plan.target.id}/secrets.env"'
    (machine.folder / "docker").write_text(
        f'#!/bin/sh\ncat "$7" && [ -e {secrets} ] && exit {code}\n'
    )
    done = machine.run(precheck.trial(mine, plan.target, step.files), check=False)
    assert (done.stdout, done.code) == ("services: {a: {}}", code)
    assert list((tmp_path / "it's $HOME").iterdir()) == []


def test_a_rollback_to_a_warm_color_fetches_nothing_and_looks_for_nothing(tmp_path: Path) -> None:
    plan = planning.rollback(Request("rollback", "", "ann"), V2_ON_GREEN, settings(), "")
    looked = search(tmp_path, Fake(NO_TAG))
    assert comes(looked.host, looked.engine, looked.settings, plan) is None


def test_an_image_that_several_services_ran_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    machine = Machine(tmp_path / "machine")
    machine.program("docker", "echo '{}'")
    images = tuple(
        ServiceImage(name, "r:5000/a:1", "sha256:1") for name in ("platform", "rag", "crawler")
    )
    asked = Request("deploy", "v2", "ann", contents=Contents(again="r1", images=images))
    mine = settings().model_copy(update={"directory": tmp_path})
    plan = planning.deploy(asked, V1_ON_BLUE, mine, "services: {}")
    found = comes(machine.host, cast("Engine", Fake("")), mine, plan)
    assert found is not None
    assert [each.availability for each in found.images] == [Availability.NEVER]
