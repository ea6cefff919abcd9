"""What a color's Compose file may not hold, by what Compose itself makes of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from cyan.application.compose_file import ComposeFile, faults
from cyan.application.record import Application
from cyan.sections import PublicSettings

WEB = Application(services=("web",), public=PublicSettings(service="web"))
PROJECT = "shop-blue"


def resolved(folder: Path, text: str) -> ComposeFile:
    """The file as Compose resolves it, of a release whose folder is `folder`."""
    path = folder / "compose.yml"
    path.write_text(text)
    words = ["docker", "compose", "-p", PROJECT, "-f", str(path), "config", "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return ComposeFile(json.loads(done.stdout), PROJECT, PurePosixPath(folder))


def said(folder: Path, text: str, application: Application = WEB) -> list[str]:
    return [each.says for each in faults(resolved(folder, text), application)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "services: {web: {image: a, volumes: ['uploads:/u']}}\nvolumes: {uploads: {}}",
            "web.volumes: uploads would be another volume for each color (shop-blue_uploads)",
        ),
        (
            "services: {web: {image: a, volumes: ['./data:/d']}}",
            "web.volumes: ./data lies in the release's folder, which is removed with it",
        ),
        (
            "services: {web: {image: a, configs: [c]}}\nconfigs: {c: {file: ./c.txt}}",
            "web.configs: c is ./c.txt of the release's folder, where it is not",
        ),
        (
            "services: {web: {image: a, secrets: [s]}}\nsecrets: {s: {file: ./s.txt}}",
            "web.secrets: s is ./s.txt of the release's folder, where it is not",
        ),
        (
            "services: {web: {image: a}, worker: {image: a}}",
            "its service worker would start and never be judged: cyan.stateless lacks it",
        ),
    ],
)
def test_what_would_fork_or_go_with_a_release_is_named_with_service_and_key(
    tmp_path: Path, text: str, wanted: str
) -> None:
    assert said(tmp_path, text) == [wanted]


@pytest.mark.parametrize(
    "volume",
    [
        "volumes: ['uploads:/u']}}\nvolumes: {uploads: {name: shop-uploads}}",
        "volumes: ['uploads:/u']}}\nvolumes: {uploads: {external: true}}",
        "volumes: ['/srv/shop/data:/d']}}",
        "tmpfs: [/tmp]}}",
    ],
)
def test_what_is_declared_shared_or_lies_elsewhere_is_no_fault(tmp_path: Path, volume: str) -> None:
    assert said(tmp_path, f"services: {{web: {{image: a, {volume}") == []


def test_services_that_the_file_does_not_have_are_named(tmp_path: Path) -> None:
    both = Application(services=("web", "wroker"), public=PublicSettings(service="site"))
    assert said(tmp_path, "services: {web: {image: a}}", both) == [
        "it has no service wroker, which cyan.stateless names",
        "it has no service site, which is cyan.public.service",
    ]
