"""Hosts of one swarm: the first begins and ends what runs, all of them lead users to it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cyan.application.release import Release
from cyan.configured import node_file, with_own_node
from cyan.errors import CyanError, DeployError, UsageError
from cyan.hosts.session import Session
from cyan.journal.entries import Entry, Event
from cyan.names import Color, Kind
from cyan.rollout import apart, fleet
from cyan.rollout import plan as planning
from cyan.rollout.drift import drift
from cyan.rollout.health import State
from cyan.rollout.meeting import Meeting, Member
from cyan.rollout.planned import Request
from cyan.rollout.steps import _judged
from cyan.rollout.together import _alike
from cyan.tasks.common import first_last
from tests.rollout.jobs import job
from tests.rollout.test_spread import CONFIG, spread
from tests.rollout.worlds import NOW, container, ended, switched, world

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cyan.hosts.look import Observation
    from cyan.rollout.planned import Plan
    from cyan.settings import Settings

HOSTS = [{"address": name} for name in ("a", "b", "c")]
LED = {Kind.EXPAND, Kind.WORKERS, Kind.SCHEDULERS, Kind.RETAIN}
"""What only the first host does."""


def three(base: Path, **changes: Any) -> Settings:
    return spread(base, hosts=HOSTS, **changes)


def live_on(color: Color, version: str = "v1", release: str = "r1", **changes: Any) -> Observation:
    found = [
        container(name, color, version=version, release=release) for name in ("web", "api", "jobs")
    ]
    journal = (switched(color, version, release, NOW - 900), ended(release, NOW - 890))
    seen = world({str(color)}, *found, journal=journal)
    return replace(seen, **changes)


def kinds(plan: Plan) -> list[Kind]:
    return [step.kind for step in plan.steps]


def test_the_first_host_leads_and_what_is_shared_is_asked_of_it_only(tmp_path: Path) -> None:
    settings = three(tmp_path, migrate={"expand": "./migrate", "service": "web"})
    first, second, _ = settings.hosts
    assert [settings.leads(each) for each in settings.hosts] == [True, False, False]
    assert settings.at(first) == settings
    there = settings.at(second)
    assert (there.stateful, there.migrate.expand) == (("cyan-proxy",), "")
    assert first_last(settings, settings.hosts)[-1] == first
    docker = three(tmp_path, engine="docker")
    assert all(docker.leads(each) and docker.at(each) == docker for each in docker.hosts)
    assert not docker.shares_colors


def test_the_database_of_several_hosts_is_migrated_at_its_own(tmp_path: Path) -> None:
    there = {"expand": "./migrate", "service": "web", "host": "b"}
    settings = three(tmp_path, engine="docker", migrate=there)
    assert [settings.at(each).migrate.expand for each in settings.hosts] == ["", "./migrate", ""]


def deployed(settings: Settings, seen: Observation) -> Plan:
    request = Request("deploy", "v2", "ann", run="r2")
    return planning.deploy(request, seen, settings, json.dumps(CONFIG))


def test_another_host_begins_and_ends_nothing_and_leads_to_what_the_first_began(
    tmp_path: Path,
) -> None:
    settings = three(tmp_path, migrate={"expand": "./migrate", "service": "web"})
    first, second, _ = settings.hosts
    seen = live_on(Color.BLUE)
    lead = deployed(settings.at(first), seen)
    other = deployed(settings.at(second), replace(seen, leads=False))
    assert set(kinds(lead)) - set(kinds(other)) == LED
    assert [each for each in kinds(lead) if each not in LED] == kinds(other)
    steps = {step.kind: step for step in other.steps}
    assert steps[Kind.SWITCH].color is Color.GREEN
    (start,) = steps[Kind.START].commands
    assert "docker" not in start
    assert "kept-green" in start  # of its own proxy's connections nothing is known yet


def test_another_host_starts_nothing_again_for_a_rollback(tmp_path: Path) -> None:
    seen = live_on(Color.GREEN, "v2", "r2")
    before = (switched(Color.BLUE, "v1", "r1", NOW - 950), *seen.journal)
    stopped = [container(each, Color.BLUE, state="exited") for each in ("web", "api", "jobs")]
    seen = replace(seen, journal=before, containers=(*seen.containers, *stopped))
    settings = three(tmp_path)
    request = Request("rollback", "", "ann")
    assert Kind.START in kinds(planning.rollback(request, seen, settings, ""))
    other = planning.rollback(request, replace(seen, leads=False), settings, "")
    assert kinds(other)[:3] == [Kind.PREFLIGHT, Kind.HEALTHY, Kind.SWITCH]


def test_a_host_that_was_left_out_leads_to_what_is_live_before_anything_begins(
    tmp_path: Path,
) -> None:
    lead = live_on(Color.GREEN, "v2", "r2")
    old = [container(each, Color.BLUE) for each in ("web", "api", "jobs")]
    behind = live_on(Color.BLUE, leads=False, containers=(*lead.containers, *old))
    made = planning.following(lead, behind, three(tmp_path))
    assert kinds(made)[:4] == [Kind.PREFLIGHT, Kind.HEALTHY, Kind.SWITCH, Kind.VERIFY]
    assert Kind.DRAIN in kinds(made)
    assert (made.target.id, made.target.color) == ("r2", Color.GREEN)
    assert not made.run.starts_all  # so that nothing of it is removed where it fails


def test_what_runs_is_what_the_first_host_saw_whoever_looked_later(tmp_path: Path) -> None:
    settings = three(tmp_path)
    seen = live_on(Color.BLUE)
    warm = [container(each, Color.GREEN, release="r0") for each in ("web", "api", "jobs")]
    front = container("cyan-proxy", None, release="its own")
    later = replace(seen, leads=False, containers=(*seen.of(Color.BLUE), *warm, front))
    none: Any = None
    told = [Session(none, none, none, settings, each) for each in (seen, later)]
    first, second = _alike(dict(zip("ab", told, strict=True))).values()
    assert first.world == seen
    assert second.world.of(Color.GREEN) == ()
    assert second.world.of(Color.BLUE) == seen.of(Color.BLUE)
    assert second.world.of(None) == (front,)
    own = _alike({"a": told[0], "b": replace(told[1], world=replace(later, leads=True))})
    assert own["b"].world.of(Color.GREEN) == tuple(warm)


def test_hosts_that_would_go_to_different_releases_begin_nothing() -> None:
    one, other = Release("r1", "v1", Color.BLUE), Release("r2", "v1", Color.BLUE)
    fleet.refuse_two({"a": one, "b": one})
    with pytest.raises(DeployError, match="a to r1, b to r2"):
        fleet.refuse_two({"a": one, "b": other})


def run(name: str, hosts: Iterable[str], *, switch: bool = True, ok: bool = True) -> list[Entry]:
    begun = Entry(NOW, name, "deploy", Event.BEGIN, "", Color.BLUE, detail={"fleet": [*hosts]})
    what = [(Event.STEP, "switch"), *([(Event.NOTE, "commit")] if switch else [])]
    moved = [replace(begun, event=event, step=step) for event, step in what]
    return [begun, *moved, replace(begun, event=Event.END, detail={"ok": ok})]


@pytest.mark.parametrize(
    ("journal", "with_", "says"),
    [
        ([], "ab", ""),
        ([], "bc", "a begins and ends what runs on this swarm"),
        (run("r1", "abc"), "ab", ""),
        (run("r1", "abc"), "a", ""),
        (run("r1", "ab"), "abc", ""),
        (run("r1", "ab"), "ab", "c was not taken along by the last switch either"),
        (run("r1", "ab"), "ac", ""),
        (run("r1", ""), "ac", "b was not taken along"),  # of one host alone
        (run("r1", "abc", ok=False), "ab", "c was not taken along"),  # it may lead elsewhere
        (run("r1", "abc") + run("r2", "ab", ok=False, switch=False), "ab", ""),
        (run("r1", "ab") + run("r2", "abc", ok=False, switch=False), "ab", "c was not taken"),
        (run("r1", "abc")[:3], "ab", "c was not taken along"),  # its deployer was killed
        (run("r1", "abc") + run("r2", "abc")[:2], "ab", ""),  # before any was switched
        (run("r1", "abc") + run("r2", "")[:2], "ab", "c was not taken along"),  # it may have been
    ],
)
def test_who_may_be_left_out_is_who_is_known_to_lead_to_what_stays(
    tmp_path: Path, journal: list[Entry], with_: str, says: str
) -> None:
    settings = three(tmp_path)
    machines = [each for each in settings.hosts if each.address in with_]
    if not says:
        apart.refuse(settings, machines, journal)
    else:
        with pytest.raises((UsageError, DeployError)) as caught:
            apart.refuse(settings, machines, journal)
        assert says in str(caught.value)
    apart.refuse(three(tmp_path, engine="docker"), machines, journal)  # each has its own


def test_what_a_host_leads_to_that_is_left_out_stays_however_little_is_to_be_kept_warm(
    tmp_path: Path,
) -> None:
    settings = three(tmp_path, warm={"services": "none"})
    for count, says in ((2, "blue stays warm for a rollback"), (3, "blue is removed")):
        made = deployed(apart.keeping(settings, settings.hosts[:count]), live_on(Color.BLUE))
        (retains,) = (step for step in made.steps if step.kind is Kind.RETAIN)
        assert (retains.says, retains.commands == ()) == (says, count == 2)
    docker = three(tmp_path, engine="docker", warm={"services": "none"})
    assert apart.keeping(docker, docker.hosts[:1]) == docker


def test_what_all_share_is_removed_once_no_host_leads_users_to_it() -> None:
    meeting = Meeting("abcd", "abcd", lambda _: None, committed=True)
    gone = threading.Event()

    def first() -> None:
        meeting.emptied("a", 30)
        gone.set()

    with ThreadPoolExecutor() as pool:
        pool.submit(first)
        meeting.emptied("b", 0)
        assert not gone.wait(0.1)
        meeting.failed("c", Kind.VERIFY, CyanError("it is lost"), lost=True)
        assert not gone.wait(0.1)
        meeting.ends("d")
        assert gone.wait(10)


def test_on_another_host_what_ran_once_and_what_is_shared_is_not_missed(tmp_path: Path) -> None:
    settings = three(tmp_path)
    first, second, _ = settings.hosts
    front = container("cyan-proxy", None, project="cyan-proxy")
    seen = live_on(Color.BLUE)
    seen = replace(seen, containers=(*seen.containers, front))
    missed = [line for line in drift(seen, settings.at(first)) if "migrate" in line or "db" in line]
    assert len(missed) == 2
    assert drift(replace(seen, leads=False), settings.at(second)) == ()


def test_nobody_looks_at_a_new_color_before_the_one_that_begins_it_has() -> None:
    """Under its name there may be what was warm until then."""
    meeting = Meeting("ab", "ab", lambda _: None)
    first, other = (Member(meeting, name) for name in "ab")
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(other.before, Kind.HEALTHY)
        first.before(Kind.START)
        assert not wait([waits], 0.1).done
        first.before(Kind.HEALTHY)
        assert wait([waits], 10).done


def test_what_ran_once_on_the_first_host_is_not_waited_for_on_another(tmp_path: Path) -> None:
    settings = three(tmp_path)
    plan = deployed(settings, live_on(Color.BLUE))
    begun = [container(name, Color.GREEN, release="r2", version="v2") for name in ("web", "api")]
    found = {}
    for leads in (True, False):
        seen = replace(live_on(Color.BLUE), leads=leads, containers=(*begun,))
        mine = job(tmp_path / str(leads), seen, plan)
        found[leads] = _judged(mine, ())
    assert found[True].reason == "migrate is not there"
    assert found[False].state is State.PASSING


@pytest.mark.parametrize("told", [{"address": "10.0.0.9"}, [{"address": "10.0.0.9"}]])
def test_a_lab_that_was_up_before_there_could_be_two_managers_goes_on(
    tmp_path: Path, told: object
) -> None:
    settings = spread(tmp_path)
    node_file(settings).parent.mkdir(parents=True)
    node_file(settings).write_text(json.dumps(told))
    assert [each.address for each in with_own_node(settings).hosts] == ["10.0.0.9"]
