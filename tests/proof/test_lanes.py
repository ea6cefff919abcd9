"""Whose work the host did is read as it was told; connections and distributions as they were."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cyan.proof import lanes, resources
from cyan.proof.history import SECOND, Clock
from cyan.proof.measures import worst_second
from cyan.proof.report import _before, write_report
from tests.proof import synthetic
from tests.proof.synthetic import MS, Run

if TYPE_CHECKING:
    from pathlib import Path

BLUE, PROXY, OTHER = "b" * 64, "c" * 64, "d" * 64
GIB = 2**20  # in KiB, as the kernel tells memory


def told(at: int, *looks: dict[str, int], busy: int = 150) -> list[str]:
    """What a host of two cores prints: a look a second, of which each adds `busy` ticks."""
    lines = ["a shop shop cyan-proxy cyan-proxy", "h 100 4096 2"]
    for number, used in enumerate(looks):
        lines.append(f"s {at + number * SECOND} {1000 + number * busy} {8 * GIB} {6 * GIB}")
        lines += [f"p {who} {ticks} 256" for who, ticks in used.items()]
        if number == 0:
            lines.append(f"c {BLUE} shop blue shop-blue web-blue")
            lines.append(f"c {PROXY} - - cyan-proxy cyan-proxy")
            lines.append(f"c {OTHER} blog blue blog-blue web-blue")
    return lines


def test_work_is_told_by_whose_it_is_and_what_is_left_is_everything_elses() -> None:
    lines = told(
        0, {BLUE: 10, PROXY: 5, "engine": 70}, {BLUE: 60, PROXY: 25, OTHER: 10, "engine": 75}
    )
    found = resources.parse([*lines, "s 3", "p torn"])
    assert found is not None
    cores = {name: round(float(values[0]), 2) for name, values in found.cores.items()}
    assert cores == {
        "blue": 0.5, "green": 0.0, "proxy": 0.2, "shared services": 0.0, "other containers": 0.1,
        "the engine": 0.05, "everything else": 0.65,
    }  # fmt: skip
    assert (found.of, found.total) == (2, 8 * 2**30)
    assert found.resident["blue"][0] == 2**20
    assert found.resident["everything else"][0] == 2 * 2**30 - 4 * 2**20
    assert found.during(SECOND // 2) == pytest.approx({k: v[0] for k, v in found.cores.items()})
    assert found.during(2 * SECOND) is None


@pytest.mark.parametrize("lines", [[], ["h 100 4096 2"], told(0, {BLUE: 1})])
def test_of_a_host_that_did_not_look_twice_nothing_is_told(lines: list[str]) -> None:
    assert resources.parse(lines) is None


def stat(pid: int, name: str, own: int, children: int) -> str:
    """A line of /proc/PID/stat: fields 14 to 17 are ticks, 24 resident pages: proc_pid_stat(5)."""
    after = ["S", *"0" * 10, str(own), "0", str(children), "0", *"0" * 6, "7"]
    return f"{pid} ({name}) {' '.join(after)}"


def test_what_a_container_did_in_its_life_is_not_its_engines_work_when_it_ends() -> None:
    """A process that has ended is counted with its parent's children: a container's is a shim."""
    given = "\n".join(
        (
            f"/proc/20/cgroup:{BLUE}",
            f"/proc/20/cgroup:{OTHER}",  # of one within it: the outer counts
            stat(10, "containerd-shim", 3, 5000),
            stat(11, "dockerd", 4, 0),
            stat(20, "a (strange) name", 10, 20),
            stat(30, "sshd", 100, 0),
        )
    )
    script = resources._COUNT.replace("ENGINE", resources.PROGRAMS)
    done = subprocess.run(["awk", script], input=given, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == [f"p {BLUE} 30 7", "p engine 7 14"]


def test_the_command_counts_this_machines_work() -> None:
    working = "import time\nend = time.time() + 6\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", working]) as busy:
        try:
            done = subprocess.run(
                ["sh", "-c", resources.command(3)], check=True, capture_output=True, text=True
            )
        finally:
            busy.kill()
    found = resources.parse(done.stdout.splitlines())
    assert found is not None
    assert len(found.at_ns) == 2
    assert abs(int(found.at_ns[-1]) - time.time_ns()) < 60 * SECOND
    whole = np.sum(list(found.cores.values()), axis=0)
    assert whole.min() > 0.2
    assert whole.max() < found.of + 1


def test_who_worked_in_the_worst_second_is_named_by_the_hosts_own_clock(clean: Run) -> None:
    frame, offset = clean.requests.copy(), 7 * SECOND
    begun = clean.history.load_begun_ns + 3 * SECOND
    inside = (frame["due_ns"] >= begun) & (frame["due_ns"] < begun + SECOND)
    frame.loc[inside, "end_ns"] += 900 * MS
    history = replace(clean.history, clock=Clock(offset, 0))
    evidence = replace(clean, requests=frame, history=history).evidence()
    worst = worst_second(evidence)
    assert worst is not None
    looks = [{BLUE: 10, PROXY: 0}] * 4 + [{BLUE: 130, PROXY: 20}]
    used = resources.parse(told(clean.history.load_begun_ns + offset, *looks))
    assert used is not None
    assert lanes.at_the_worst(evidence, used, worst) == (
        "The host worked with 1.5 of its 2 cores then: blue 1.2, proxy 0.2, everything else 0.1."
    )
    drawn = lanes.work(evidence, used)
    assert [each["name"] for each in drawn["data"]][:2] == ["blue", "proxy"]
    assert drawn["data"][0]["x"] == [1.0, 2.0, 3.0, 4.0]
    assert drawn["data"][0]["y"] == [0.0, 0.0, 0.0, 1.2]


def test_a_lane_is_a_connection_that_was_there_before_the_switch_and_after_it(clean: Run) -> None:
    switch = clean.history.switches[0]
    frame = clean.requests.copy()
    near = (frame["sent_ns"] - switch.done_ns).abs() <= SECOND
    rows = frame.index[near & (frame["journey"] == "items")]
    before, after = (
        rows[(frame.loc[rows, "sent_ns"] < switch.done_ns).to_numpy() == want]
        for want in (True, False)
    )
    far = frame["user"].max() + np.arange(1, len(frame) + 1)
    frame["user"] = far  # each a user of its own, but for these
    kept, anew = 900_001, 900_002
    for user, connection in ((kept, "reused"), (anew, "new")):
        place = 0 if user == kept else 1
        frame.loc[[before[place], after[place]], "user"] = user
        frame.loc[before[place], "connection"] = "new"
        frame.loc[after[place], "connection"] = connection
    evidence = replace(clean, requests=frame).evidence()
    shown = lanes.kept_connections(evidence, np.zeros(len(frame), bool))[0]["figure"]
    users = {lane for trace in shown["data"] for lane in trace["y"]}
    assert users == {str(kept)}
    answers = {trace["name"] for trace in shown["data"]}
    assert answers == {switch.source, switch.target, "opened anew"}


def test_a_distribution_holds_the_slowest_answer_and_the_middle_one(clean: Run) -> None:
    evidence = clean.evidence()
    shown = lanes.distribution(evidence)["data"]
    assert [each["name"] for each in shown] == ["without an act", "in acts"]
    for each in shown:
        assert each["y"] == sorted(each["y"])
        assert each["x"][0] == 0
    n = int((evidence.requests["act"] < 0).sum())
    assert 10 ** shown[0]["x"][-1] <= n


def test_a_run_is_shown_beside_the_one_before_it(clean: Run, tmp_path: Path) -> None:
    names = ("20261120-010000-verify", "20261121-010000-verify", "20261121-020000-chaos")
    for name in names:
        synthetic.write(clean, tmp_path / name)
        write_report(tmp_path / name)
    assert _before(tmp_path / names[0]) is None
    assert _before(tmp_path / names[2]) is None
    found = _before(tmp_path / names[1])
    assert found is not None
    assert (found.a.name, found.b.name) == names[:2]
    page = (tmp_path / names[1] / "report.html").read_text()
    assert "Against the run before" in page
    assert f"{names[0]}: " in page
    assert "Against the run before" not in (tmp_path / names[0] / "report.html").read_text()
