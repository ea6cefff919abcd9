"""The main job end to end: it passes on what drops nothing, and fails on what is known to drop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from cyan.configured import load
from cyan.proof.findings import Verdict
from cyan.proof.host_under_test import HostUnderTest
from cyan.proof.load import Load
from cyan.proof.run import RunSpec, run
from cyan.proof.scenario import Act, Traffic
from tests.lab.harness import EITHER_AT_NIGHT, EVERYWHERE_AT_NIGHT, settings_section

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.proof.verdict import Judgement
    from tests.lab.harness import Lab

pytestmark = [pytest.mark.lab, pytest.mark.alone]

RATE = "120"  # a third of the default: other tests' leftovers may still be cooling down


class Silent:
    """A display that shows nothing."""

    def says(self, what: str) -> None: ...
    def begins(self, number: int) -> None: ...
    def ended(self, number: int, performed: object) -> None: ...
    def tick(self, pace: object) -> None: ...


def verdict_of(folder: Path) -> dict[str, Any]:
    newest = max((folder / "reports").glob("*-verify"))
    verdict: dict[str, Any] = json.loads((newest / "verdict.json").read_text())
    return verdict


@EVERYWHERE_AT_NIGHT
def test_the_main_job_sees_switches_a_rollback_and_a_failure_drop_nothing(lab: Lab) -> None:
    done = lab.cyan("verify-zero-downtime", "--quick", "--http2", "--rate", RATE, check=False)
    verdict = verdict_of(lab.folder)
    assert verdict["drops"] == 0, done.stdout
    assert done.returncode == 0, done.stdout
    assert [act["exit_code"] for act in verdict["acts"]] == [0, 0, 0, 1]
    newest = max((lab.folder / "reports").glob("*-verify"))
    journeys = pd.read_parquet(newest / "requests.parquet")["journey"].value_counts()
    assert journeys["secure"] > 100  # HTTP/2 over TLS
    for name in ("report.html", "requests.parquet", "journal.jsonl", "summary.md", "junit.xml"):
        assert (newest / name).stat().st_size > 0


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_clean_runs_in_a_row_find_nothing(lab: Lab, seed: int) -> None:
    flags = ("--quick", "--rate", RATE, "--seed", str(seed))
    done = lab.cyan("verify-zero-downtime", *flags, check=False)
    verdict = verdict_of(lab.folder)
    assert f"--seed={seed}" in verdict["measured_on"]["run again"].split()
    assert (verdict["verdict"], verdict["drops"]) == ("pass", 0), done.stdout
    assert done.returncode == 0


@EITHER_AT_NIGHT
def test_a_plain_replacement_of_the_live_color_fails_the_verdict_with_its_drops_listed(
    lab: Lab,
) -> None:
    lab.live("v1")
    judgement = replaced(lab)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.drops
    assert any(finding.ids for finding in judgement.findings)


def replaced(lab: Lab) -> Judgement:
    """Load the site while `docker compose up` replaces the live color where it stands."""
    settings = load(settings_section(lab.folder), {}, lab.folder)
    color = lab.answering()[0]
    release = max((lab.folder / ".lab/host/releases").glob("*-v1"))
    words: tuple[str, ...] = (
        "compose",
        "-p",
        f"{lab.app}-{color}",
        "-f",
        str(release / "compose.yml"),
    )
    words += ("--env-file", str(release / ".env"), "up", "-d", "--wait", "--force-recreate")
    act = Act("plain replacement", words, Traffic.UNTOUCHED, program=("docker",))
    load_ = Load(f"http://{lab.address}:{lab.port}", settings.verify.locustfile, rate=float(RATE))
    with HostUnderTest(settings, settings.hosts[0]) as system:
        folder = lab.folder / "reports" / "negative-control"
        spec = RunSpec(folder, lab.folder, (act,), load_, steady=5, gap=3)
        return run(spec, system, Silent())


@EVERYWHERE_AT_NIGHT
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("flags", "connections"),
    [
        (("--fresh-connections", "--rtt", "40ms"), {"new"}),
        (("--http2", "--rtt", "40ms"), {"new", "reused"}),
    ],
    ids=["fresh connections", "http2"],
)
def test_at_a_round_trip_other_connections_see_nothing_dropped_either(
    lab: Lab, flags: tuple[str, ...], connections: set[str]
) -> None:
    done = lab.cyan("verify-zero-downtime", "--quick", "--rate", RATE, *flags, check=False)
    verdict = verdict_of(lab.folder)
    assert verdict["drops"] == 0, done.stdout
    assert done.returncode == 0, done.stdout
    newest = max((lab.folder / "reports").glob("*-verify"))
    requests = pd.read_parquet(newest / "requests.parquet")
    plain = requests[requests["journey"] == "items"]
    assert set(plain["connection"].unique()) == connections
    answered = requests[requests["journey"] != "planted"]  # the control's, which is refused
    took = answered["end_ns"] - answered["sent_ns"]
    assert took.min() > 40_000_000  # also of those over TLS
    assert ("secure" in set(requests["journey"])) is ("--http2" in flags)


@EVERYWHERE_AT_NIGHT
@pytest.mark.nightly
def test_calibration_finds_every_planted_drop_by_its_check_and_nothing_else(lab: Lab) -> None:
    flags = ("--calibrate", "--rtt", "10ms", "--rate", RATE)
    done = lab.cyan("verify-zero-downtime", *flags, check=False)
    newest = max((lab.folder / "reports").glob("*-calibration"))
    made = json.loads((newest / "calibration.json").read_text())
    assert [each["plant"] for each in made["planted"] if not each["found"]] == [], done.stdout
    assert made["extra"] == []
    assert done.returncode == 0
    assert "calibration" in (newest / "report.html").read_text()


@pytest.mark.nightly
@pytest.mark.alone
def test_what_is_planted_at_random_at_switches_too_is_found_and_nothing_else(lab: Lab) -> None:
    flags = ("--calibrate", "--plants", "60", "--rate", RATE)
    done = lab.cyan("verify-zero-downtime", *flags, check=False)
    newest = max((lab.folder / "reports").glob("*-calibration"))
    made = json.loads((newest / "calibration.json").read_text())
    lost = [each for each in made["planted"] if each["id"] and not each["found"]]
    assert lost == [], done.stdout
    assert made["extra"] == [], done.stdout
    assert made["verdict"] == "pass", done.stdout
    assert len(made["planted"]) == 61
    assert "drops that were planted at random" in made["sentence"]
