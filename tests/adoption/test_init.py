"""`cyan init`: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cyan.application.source import NO_VERSION, source_of
from cyan.configured import load

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(not shutil.which("docker"), reason="Compose is not installed")
PROJECT = Path(__file__).parents[2]
PLAIN = """\
services:
  web: {build: ., ports: ["80:8000"], environment: {TOKEN: "${TOKEN}"}}
  beat: {image: shop, command: celery -A shop beat}
  db: {image: "postgres:16", volumes: ["data:/var/lib/postgresql/data"]}
volumes: {data: {}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def made(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cyan", "init", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return made


def test_a_plain_application_is_shown_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(PLAIN)
    (tmp_path / ".env").write_text("TOKEN=x\n")
    done = run("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "route    any host:80/ → web:8000" in done.stdout
    assert "beat never runs twice" in done.stdout
    assert "It can be rotated as it is: beat, web." in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"compose.yaml", ".env"}


def test_a_tag_that_must_be_given_is_the_version_and_any_other_such_variable_is_asked_for(
    run: Run, tmp_path: Path
) -> None:
    web = 'services: {web: {image: "shop/web:${TAG:?which one}", ports: ["80:8000"]}}'
    (tmp_path / "compose.yaml").write_text(web)
    done = run("--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    made = yaml.safe_load((tmp_path / "invoke.yaml").read_text())
    settings = load(made["cyan"], {}, tmp_path)
    for version, tag in (("v7", "v7"), ("", NO_VERSION)):
        config = json.loads(source_of(settings, version))
        assert config["services"]["web"]["image"] == f"shop/web:{tag}"
    (tmp_path / ".env").write_text("TAG=v1\n")
    config = json.loads(source_of(settings, ""))
    assert config["services"]["web"]["image"] == "shop/web:v1"
    (tmp_path / ".env").unlink()
    (tmp_path / "compose.yaml").write_text(web.replace("ports", 'hostname: "${WHO:?}", ports'))
    told = run("--check")
    assert told.returncode == 2
    assert "required variable WHO is missing a value" in told.stderr
    fixed = 'services: {web: {image: "shop/web:1", hostname: "${WHO:?}", ports: ["80:8000"]}}'
    (tmp_path / "compose.yaml").write_text(fixed)
    assert run("--check").returncode == 2, "no tag is missing: nothing is in the place of it"


def test_what_is_to_be_decided_is_exit_code_1_also_for_machines(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(PLAIN)
    (tmp_path / "two.yml").write_text("services: {proxy: {image: traefik, ports: ['443:443']}}")
    done = run("--check", "--json", "--file", "one.yml", "--file", "two.yml")
    assert done.returncode == 1
    made = json.loads(done.stdout)
    assert made["services"]["proxy"]["role"] == "proxy"
    assert [each["safe"] for each in made["questions"]] == ["no: it makes way"]
    said = run("--check", "--file", "one.yml", "--file", "two.yml", "--service", "proxy=tool")
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("", ["--check"], "there is no Compose file in"),
        ("services: {web: {image: 5}}", ["--check"], "Compose does not take these files"),
        (PLAIN, ["--check", "--service", "wbe=tool"], "no service is called 'wbe'"),
        (PLAIN, ["--check", "--service", "web=robot"], "'robot' is no role of a service"),
        (PLAIN, ["--check", "--file", "nowhere.yml"], "nowhere.yml"),
        (PLAIN, ["--route", "web"], "'web' is no route"),
        ("services: {web: {image: a}}", [], "nothing says what users reach"),
        (PLAIN, ["--undo"], "there is no cyan section"),
    ],
)
def test_bad_input_is_exit_code_2_with_what_to_do(
    run: Run, tmp_path: Path, text: str, words: list[str], said: str
) -> None:
    if text:
        (tmp_path / "compose.yaml").write_text(text)
    done = run(*words)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hostile_file_name_reaches_no_shell(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a$(touch canary);b.yml").write_text(PLAIN)
    done = run("--check", "--file", "a$(touch canary);b.yml")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()


BEHIND = """
services:
  nginx:
    image: nginx:1
    ports: ["80:80"]
    depends_on: [web]
    volumes: ["./n.conf:/etc/nginx/nginx.conf:ro"]
  web: {build: ., volumes: [".:/app"]}
  db: {image: postgres:16}
"""


def test_what_is_written_is_valid_and_the_compose_file_stays_as_it_is(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "compose.yaml").write_text(BEHIND)
    asked = run()
    assert asked.returncode == 1
    assert "shall it rotate together with them" in asked.stdout
    assert not (tmp_path / "invoke.yaml").exists()
    done = run("--yes", "--host", "ann@shop.example:2200", "--there", "/opt/shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "compose.yaml").read_text() == BEHIND
    section = yaml.safe_load((tmp_path / "invoke.yaml").read_text())["cyan"]
    made = load(section, {}, tmp_path)
    assert made.hosts[0].name == "ann@shop.example:2200"
    assert made.images.source == "build"
    assert made.adopted is not None
    assert made.adopted.services == {"nginx": "web", "web": "web", "db": "shared"}
    assert made.adopted.published == (80,)
    assert made.adopted.without == ("web:/app",)
    assert str(made.adopted.there) == "/opt/shop"
    assert made.adopted.files == (Path("compose.yaml"),)
    assert "namespace" in (tmp_path / "tasks.py").read_text()
    again = run("--yes")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_what_both_colors_would_write_is_never_agreed_to_for_the_user(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {web: {image: a, ports: ['8000:80'], volumes: ['data:/var/data']}}\n"
        "volumes: {data: }\n"
    )
    asked = run("--check")
    assert asked.returncode == 1
    assert "both colors would write to data" in asked.stdout
    assert "--agree" in asked.stdout
    done = run("--yes")
    assert done.returncode == 0, done.stderr
    assert "one color at a time, while requests wait: web" in done.stdout
    made = tmp_path / "invoke.yaml"
    assert yaml.safe_load(made.read_text())["cyan"]["strategy"] == "hold"
    made.unlink()
    assert run("--yes", "--agree", "data").returncode == 0
    assert "strategy" not in yaml.safe_load(made.read_text())["cyan"]


def test_a_file_that_compose_reads_beside_theirs_belongs_to_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(PLAIN)
    (tmp_path / "compose.override.yaml").write_text("services: {web: {environment: {A: b}}}\n")
    assert run().returncode == 0
    section = yaml.safe_load((tmp_path / "invoke.yaml").read_text())["cyan"]
    assert section["adopted"]["files"] == ["compose.yaml", "compose.override.yaml"]


LED = """\
services:
  proxy: {image: "nginx:1.26", ports: ["80:80", "443:443"]}
  site: {image: site}
  api: {image: api, volumes: ["files:/files", "notes:/notes"]}
  tool: {image: api, ports: ["9000:9000"]}
volumes: {files: {}, notes: {}}
"""


def test_a_proxy_that_makes_way_does_not_do_so_before_it_is_known_where_it_led(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "compose.yaml").write_text(LED)
    agreed = ("--agree", "files,notes")
    done = run("--yes", *agreed)
    assert done.returncode == 1
    assert "proxy makes way: to which of api, site, tool does it lead users" in done.stdout
    assert "both colors would write" not in done.stdout  # agreed to, by their names
    assert not (tmp_path / "invoke.yaml").exists()
    done = run("--yes", *agreed, "--route", "site:3000", "--route", "api:8000=/api")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "route    any host/ → site:3000" in done.stdout
    made = yaml.safe_load((tmp_path / "invoke.yaml").read_text())["cyan"]
    assert made["site"] == {"port": 80}
    assert made["adopted"]["routes"] == [
        {"service": "site", "port": 3000},
        {"service": "api", "port": 8000, "path": "/api"},
    ]


@pytest.mark.parametrize(
    ("published", "routes"),
    [
        ("80:8000", [{"service": "web", "port": 8000}]),  # from where the site itself redirects
        (
            "127.0.0.1:3000:8000",
            [
                {"service": "web", "port": 8000},
                {"service": "web", "port": 8000, "published": 3000, "bind": "127.0.0.1"},
            ],
        ),
    ],
)
def test_with_a_domain_who_comes_by_the_old_port_goes_on_to_do_so(
    run: Run, tmp_path: Path, published: str, routes: list[dict[str, object]]
) -> None:
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  web: {{image: shop, ports: ['{published}']}}\n"
    )
    done = run("--yes", "--domain", "shop.example")
    assert done.returncode == 0, done.stdout + done.stderr
    made = yaml.safe_load((tmp_path / "invoke.yaml").read_text())["cyan"]
    assert made["site"] == {"domain": "shop.example"}
    assert made["adopted"]["routes"] == routes
