"""Applications that others could have written: taken over, rotated and given back, unchanged."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter

import pytest
import yaml

from tests.conftest import SHIFT
from tests.lab.foreign_apps import (
    DOCKER,
    PORT,
    PROXIES,
    VERSIONS,
    Foreign,
    foreign,
    proxies_of,
    rotated,
    taken_over,
)
from tests.lab.harness import until
from tests.lab.visitors import visitors

__all__ = ["foreign"]

pytestmark = pytest.mark.lab


def idle_ones(app: Foreign) -> bool:
    """Whether the proxy keeps a connection to the application that was used just now."""
    (proxy,) = proxies_of(app)

    def one() -> bool:
        assert app.text()
        table = app.run("docker", "exec", proxy, "cat", "/proc/net/tcp").stdout
        rows = [line.split() for line in table.splitlines()[1:]]
        return any(row[2].endswith(":1F40") and row[3] == "01" for row in rows)  # port 8000, open

    return any(one() for _ in range(5))  # a busy machine may look later than a second after it


@pytest.mark.parametrize(
    "foreign",
    [
        "chunked",
        *(
            pytest.param(name, marks=pytest.mark.nightly)
            for name in ("chunked@nginx", "chunked@newer", "flask")
        ),
    ],
    indirect=True,
)
def test_an_application_is_taken_over_rotated_and_given_back_as_it_was(foreign: Foreign) -> None:
    orders = foreign.name != "chunked"
    before, database = foreign.theirs(), foreign.database()
    foreign.adopt()
    refused = foreign.cyan("deploy", "--version", "v1", check=False)
    assert refused.returncode == 2
    assert "--take-over" in refused.stderr
    assert foreign.text()  # its own stack serves as ever
    assert "is loaded" in foreign.cyan("proxy.reload", "--again").stdout  # which nobody reaches yet
    assert "nobody reaches it" in foreign.cyan("proxy.upgrade", check=False).stderr
    taken_over(foreign, orders=orders)
    made = list((foreign.folder / ".lab/host/releases").glob("*/[cr]*"))
    assert {path.name for path in made} >= {"compose.yml", "resolved.json"}
    for path in made:  # they hold what env files do
        assert path.stat().st_mode & 0o007 == 0, path
    cleaned = foreign.cyan("cleanup").stdout
    assert f"removed cyan-foreign-{foreign.name}-web-1 of its own stack" in cleaned
    foreign.run(*DOCKER, "up", "-d")  # as its authors always did: it must do no harm
    rotated(foreign, 2, orders=orders)
    # Flask's own server keeps no connection; nginx, as a proxy, none to a color
    assert idle_ones(foreign) == (not orders and foreign.proxy != "nginx")
    with visitors(PORT, orders=orders) as seen:
        foreign.cyan("init", "--undo")
        until(foreign.answers, "its own stack answers")
    assert (seen.failures, seen.on_kept) == ([], [])
    assert foreign.database() == database
    assert foreign.theirs() == before
    names = foreign.run("docker", "ps", "-a", "--format", "{{.Names}}").stdout.split()
    mine = {name for name in names if name.startswith(f"cyan-foreign-{foreign.name}-")}
    kept = {"cyan-foreign-flask-db-1"} if orders else set[str]()
    assert mine == {f"cyan-foreign-{foreign.name}-web-1", *kept}


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["parts"], indirect=True)
def test_files_that_are_included_and_profiles_mean_what_they_mean_to_compose(
    foreign: Foreign,
) -> None:
    before, database = foreign.theirs(), foreign.database()
    foreign.adopt()
    taken_over(foreign, orders=False)
    rotated(foreign, 2, orders=False)
    (told,) = json.loads(foreign.cyan("status", "--json").stdout)["hosts"]
    names = {each["service"] for each in told["colors"][told["live"]]["containers"]}
    assert names == {"web", "admin"}, "admin is of a profile that .env names, debug of none"
    foreign.cyan("init", "--undo")
    until(foreign.answers, "its own stack answers")
    assert foreign.database() == database
    assert foreign.theirs() == before


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["chunked"], indirect=True)
def test_with_a_domain_the_port_that_led_there_goes_on_beside_it(foreign: Foreign) -> None:
    foreign.adopt("--domain", "shop.localhost")
    taken_over(foreign, orders=False)
    with visitors(PORT, orders=False) as seen:
        said = foreign.cyan("deploy", "--version", "v2").stdout
        secure = ("curl", "-sk", "--resolve", f"shop.localhost:{PORT - 1}:127.0.0.1")
        answer = foreign.run(*secure, f"https://shop.localhost:{PORT - 1}/").stdout
    assert (seen.failures, seen.on_kept) == ([], [])
    assert answer.split()[-1] == "v2"
    assert "none failed by it" in said
    plain = foreign.run(
        "curl", "-si", f"http://127.0.0.1:{PORT - 2}/", "-H", "Host: shop.localhost"
    )
    assert f"Location: https://shop.localhost:{PORT - 1}/" in plain.stdout
    foreign.cyan("init", "--undo")
    until(foreign.answers, "its own stack answers")


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["flask"], indirect=True)
def test_who_keeps_no_connection_is_switched_away_from_where_the_proxy_would(
    foreign: Foreign,
) -> None:
    foreign.adopt()
    path = foreign.folder / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    made["cyan"].setdefault("site", {})["keepalive"] = 2
    path.write_text(yaml.safe_dump(made))
    foreign.cyan("proxy.reload")
    done = foreign.cyan("deploy", "--version", "v1", "--take-over", check=False)
    said = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "a POST may meet it closing; cyan.site.keepalive: 0, inv proxy.reload" in said
    assert "its own stack again: the ports were given back" in said
    assert foreign.text()


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["chunked"], indirect=True)
def test_who_comes_by_ipv6_is_led_along_as_well(foreign: Foreign) -> None:
    """Without that some six hundred are refused, for as long as nobody has the port."""
    try:
        socket.create_connection(("::1", PORT), 5).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    foreign.adopt()
    with visitors(PORT, orders=False, number=4, address="::1", keep=False) as seen:
        time.sleep(1)
        foreign.cyan("deploy", "--version", "v1", "--take-over")
    assert seen.answers > 500
    assert len(seen.failures) <= 1, seen.failures  # in one of three runs one was refused


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["notes", "notes@nginx", "notes@newer"], indirect=True)
def test_an_application_that_cannot_run_twice_is_rotated_one_color_at_a_time(
    foreign: Foreign,
) -> None:
    """Its database is a file, and a second process on it would be told of in the volume."""
    foreign.adopt()
    assert "strategy: hold" in (foreign.folder / "invoke.yaml").read_text()
    with visitors(PORT, orders=True) as seen:
        time.sleep(1)
        said = foreign.cyan("deploy", "--version", "v1", "--take-over").stdout
        assert seen.failures == []
        foreign.cyan("deploy", "--version", "v2")
        foreign.cyan("rollback")
    assert "nobody was refused" in said
    assert seen.failures == []
    assert seen.versions == {"v0", "v1", "v2"}
    assert len(seen.on_kept) <= 4, seen.on_kept  # those that the original ended, one a visitor
    assert set(seen.acknowledged) <= set(foreign.text("/orders").split())
    assert foreign.text("/ran-twice") == "False"
    if foreign.proxy == "caddy":  # nginx keeps none
        assert "web keeps an idle connection for 8 s or more" in foreign.cyan("doctor").stdout
    foreign.cyan("init", "--undo")
    until(foreign.answers, "its own stack answers")
    assert set(seen.acknowledged) <= set(foreign.text("/orders").split())


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["fastapi", "fastapi@nginx", "fastapi@newer"], indirect=True)
def test_the_hosts_proxy_is_upgraded_and_no_visitor_notices(foreign: Foreign) -> None:
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    path = foreign.folder / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    new = "cyan-foreign/proxy:2"
    foreign.run("docker", "tag", made["cyan"]["host_proxy"]["image"], new)
    made["cyan"]["host_proxy"]["image"] = new
    path.write_text(yaml.safe_dump(made))
    with visitors(PORT, orders=True) as seen:
        for _ in range(3):
            foreign.cyan("proxy.upgrade")
        foreign.cyan("deploy", "--version", "v2")
    name = f"cyan-foreign{SHIFT}-proxy"
    runs = foreign.run("docker", "ps", "--filter", f"name={name}", "--format", "{{.Image}}").stdout
    assert runs.split() == [new]
    assert (seen.failures, seen.on_kept) == ([], [])
    assert set(seen.acknowledged) <= set(foreign.text("/orders").split())


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["fastapi"], indirect=True)
def test_nginx_takes_the_place_of_caddy_and_gives_it_back_and_no_visitor_notices(
    foreign: Foreign,
) -> None:
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    path = foreign.folder / "invoke.yaml"
    for number, (server, image) in enumerate(reversed(PROXIES.items())):
        made = yaml.safe_load(path.read_text())
        made["cyan"]["proxy"] = server
        made["cyan"]["host_proxy"]["image"] = image
        path.write_text(yaml.safe_dump(made))
        with visitors(PORT, orders=True) as seen:
            foreign.cyan("proxy.upgrade")
            foreign.cyan("deploy", "--version", VERSIONS[2 - number])
        assert (seen.failures, seen.on_kept) == ([], [])
        name = f"cyan-foreign{SHIFT}-proxy"
        runs = foreign.run("docker", "ps", "--filter", f"name={name}", "--format", "{{.Image}}")
        assert runs.stdout.split() == [image]


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["chunked"], indirect=True)
def test_visitors_find_a_drop_that_is_planted(foreign: Foreign) -> None:
    """Without this the others would prove nothing."""
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    live = "cyan-foreign-chunked-blue-web-blue-1"
    with visitors(PORT, orders=False) as seen:
        time.sleep(1)
        foreign.run("docker", "kill", live)
        time.sleep(1)
        foreign.run("docker", "start", live)
    assert seen.failures


@pytest.mark.nightly
@pytest.mark.parametrize(
    "foreign",
    ["flask", "fastapi", "express", "behind_nginx", "chunked", "notes"],
    indirect=True,
)
def test_ten_rotations_drop_nothing(foreign: Foreign) -> None:
    before, database = foreign.theirs(), foreign.database()
    orders = foreign.name != "chunked"
    foreign.adopt(*(("--agree", "uploads") if foreign.name == "express" else ()))
    taken_over(foreign, orders=orders)
    rotated(foreign, 10, orders=orders)
    assert foreign.theirs() == before
    assert foreign.database() == database


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["django"], indirect=True)
def test_each_job_is_done_once_and_no_scheduler_runs_twice(foreign: Foreign) -> None:
    """Celery's beat gives a job every half second, and the worker writes who gave it."""
    before = foreign.theirs()
    foreign.adopt()
    with visitors(PORT, orders=True) as seen:
        foreign.cyan("deploy", "--version", "v1", "--take-over")
    assert seen.failures == []
    rotated(foreign, 10, orders=True)
    until(lambda: len(counted(foreign)) == len(foreign.text("/orders").split()), "all are counted")
    assert max(Counter(counted(foreign)).values()) == 1
    assert len(changes(foreign)) == 12  # the own stack's, the first one's, ten, and a rollback's
    names = foreign.run("docker", "ps", "--format", "{{.Names}}").stdout
    assert len(re.findall(r"cyan-foreign-django\S*beat", names)) == 1
    assert foreign.theirs() == before


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["django"], indirect=True)
def test_a_bake_that_goes_bad_gives_the_work_back_to_the_old_color(foreign: Foreign) -> None:
    foreign.adopt()
    foreign.cyan("deploy", "--version", "v1", "--take-over")
    path = foreign.folder / "invoke.yaml"
    made = yaml.safe_load(path.read_text())
    dies = "docker kill cyan-foreign-django-green-web-green-1"
    made["cyan"]["hooks"] = [{"before": "bake", "run": dies}]
    path.write_text(yaml.safe_dump(made))
    done = foreign.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "v1 (blue) again" in done.stderr
    names = foreign.run("docker", "ps", "--format", "{{.Names}}").stdout
    assert sorted(re.findall(r"cyan-foreign-django-blue-(\w+)-blue-1", names)) == [
        "beat",
        "web",
        "worker",
    ]
    assert "green" not in names
    ticks = len(foreign.text("/ticks").split())
    until(lambda: len(foreign.text("/ticks").split()) > ticks, "the old scheduler goes on")


def counted(app: Foreign) -> list[str]:
    """The orders that a worker has counted, each as often as it did."""
    return [line.split()[0] for line in app.text("/counted").splitlines()]


def changes(app: Foreign) -> list[str]:
    """The versions of the schedulers that gave jobs, each time that another one did."""
    ticks = app.text("/ticks").split()
    return [one for one, before in zip(ticks, ["", *ticks], strict=False) if one != before]


@pytest.mark.nightly
@pytest.mark.parametrize("foreign", ["django"], indirect=True)
@pytest.mark.parametrize(
    ("reaching", "then"),
    [
        ("take-over", "--resume"),
        ("take-over", "--abort"),
        ("workers", "--abort"),
        ("schedulers", "--resume"),
        ("retire", "--resume"),
    ],
)
def test_a_first_deploy_that_is_killed_is_gone_on_with_or_given_back(
    foreign: Foreign, reaching: str, then: str
) -> None:
    """Whichever it is, visitors are answered, and one scheduler runs."""
    foreign.adopt()
    with visitors(PORT, orders=True) as seen:
        time.sleep(1)
        killed_at(foreign, reaching)
        done = foreign.cyan("deploy", then, "--lock-wait", "60s")
    assert seen.failures == []
    resumed = then == "--resume"
    assert ("live: v1" if resumed else "its own stack again") in done.stdout, done.stdout
    names = foreign.run("docker", "ps", "--format", "{{.Names}}").stdout.split()
    mine = sorted(each for each in names if each.startswith("cyan-foreign-django"))
    rotating = ("beat", "web", "worker")
    wanted = [f"cyan-foreign-django-blue-{each}-blue-1" for each in rotating]
    if not resumed:
        wanted = [f"cyan-foreign-django-{each}-1" for each in rotating]
    assert mine == sorted([*wanted, "cyan-foreign-django-redis-1"])
    assert foreign.answers()


def killed_at(app: Foreign, step: str) -> None:
    """Begin a first deploy, and kill it as soon as it has begun a step."""
    journal = app.folder / ".lab/host/journal.jsonl"
    words = (sys.executable, "-m", "cyan", "deploy", "--version", "v1", "--take-over")
    with subprocess.Popen(
        words, cwd=app.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as deployer:
        wanted = f'"event":"step","step":"{step}"'
        until(lambda: wanted in journal.read_text(), f"it comes to {step}", 90)
        deployer.kill()
