"""Where a release's images come from, and that it runs exactly these, in the real lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import APP, SHIFT
from tests.lab.engines import (
    PASSWORD,
    USER,
    Registry,
    docker,
    has,
    image,
    registry,
    second_engine,
)
from tests.lab.harness import Lab, process_lists, settings_section

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

NAME = f"{APP}/site"
STORE = f"127.0.0.1:{15300 + SHIFT}"
LOGIN = {"user": USER, "password_environment": "REGISTRY_PASSWORD"}


def compose(lab: Lab, repository: str, **extra: Any) -> dict[str, str]:
    """The setting `compose` for the demo's color from images of another repository."""
    text = (lab.folder / "compose/stateless.yml").read_text()
    text = text.replace("cyan-demo/site:", f"{repository}:")
    if extra:
        text = text.replace("  platform:\n", f"  platform:\n    build: {json.dumps(extra)}\n")
    path = lab.folder / "other.yml"
    path.write_text(text)
    return {**settings_section(lab.folder)["compose"], "stateless": str(path)}


def running(lab: Lab) -> set[str]:
    """The ids of the images that the live color's containers were made from."""
    return set(lab.inspected(lab.answering()[0], "{{.Image}}").values())


def fetched(lab: Lab) -> dict[str, Any]:
    """What the journal says of the last fetch."""
    lines = (e for e in reversed(lab.journal()) if (e["step"], e["event"]) == ("fetch", "done"))
    detail: dict[str, Any] = next(lines)["detail"]
    return detail


@pytest.fixture
def tidy(lab: Lab) -> Iterator[None]:
    """Leave the lab with the demo's own images live, and none of the test's."""
    lab.live("v1")
    yield
    lab.live("v1")
    listed = docker("image", "ls", "--format", "{{.Repository}} {{.ID}}").splitlines()
    ours = {each.split()[1] for each in listed if each.split()[0] in (NAME, f"{STORE}/site")}
    if ours:
        docker("image", "rm", "--force", *ours)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Registry]:
    with registry(tmp_path, STORE) as made:
        yield made


@pytest.mark.usefixtures("tidy")
@pytest.mark.nightly
def test_a_rollback_runs_the_image_that_its_release_ran_although_its_tag_was_moved(
    lab: Lab,
) -> None:
    first, other = image(f"{NAME}:m1", "m1", "first"), image(f"{NAME}:m2", "m2", "other")
    with lab.configured(compose=compose(lab, NAME)):
        lab.cyan("deploy", "--version", "m1")
        assert fetched(lab)["images"][f"{NAME}:m1"]["id"] == first
        moved = image(f"{NAME}:m1", "m1", "moved")
        lab.cyan("deploy", "--version", "m2")
        assert running(lab) == {other}
        lab.cyan("cleanup")
        lab.cyan("rollback")
    assert lab.answering()[1] == "m1"
    assert running(lab) == {first} != {moved}


@pytest.mark.usefixtures("tidy")
@pytest.mark.nightly
def test_an_image_that_is_gone_from_the_host_is_an_error_and_never_another_image(lab: Lab) -> None:
    gone = image(f"{NAME}:m1", "m1", "gone")
    image(f"{NAME}:m2", "m2", "stays")
    with lab.configured(compose=compose(lab, NAME)):
        for version in ("m1", "m2"):
            lab.cyan("deploy", "--version", version)
        lab.cyan("cleanup")
        docker("image", "rm", gone)
        image(f"{NAME}:m1", "m1", "another of that name")
        done = lab.cyan("rollback", check=False)
    assert done.returncode == 1
    assert done.stderr.count(f"{NAME}:m1 cannot be had: the image that it ran is gone") == 1
    assert f"inv deploy, not {gone[:19]}" in done.stderr
    assert lab.answering()[1] == "m2"


@pytest.mark.usefixtures("tidy")
@pytest.mark.nightly
def test_images_are_pulled_after_a_log_in_that_leaves_no_trace(lab: Lab, store: Registry) -> None:
    name = f"{store.address}/site"
    pushed = image(f"{name}:p1", "p1", "pushed")
    store.push(f"{name}:p1")
    docker("image", "rm", f"{name}:p1")
    login = LOGIN | {"registry": store.address}
    wanted = {"compose": compose(lab, name), "images": {"from": "pull", "login": login}}
    with lab.configured(**wanted), process_lists() as seen:
        wrong = lab.cyan("deploy", "--version", "p1", check=False, REGISTRY_PASSWORD="wrong")
        absent = lab.cyan("deploy", "--version", "p9", check=False, REGISTRY_PASSWORD=PASSWORD)
        done = lab.cyan("deploy", "--version", "p1", REGISTRY_PASSWORD=PASSWORD)
    with lab.configured(compose=wanted["compose"]):
        denied = lab.cyan("deploy", "--version", "p9", check=False)
    for refused in (wrong, absent, denied):
        assert "failed at preflight" in refused.stderr
    assert "refused the log-in" in wrong.stderr
    assert "the registry has no such tag" in absent.stderr
    assert "access is denied" in denied.stderr
    assert running(lab) == {pushed}
    (digest,) = fetched(lab)["images"][f"{name}:p1"]["digests"]
    assert digest.startswith(f"{name}@sha256:")
    assert any("login --username" in line for line in seen)
    assert not [line for line in seen if "planted-4712" in line]
    assert not list((lab.folder / ".lab/host").glob("login.*"))
    for text in (wrong.stderr, absent.stderr, done.stdout, str(lab.journal())):
        assert "planted-4712" not in text
    _a_rollback_brings_it_back_by_digest(lab, wanted, pushed)


def _a_rollback_brings_it_back_by_digest(lab: Lab, wanted: dict[str, Any], pushed: str) -> None:
    lab.cyan("deploy", "--version", "v2")
    lab.cyan("cleanup")
    docker("image", "rm", pushed)
    with lab.configured(**wanted):
        lab.cyan("rollback", REGISTRY_PASSWORD=PASSWORD)
    assert running(lab) == {pushed}


@pytest.mark.usefixtures("tidy")
@pytest.mark.nightly
def test_an_image_is_sent_from_this_machine_without_the_layers_that_the_host_has(
    lab: Lab, tmp_path: Path
) -> None:
    # not under /tmp, which may lie on a file system that an engine cannot use
    with second_engine(tmp_path, Path(f"/var/lib/{APP}-second")) as here:
        archive = str(tmp_path / "base.tar")
        docker("save", "--output", archive, "cyan-demo/site:v1")
        docker("load", "--input", archive, engine=here)
        sent = image(f"{NAME}:s1", "s1", "sent", here)
        assert not has(f"{NAME}:s1")
        with lab.configured(compose=compose(lab, NAME), images={"from": "send"}):
            first = lab.cyan("deploy", "--version", "s1", DOCKER_HOST=here)
            assert running(lab) == {sent}
            again = lab.cyan("deploy", "--version", "s1", DOCKER_HOST=here)
    assert f"sent {NAME}:s1, 0.0 MB" in first.stdout
    assert "layers are there" in first.stdout
    assert f"{NAME}:s1 is on the host already" in again.stdout


@pytest.mark.usefixtures("tidy")
def test_an_image_is_built_on_the_host_from_a_context_that_does_not_stay_there(
    lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/Dockerfile").write_text(
        "FROM cyan-demo/site:v1\nARG VERSION\nENV VERSION=$VERSION\nCOPY kept* /app/\n"
    )
    (tmp_path / "app/kept").write_text("this")
    (tmp_path / "app/kept.not").write_text("that")
    (tmp_path / ".dockerignore").write_text("app/*.not\n")
    build = {"context": "./app", "args": {"VERSION": "${VERSION}"}}
    images = {"from": "build", "context": str(tmp_path)}
    with lab.configured(compose=compose(lab, NAME, **build), images=images):
        done = lab.cyan("deploy", "--version", "b1")
    assert f"built {NAME}:b1" in done.stdout
    color, version = lab.answering()
    assert version == "b1"
    assert docker("exec", f"{APP}-{color}-platform-1", "sh", "-c", "ls kept*") == "kept"
    assert not (lab.release(color) / "context").exists()


@pytest.mark.usefixtures("tidy")
@pytest.mark.nightly
def test_an_image_that_cyan_brought_goes_with_its_last_release_and_no_other_image_does(
    lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM cyan-demo/site:v1\nARG VERSION\nENV VERSION=$VERSION\n"
    )
    build = {"context": ".", "args": {"VERSION": "${VERSION}"}}
    wanted: dict[str, Any] = {"images": {"from": "build", "context": str(tmp_path)}}
    wanted |= {"compose": compose(lab, NAME, **build), "bake": {"seconds": 0}}
    image(f"{NAME}:kept", "kept", "on the host before")
    with lab.configured(**wanted, keep_releases=2):
        for version in ("g1", "g2", "g3", "g4", "g5"):
            lab.cyan("deploy", "--version", version)
    assert not has(f"{NAME}:g1")  # g4 and g5 are warm and live, and two more are kept
    assert all(has(f"{NAME}:{version}") for version in ("g2", "g3", "g4", "g5", "kept"))
    assert has("cyan-demo/site:v1")
