"""What a real deploy does to users is found by the deploy itself: nothing, and what is planted."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.harness import Lab

from tests.lab.harness import EITHER_AT_NIGHT, EITHER_PROXY

pytestmark = pytest.mark.lab


def proof(lab: Lab) -> dict[str, Any]:
    """The newest deploy's."""
    newest = max(lab.folder.glob("reports/*-deploy/proof.json"))
    told: dict[str, Any] = json.loads(newest.read_text())
    return told


def killed(lab: Lab, color: str, seconds: float) -> dict[str, str]:
    """A hook that takes the new color's service away for a moment, after the switch."""
    name = f"{lab.app}-{color}-platform-1"
    run = f"docker kill {name}; sleep {seconds}; docker start {name}; sleep 1"
    return {"after": "switch", "run": run}


@contextmanager
def streaming(lab: Lab) -> Iterator[None]:
    """A user who listens to streams meanwhile, each opened again when it ends."""
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=10)
                connection.request("GET", "/events?seconds=2")
                connection.getresponse().read()
            time.sleep(0.05)

    threads = [threading.Thread(target=listen) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@EITHER_AT_NIGHT
def test_a_deploy_and_a_rollback_prove_themselves_and_add_up(lab: Lab) -> None:
    lab.live("v1")
    before = len(list(lab.folder.glob("reports/*-deploy/proof.json")))
    with lab.load() as client:
        said = lab.cyan("deploy", "--version", "v2").stdout
        first = proof(lab)
        lab.cyan("rollback")
    client.saw_no_drop()
    second = proof(lab)
    for told, what in ((first, "deploy"), (second, "rollback")):
        assert (told["what"], told["verdict"], told["failed"]) == (what, "pass", 0), told
        assert told["during"]["n"] > 20
        assert told["probe"]["asked"] > 3
        assert told["probe"]["failures"] == []
    assert f"users: {first['sentence']}" in " ".join(said.split())
    assert len(list(lab.folder.glob("reports/*-deploy/proof.json"))) == before + 2
    assert "failed by them" in (lab.folder / "reports/deploys.html").read_text()


@EITHER_AT_NIGHT
def test_users_who_are_answered_by_nobody_are_found(lab: Lab) -> None:
    lab.live("v1")
    other = "green" if lab.answering()[0] == "blue" else "blue"
    with lab.load(), lab.configured(hooks=[killed(lab, other, 1)]):
        done = lab.cyan("deploy", "--version", "v2", check=False)
    told = proof(lab)
    assert (told["verdict"], told["during"]["by_proxy"] > 0) == ("fail", True), done.stdout
    assert "failed by it" in done.stdout


@EITHER_AT_NIGHT
@pytest.mark.nightly
def test_a_bake_that_must_prove_itself_goes_back(lab: Lab) -> None:
    lab.live("v1")
    other = "green" if lab.answering()[0] == "blue" else "blue"
    bake = {"seconds": 2.0, "prove": True, "errors": 1.0}
    with lab.load(), lab.configured(hooks=[killed(lab, other, 1)], bake=bake):
        done = lab.cyan("deploy", "--version", "v2", check=False)
    assert done.returncode == 1
    assert "went bad after the switch" in done.stderr
    assert (proof(lab)["ok"], proof(lab)["verdict"]) == (False, "fail")
    assert lab.answering()[1] == "v1"
    lab.is_clean()


@EITHER_PROXY
def test_answers_that_are_cut_short_are_found(lab: Lab) -> None:
    lab.live("v1")
    other = "green" if lab.answering()[0] == "blue" else "blue"
    hook = killed(lab, other, 0.1)
    hook["run"] = f"sleep 3; {hook['run']}"  # by then each listens to the new color: streams last 2
    with streaming(lab), lab.configured(hooks=[hook]):
        lab.cyan("deploy", "--version", "v2", check=False)
    assert proof(lab)["during"]["cut"] > 0


@EITHER_AT_NIGHT
def test_who_is_refused_is_found_by_the_probe(lab: Lab) -> None:
    lab.live("v1")
    hook = {"after": "switch", "run": f"docker restart -t 0 {lab.app}-proxy-1"}
    with lab.configured(hooks=[hook]):
        lab.cyan("deploy", "--version", "v2", check=False)
    told = proof(lab)
    assert (told["verdict"], told["during"]["n"]) == ("fail", 0)
    assert told["probe"]["failures"]


@pytest.mark.nightly
def test_nobody_is_asked_where_that_is_not_wanted(lab: Lab) -> None:
    lab.live("v1")
    with lab.configured(prove={"rate": 0}):
        lab.cyan("rollback", check=False)
        said = lab.cyan("deploy", "--version", "v3").stdout
    told = proof(lab)
    assert (told["probe"]["asked"], told["verdict"]) == (0, "unknown")
    assert "not known: cyan.prove.rate is 0" in " ".join(said.split())
