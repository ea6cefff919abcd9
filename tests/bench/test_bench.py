"""Ways to deploy, side by side: what is counted of each, and that the worst is found."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from cyan.bench import as_it_is, certificate, launch, page
from cyan.bench.bench import chosen
from cyan.bench.measure import Done, both_answer, row
from cyan.bench.options import Options
from cyan.bench.ways import BY_NAME, WAYS, over_tls, script, write
from cyan.errors import UsageError
from cyan.proof.history import SECOND
from tests.conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.harness import Lab

DEPLOY = Done("deploy", "v2", 10 * SECOND, 14 * SECOND, 0, cpu=1.5, memory=2**20)
BACK = Done("rollback", "v1", 20 * SECOND, 21 * SECOND, 0)
FAILS = Done("fails", "v3", 30 * SECOND, 33 * SECOND, 1)
DONE = (DEPLOY, BACK, FAILS)


def answered(at: float, **changes: Any) -> dict[str, Any]:
    """A request that was sent at a time, in seconds, and answered 10 ms later."""
    sent = round(at * SECOND)
    usual = {"due_ns": sent, "sent_ns": sent, "end_ns": sent + SECOND // 100, "journey": "home"}
    return {**usual, "failure": "", "error": "", "version": "v1", **changes}


def quiet() -> list[dict[str, Any]]:
    """A request every tenth of a second, answered by v2 from second 12 to 20, else by v1."""
    times = (number / 10 for number in range(400))
    return [answered(at, version="v2" if 12 <= at < 20 else "v1") for at in times]


def frame(requests: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as the client's log has them."""
    return pd.DataFrame(requests).astype({"journey": "category", "version": "category"})


def judged(requests: list[dict[str, Any]]) -> Any:
    steady = (0, 9 * SECOND)
    return row("a way", frame(requests), DONE, steady=steady, app_memory=2**30, left=3)


def test_a_way_that_drops_nothing_has_a_row_of_zeros() -> None:
    found = judged(quiet())
    assert (found.dropped, found.cut, found.back_drops, found.failed_drops) == (0, 0, 0, 0)
    assert found.deploys == 1
    assert found.n == 51  # while it was deployed, and a second after
    assert (found.seconds, found.back_seconds, found.exit_code) == (4.0, 1.0, 1)
    assert found.ratio == pytest.approx(1.0)
    assert found.gap_ms == pytest.approx(100, abs=20)
    assert (found.memory, found.cpu, found.left) == (2**20, 1.5, 3)


@pytest.mark.parametrize("kind", ["refused", "reset", "timeout", "status", "truncated"])
def test_each_kind_of_drop_is_counted_in_the_act_it_fell_into(kind: str) -> None:
    bad = [answered(at, failure=kind, error="it broke") for at in (11.0, 12.0, 20.5, 31.0, 5.0)]
    found = judged([*quiet(), *bad])
    assert found.drops == {kind: 2}
    assert (found.back_drops, found.failed_drops, found.steady_drops) == (1, 1, 1)
    assert found.errors == (f"2 x {kind} it broke",)
    assert f"2 {kind} in 1" in page.told(found)


@pytest.mark.parametrize(
    ("words", "least", "most"), [("pass", 1, 60), ("b'x' * (200 << 20)", 200, 260)]
)
def test_the_memory_of_a_deployer_is_its_own_and_not_that_of_who_started_it(
    tmp_path: Path, words: str, least: int, most: int
) -> None:
    told = tmp_path / "took.json"
    ours = bytearray(b"x" * (300 << 20))  # which Linux would count as the child's otherwise
    command = [sys.executable, "-I", "-S", launch.__file__, str(told), sys.executable, "-c", words]
    subprocess.run(command, check=True)
    assert len(ours) >> 20 > most
    took = json.loads(told.read_text())
    assert took["code"] == 0
    assert least <= took["memory"] >> 20 <= most


def test_a_stream_that_is_cut_stands_on_its_own_line() -> None:
    found = judged([*quiet(), answered(11, failure="reset", journey="socket")])
    assert (found.dropped, found.cut) == (0, 1)


def test_a_time_without_answers_is_the_longest_gap_and_shows_in_the_p99() -> None:
    late = [
        {**each, "end_ns": 14 * SECOND} if 11 * SECOND < each["sent_ns"] < 13 * SECOND else each
        for each in quiet()
    ]
    found = judged(late)
    assert found.gap_ms == pytest.approx(2000, abs=200)
    assert found.ratio > 100


def test_how_long_two_versions_answer_counts_from_the_first_of_the_new_to_the_last_of_the_old() -> (
    None
):
    both = [*quiet(), answered(13.5), answered(13.9, journey="download")]
    assert both_answer(frame(both), DEPLOY) == pytest.approx(1.5)
    assert both_answer(frame(quiet()), DEPLOY) == 0
    assert both_answer(frame(quiet()), FAILS) == 0


def test_every_proxy_has_its_site_over_tls_as_well() -> None:
    for way in WAYS:
        for name, text in way.proxy:
            secure = over_tls(text)
            assert "8443" in secure, (way.name, name)
            assert "/etc/caddy/site.pem" in secure
            assert "8080" in secure


@pytest.mark.lab
def test_caddy_takes_each_of_its_files(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    certificate.write(tmp_path)
    words = ["docker", "run", "--rm", "--network", "none", "-v", f"{tmp_path}:/etc/caddy:ro"]
    for way in WAYS:
        for name, text in way.proxy:
            if name == "Caddyfile":
                (tmp_path / name).write_text(over_tls(text))
                check = ["validate", "--config", f"/etc/caddy/{name}", "--adapter", "caddyfile"]
                done = subprocess.run(
                    [*words, way.image, "caddy", *check],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, (way.name, done.stderr)


def test_its_certificate_is_one_that_its_clients_trust_as_localhost(tmp_path: Path) -> None:
    certificate.write(tmp_path)
    files = tmp_path / certificate.CERTIFICATE, tmp_path / certificate.KEY
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(*files)
    trusting = ssl.create_default_context(cadata=files[0].read_text())
    one, other = socket.socketpair()
    with one, other, ThreadPoolExecutor(1) as pool:
        served = pool.submit(ours.wrap_socket, other, server_side=True)
        with trusting.wrap_socket(one, server_hostname="localhost") as client:
            assert client.getpeercert()
        served.result().close()


@pytest.mark.parametrize("name", [*BY_NAME])
def test_the_scripts_of_a_way_are_a_shells_words(name: str, tmp_path: Path) -> None:
    way = BY_NAME[name]
    for words in (way.deploy, way.takes_back, way.failing):
        text = words if way.lab else script(words)
        subprocess.run(["bash", "-n", "-c", text], check=True)
    write(way, tmp_path, PROJECT)
    assert json.loads((tmp_path / "proxy.yml").read_text())["services"]["proxy"]["image"]


def test_the_stack_of_the_demo_keeps_what_a_stack_would_ignore(tmp_path: Path) -> None:
    write(BY_NAME["swarm"], tmp_path, PROJECT)
    services = json.loads((tmp_path / "stack.json").read_text())["services"]
    assert set(services) == {"platform", "rag", "crawler", "database", "proxy"}
    for each in (services["platform"], services["database"]):
        assert {"type": "tmpfs", "target": "/tmp"} in each["volumes"]
        assert not {"mem_limit", "scale", "tmpfs"} & each.keys()
    assert services["platform"]["networks"] == {"app": {"aliases": ["${COLOR}"]}}
    assert services["platform"]["deploy"]["update_config"]["order"] == "start-first"
    assert "update_config" not in services["database"]["deploy"]


@pytest.mark.lab
def test_the_demo_without_cyan_is_one_file_that_is_adopted_without_a_question(
    tmp_path: Path,
) -> None:
    demo = (PROJECT / "compose/stateless.yml").read_text()
    (tmp_path / "compose.yaml").write_text(as_it_is.compose_file(demo, 8080))
    assert not re.search("cyan[.]|COLOR|RELEASE|DIRECTORY", (tmp_path / "compose.yaml").read_text())
    for engine in ("docker", "swarm"):
        words = ("init", "--check", "--json", "--engine", engine)
        done = subprocess.run(
            [sys.executable, "-m", "cyan", *words], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        services = json.loads(done.stdout)["services"]
        told = {name: each["role"] for name, each in services.items()}
        assert told == {
            "crawler": "worker", "database": "shared", "platform": "web", "rag": "web"
        }  # fmt: skip


def test_a_way_that_nobody_knows_is_refused() -> None:
    assert chosen(()) == WAYS
    assert [way.name for way in chosen(["cyan"])] == ["cyan"]
    with pytest.raises(UsageError, match="no way is called magic"):
        chosen(["magic"])


def test_the_table_is_written_as_text_as_data_and_as_a_page(tmp_path: Path) -> None:
    found = judged([*quiet(), answered(11, failure="reset", error="<b>gone</b>")])
    named = type(found)(**{**vars(found), "name": "recreate"})
    page.write(tmp_path, [named], Options(WAYS, rtt=0.04, fresh=True), BY_NAME)
    told = json.loads((tmp_path / "bench.json").read_text())
    assert told["rows"][0]["drops"] == {"reset": 1}
    assert told["run again"].endswith("--rtt=40ms --fresh-connections")
    assert "| recreate | 1 (1 reset in 1) |" in (tmp_path / "bench.md").read_text()
    html = (tmp_path / "bench.html").read_text()
    assert "&lt;b&gt;gone&lt;/b&gt;" in html
    assert "<b>gone" not in html


@pytest.mark.lab
@pytest.mark.alone
@pytest.mark.nightly
def test_what_most_do_drops_requests_and_cyan_none_under_the_same_load(lab: Lab) -> None:
    lab.cyan("bench", "--way", "recreate", "--way", "cyan", "--rotations", "1")
    (told,) = (lab.folder / "reports").glob("bench-*/bench.json")
    rows = {each["name"]: each for each in json.loads(told.read_text())["rows"]}
    assert rows["recreate"]["dropped"] > 10
    assert rows["cyan"]["dropped"] == rows["cyan"]["failed_drops"] == 0
    assert rows["cyan"]["exit_code"] == 1
    assert rows["cyan"]["left"] == 0
